//go:build darwin || freebsd || linux

package disk

import (
	"errors"
	"os"
	"syscall"
)

// OpenToSync is the flag to open a file with whose bytes are to be synced.
const OpenToSync = os.O_RDONLY

// Free returns how many bytes this user can still write to the disk that
// dir is on.
func Free(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return max(0, int64(st.Bavail)) * int64(st.Bsize), nil
}

// Size returns how many bytes the disk that dir is on holds altogether.
func Size(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return int64(st.Blocks) * int64(st.Bsize), nil
}

// IsFull reports whether err says that the disk, or the user's share of it,
// is full.
func IsFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
