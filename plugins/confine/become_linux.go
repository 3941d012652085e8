package confine

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// become makes this process the program, with its bound of memory. That is far
// below what the runtime of the launcher, which is all of aml, may ask for at any
// moment: for its heap, or for one more thread. So it is set by the last call before
// the program, and from there to the program nothing but this thread runs.
func become(s Spec, argv, env []string) error {
	path, err := syscall.BytePtrFromString(s.Path)
	if err != nil {
		return err
	}
	args, err := syscall.SlicePtrFromStrings(argv)
	if err != nil {
		return err
	}
	vars, err := syscall.SlicePtrFromStrings(env)
	if err != nil {
		return err
	}
	memory := unix.Rlimit{Cur: uint64(s.Memory), Max: uint64(s.Memory)}
	pause := unix.NsecToTimespec(10e6)
	runtime.LockOSThread()
	// From now on nothing runs but this goroutine, as long as it neither waits nor
	// calls: threads that are being made belong to a share of this, and it waits for
	// them.
	runtime.GOMAXPROCS(1)
	errno := bound(path, &args[0], &vars[0], &memory, &pause)
	runtime.KeepAlive(args)
	runtime.KeepAlive(vars)
	return errno
}

// bound neither allocates nor gives way, unlike syscall.Exec and time.Sleep: after its
// first call the runtime has no memory left that it could count on.
//
//go:norace
//go:nosplit
func bound(path *byte, argv, env **byte, memory *unix.Rlimit, pause *unix.Timespec) (errno syscall.Errno) {
	_, _, errno = syscall.RawSyscall6(unix.SYS_PRLIMIT64, 0, unix.RLIMIT_DATA, uintptr(unsafe.Pointer(memory)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	for range maxBusy {
		_, _, errno = syscall.RawSyscall6(unix.SYS_EXECVE, uintptr(unsafe.Pointer(path)), uintptr(unsafe.Pointer(argv)), uintptr(unsafe.Pointer(env)), 0, 0, 0)
		if errno != syscall.ETXTBSY {
			break
		}
		_, _, _ = syscall.RawSyscall6(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(pause)), 0, 0, 0, 0, 0)
	}
	return errno
}
