//go:build !(darwin || freebsd || linux || windows)

package diskstore

import (
	"errors"
	"os"
	"syscall"
)

const openToSync = os.O_RDWR

// freeSpace is not known here: Config.MinFree has no effect.
func freeSpace(string) (int64, error) { return 0, errors.ErrUnsupported }

// isNoSpace reports whether err says that the disk is full.
func isNoSpace(err error) bool { return errors.Is(err, syscall.ENOSPC) }
