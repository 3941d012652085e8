package confine

import "golang.org/x/sys/unix"

const (
	seccompArch = unix.AUDIT_ARCH_X86_64
	foreignNr   = 0x40000000 // x32
)

var forkCalls = [...]uintptr{unix.SYS_FORK, unix.SYS_VFORK}

// metaCalls are those that newer architectures have not.
var metaCalls = [...]uintptr{unix.SYS_CHMOD, unix.SYS_CHOWN, unix.SYS_LCHOWN, unix.SYS_UTIME, unix.SYS_UTIMES, unix.SYS_FUTIMESAT}
