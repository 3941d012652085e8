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

func lock(f *os.File) error {
	at := &syscall.Overlapped{Offset: lockOffset}
	ok, _, err := syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx").Call(
		f.Fd(), lockExclusive|lockFailImmediately, 0, 1, 0, uintptr(unsafe.Pointer(at)))
	switch {
	case ok != 0:
		return nil
	case errors.Is(err, errorLockViolation):
		return ErrLocked
	}
	return err
}

func unlock(f *os.File) error {
	at := &syscall.Overlapped{Offset: lockOffset}
	ok, _, err := syscall.NewLazyDLL("kernel32.dll").NewProc("UnlockFileEx").Call(
		f.Fd(), 0, 1, 0, uintptr(unsafe.Pointer(at)))
	if ok == 0 {
		return err
	}
	return nil
}
