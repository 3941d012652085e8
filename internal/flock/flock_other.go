//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd || windows)

package flock

import (
	"errors"
	"os"
)

// Without a lock of the operating system two processes could ruin each other's
// work, so such a system is refused.
func lock(*os.File) error   { return errors.ErrUnsupported }
func unlock(*os.File) error { return nil }
