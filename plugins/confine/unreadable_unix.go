//go:build unix

package confine

import (
	"errors"
	"syscall"
)

// unreadable reports whether a program is none that the system knows.
func unreadable(err error) bool { return errors.Is(err, syscall.ENOEXEC) }
