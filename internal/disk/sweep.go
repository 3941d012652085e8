package disk

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// SweepAge is how long nobody has written to a temporary file that Sweep
// deletes.
const SweepAge = time.Hour

// Sweep deletes the files in dir whose names begin with prefix and which nobody
// has written to for SweepAge: those that a program left which was killed before
// it gave them their names. What is no regular file stays, and so does what
// cannot be deleted: the next one who comes tries again.
func Sweep(dir, prefix string) {
	d, err := os.Open(dir)
	if err != nil {
		return
	}
	defer d.Close() // only read from
	for {
		names, err := d.Readdirnames(1024)
		for _, name := range names {
			if !strings.HasPrefix(name, prefix) {
				continue
			}
			path := filepath.Join(dir, name)
			if info, err := os.Lstat(path); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > SweepAge {
				_ = os.Remove(path)
			}
		}
		if err != nil || len(names) == 0 {
			return
		}
	}
}
