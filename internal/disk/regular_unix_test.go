//go:build unix

package disk_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/anonymous-media-library/aml/internal/disk"
)

func TestWhatIsNoFileIsNamedWithoutOpeningIt(t *testing.T) {
	dir := t.TempDir()
	pipe, file, link := filepath.Join(dir, "pipe"), filepath.Join(dir, "file"), filepath.Join(dir, "link")
	if err := errors.Join(syscall.Mkfifo(pipe, 0o600), os.WriteFile(file, nil, 0), os.Symlink(pipe, link)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, pipe, link} {
		if err := disk.Regular(path); !errors.Is(err, disk.ErrNotRegular) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{file, filepath.Join(dir, "missing")} {
		if err := disk.Regular(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}
