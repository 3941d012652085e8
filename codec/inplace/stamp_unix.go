//go:build unix

package inplace

import (
	"io/fs"
	"syscall"
)

// keepOpen says that files may be held open: others can still rename and
// delete them.
const keepOpen = true

// openFlags keep a named pipe, put where a file was, from blocking.
const openFlags = syscall.O_RDONLY | syscall.O_NONBLOCK

// identity tells a file from another that gets its name.
func identity(info fs.FileInfo) (device, inode uint64) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(st.Dev), uint64(st.Ino)
	}
	return 0, 0
}
