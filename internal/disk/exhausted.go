package disk

import (
	"errors"
	"syscall"
)

// Exhausted reports whether err says that the machine has none left of what a file
// or a process takes: room on a disk, open files, memory, processes. What fails so
// works again when there is some, and says nothing of the file.
func Exhausted(err error) bool {
	if IsFull(err) {
		return true
	}
	for _, e := range []error{syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EAGAIN} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
