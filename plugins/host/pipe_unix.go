//go:build unix

package host

import (
	"os"

	"golang.org/x/sys/unix"
)

// makePipe makes a named pipe. It is open at both ends here, so that nothing
// waits for the other side and what was written stays until it is closed.
func makePipe(path string) (*os.File, error) {
	if err := unix.Mkfifo(path, 0o600); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
	if err != nil {
		_ = os.Remove(path)
		return nil, err
	}
	widen(f)
	return f, nil
}
