package disk

// sysSyncfs is the number of the system call, which package syscall lacks.
const sysSyncfs = 306
