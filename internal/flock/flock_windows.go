package flock

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// A lock on Windows keeps others from reading the locked bytes; these lie far
// behind the process id, so that it can be read.
const lockOffset = 1 << 30

const (
	lockExclusive       = 2
	lockFailImmediately = 1
	errorLockViolation  = syscall.Errno(33)
)

func call(name string, f *os.File, args ...uintptr) error {
	o := &syscall.Overlapped{Offset: lockOffset}
	args = append([]uintptr{f.Fd()}, args...)
	ok, _, err := syscall.NewLazyDLL("kernel32.dll").NewProc(name).Call(append(args, uintptr(unsafe.Pointer(o)))...)
	if ok == 0 {
		return err
	}
	return nil
}

func lock(f *os.File) error {
	err := call("LockFileEx", f, lockExclusive|lockFailImmediately, 0, 1, 0)
	if errors.Is(err, errorLockViolation) {
		return ErrLocked
	}
	return err
}

func unlock(f *os.File) error { return call("UnlockFileEx", f, 0, 1, 0) }
