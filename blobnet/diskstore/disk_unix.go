//go:build darwin || freebsd || linux

package diskstore

import (
	"errors"
	"os"
	"syscall"
)

const openToSync = os.O_RDONLY

// freeSpace returns how many bytes this user can still write to the disk that
// dir is on.
func freeSpace(dir string) (int64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, os.NewSyscallError("statfs", err)
	}
	return max(0, int64(st.Bavail)) * int64(st.Bsize), nil
}

// isNoSpace reports whether err says that the disk, or the user's share of it,
// is full.
func isNoSpace(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
