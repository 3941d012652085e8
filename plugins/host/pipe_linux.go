package host

import (
	"os"

	"golang.org/x/sys/unix"
)

// widen lets a pipe hold more, where the user may have that.
func widen(f *os.File) {
	if raw, err := f.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) { _, _ = unix.FcntlInt(fd, unix.F_SETPIPE_SZ, 1<<20) })
	}
}
