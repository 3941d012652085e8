//go:build unix

package subscriber

import (
	"io/fs"
	"syscall"
)

// allocated is how many bytes of the disk a file with holes takes.
func allocated(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok && st.Blocks > 0 {
		return uint64(st.Blocks) * 512
	}
	return 0
}

// linked reports whether a file has another name as well.
func linked(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Nlink > 1
}
