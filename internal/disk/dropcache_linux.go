//go:build linux && (amd64 || arm64)

package disk

import (
	"os"
	"syscall"
)

// DropCache asks the kernel to forget what it holds of the file in memory, as
// far as it is on the disk already. Who reads a file once, for a check, then
// reads the disk and not memory, and pushes nothing else out.
func DropCache(f *os.File) {
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, f.Fd(), 0, 0, dontNeed, 0, 0)
}
