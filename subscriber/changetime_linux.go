package subscriber

import (
	"io/fs"
	"syscall"
)

// changeTime is when a file, or what is known of it, was changed last, in
// nanoseconds. Unlike the modification time nobody can set it.
func changeTime(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ctim.Nano()
	}
	return 0
}
