package disk_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/disk"
)

func TestOnlyOldFilesOfOnesOwnAreSwept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a[b]*") // no pattern
	if err := os.MkdirAll(filepath.Join(dir, "mine-folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * disk.SweepAge)
	for name, when := range map[string]time.Time{"mine-1": old, "mine-2": time.Now(), "other-1": old, "mine": old} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chtimes(filepath.Join(dir, "mine-folder"), old, old); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("other-1", filepath.Join(dir, "mine-link")); err != nil {
		t.Log("no symbolic links here:", err)
	}
	disk.Sweep(dir, "mine-")
	disk.Sweep(filepath.Join(dir, "nothing"), "mine-")
	for name, want := range map[string]bool{"mine-1": false, "mine-2": true, "other-1": true, "mine": true, "mine-folder": true} {
		if _, err := os.Stat(filepath.Join(dir, name)); (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
}
