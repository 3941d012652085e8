//go:build unix

package host

import (
	"io/fs"
	"syscall"
)

// openFolder opens a folder and neither follows a link nor waits at a pipe that stands
// there by now.
const openFolder = syscall.O_DIRECTORY | syscall.O_NOFOLLOW | syscall.O_NONBLOCK

// onDisk is what a file takes; one with holes has more bytes than that.
func onDisk(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(st.Blocks) * 512
	}
	return info.Size()
}
