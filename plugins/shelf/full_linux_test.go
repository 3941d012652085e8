package shelf

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/anonymous-media-library/aml/internal/smalldisk"
	"github.com/anonymous-media-library/aml/plugins"
)

// fill leaves no room on a disk until the returned function is called.
func fill(t *testing.T, disk string) (empty func()) {
	t.Helper()
	ballast := filepath.Join(disk, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	return func() {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFullDiskLeavesTheInstalledPluginAsItIs(t *testing.T) {
	disk := smalldisk.Mount(t, t.TempDir(), "2m")
	s, err := Open(filepath.Join(disk, "plugins"), nil)
	if err != nil {
		t.Fatal(err)
	}
	install(t, s, folder(t, files))
	refused(t, s, func() { t.Cleanup(fill(t, disk)) }, nil)
	intact(t, s)
}

// What cannot be copied was not changed.
func TestAFullDiskIsNotToldAsAChangedPlugin(t *testing.T) {
	disk := smalldisk.Mount(t, t.TempDir(), "2m")
	s, err := Open(filepath.Join(disk, "plugins"), nil)
	if err != nil {
		t.Fatal(err)
	}
	install(t, s, folder(t, files))
	p, err := s.Get("no-cats")
	if err != nil {
		t.Fatal(err)
	}
	empty := fill(t, disk)
	if _, err := s.Prepare(t.Context(), p, "linux/amd64"); !errors.Is(err, syscall.ENOSPC) || errors.Is(err, plugins.ErrChanged) {
		t.Errorf("without room: %v", err)
	}
	empty()
	run, err := s.Prepare(t.Context(), p, "linux/amd64")
	if err != nil {
		t.Fatalf("with room: %v", err)
	}
	if err := run.Release(); err != nil {
		t.Error(err)
	}
}

func TestTooManyOpenFilesAreNotToldAsAChangedPlugin(t *testing.T) {
	s := open(t)
	install(t, s, folder(t, files))
	p, err := s.Get("no-cats")
	if err != nil {
		t.Fatal(err)
	}
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	none := limit
	none.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &none); err != nil {
		t.Fatal(err)
	}
	again, listed := s.Get("no-cats")
	_, prepared := s.Prepare(t.Context(), p, "linux/amd64")
	verified := s.Verify(t.Context(), "no-cats")
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	for what, err := range map[string]error{"listing": errors.Join(listed, again.Err), "preparing": prepared, "verifying": verified} {
		if !errors.Is(err, syscall.EMFILE) || errors.Is(err, plugins.ErrChanged) {
			t.Errorf("%s: %v", what, err)
		}
	}
}
