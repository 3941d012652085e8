package subscriber

import (
	"os"
	"syscall"
)

// writebackMin is the run, in bytes, from which on starting writeback pays.
const writebackMin = 64 << 10

// startWriteback asks the kernel to begin writing a run of the file to the disk
// now, while the next chunks come, instead of when the file is synced; it does
// not wait for it.
func startWriteback(f *os.File, offset int64, n int) {
	if n < writebackMin {
		return
	}
	const write = 2 // SYNC_FILE_RANGE_WRITE
	// It promises nothing, so nothing is lost when it does not work: Sync
	// finds out.
	_ = syscall.SyncFileRange(int(f.Fd()), offset, int64(n), write)
}
