package disk

import (
	"errors"
	"os"
	"runtime"
)

// SyncDir makes the names in a folder survive a power loss, where the system can:
// Windows does it by itself, and opens no folders.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
