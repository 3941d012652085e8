package given

import (
	"fmt"
	"os"
	"syscall"
)

// markOf is when the file was made, and its number: the first can be restored
// here, the second cannot.
func markOf(f *os.File) (string, error) {
	info, err := f.Stat()
	if err != nil {
		return "", err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return "", nil
	}
	return fmt.Sprintf("made %d.%09d inode %d", st.Birthtimespec.Sec, st.Birthtimespec.Nsec, st.Ino), nil
}
