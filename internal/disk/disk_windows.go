package disk

import (
	"errors"
	"os"
	"syscall"
	"unsafe"
)

// OpenToSync is the flag to open a file with whose bytes are to be synced:
// Windows syncs only what was opened for writing.
const OpenToSync = os.O_RDWR

// Free returns how many bytes this user can still write to the disk that
// dir is on.
func Free(dir string) (int64, error) {
	free, _, err := space(dir)
	return free, err
}

// Size returns how many bytes the disk that dir is on holds altogether.
func Size(dir string) (int64, error) {
	_, size, err := space(dir)
	return size, err
}

func space(dir string) (free, size int64, err error) {
	name, err := syscall.UTF16PtrFromString(dir)
	if err != nil {
		return 0, 0, err
	}
	ok, _, err := syscall.NewLazyDLL("kernel32.dll").NewProc("GetDiskFreeSpaceExW").Call(
		uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&size)), 0)
	if ok == 0 {
		return 0, 0, os.NewSyscallError("GetDiskFreeSpaceEx", err)
	}
	return free, size, nil
}

// IsFull reports whether err says that the disk, or the user's share of it,
// is full.
func IsFull(err error) bool {
	const handleDiskFull, diskFull, quotaExceeded = syscall.Errno(39), syscall.Errno(112), syscall.Errno(1295)
	return errors.Is(err, handleDiskFull) || errors.Is(err, diskFull) || errors.Is(err, quotaExceeded)
}
