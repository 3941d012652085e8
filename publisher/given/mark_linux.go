package given

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// markOf is when the file was made, or, on a file system that does not keep
// that, its number there. Neither changes when it is renamed or written to, and
// neither survives copying.
func markOf(f *os.File) (string, error) {
	var st unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_BTIME|unix.STATX_INO, &st); err != nil {
		return "", fmt.Errorf("statx %s: %w", f.Name(), err)
	}
	if st.Mask&unix.STATX_BTIME != 0 {
		return fmt.Sprintf("made %d.%09d", st.Btime.Sec, st.Btime.Nsec), nil
	}
	return fmt.Sprintf("inode %d", st.Ino), nil
}
