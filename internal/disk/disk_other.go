//go:build !(darwin || freebsd || linux || windows)

package disk

import (
	"errors"
	"os"
	"syscall"
)

// OpenToSync is the flag to open a file with whose bytes are to be synced.
const OpenToSync = os.O_RDWR

// Free is not known here; the error wraps errors.ErrUnsupported.
func Free(string) (int64, error) { return 0, errors.ErrUnsupported }

// Size is not known here; the error wraps errors.ErrUnsupported.
func Size(string) (int64, error) { return 0, errors.ErrUnsupported }

// IsFull reports whether err says that the disk is full.
func IsFull(err error) bool { return errors.Is(err, syscall.ENOSPC) }
