//go:build !linux

package confine

// Resident is how many bytes of memory a process has that are in no file, 0 if that
// is not known.
func Resident(int) int64 { return 0 }

// Unlinked is how many bytes on disk a process holds in open files that have no name
// any more, 0 if that is not known.
func Unlinked(int) int64 { return 0 }
