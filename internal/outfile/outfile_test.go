package outfile

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func put(t *testing.T, path, text string) error {
	t.Helper()
	f, err := Create(t.Context(), path, ".aml-*")
	if err != nil {
		return err
	}
	defer f.Abort()
	if _, err := f.WriteString(text); err != nil {
		return err
	}
	return f.Commit()
}

func holds(t *testing.T, path, want string) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || string(got) != want {
		t.Errorf("%s holds %q, %v; want %q", path, got, err, want)
	}
}

func TestAFileAppearsWholeOrNotAtAll(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "file")
	if err := put(t, path, "one"); err != nil {
		t.Fatal(err)
	}
	f, err := Create(t.Context(), path, ".aml-*")
	if err != nil {
		t.Fatal(err)
	}
	f.WriteString("half")
	holds(t, path, "one")
	f.Abort()
	holds(t, path, "one")
	if err := put(t, path, "two"); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "two")
	if f, err = Create(t.Context(), path, ".aml-*"); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Remove(f.Name()), f.Renew()); err != nil {
		t.Fatal(err)
	}
	f.WriteString("two")
	if err := f.Commit(); err != nil {
		t.Fatal(err)
	}
	holds(t, path, "two")
	if left, _ := os.ReadDir(dir); len(left) != 1 {
		t.Errorf("%v are left", left)
	}
	if err := put(t, dir, ""); !errors.Is(err, ErrFolder) {
		t.Errorf("a folder: %v", err)
	}
}

func TestALinkStaysAndItsFileIsWritten(t *testing.T) {
	dir := t.TempDir()
	for _, sub := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(dir, sub), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{"a/first": "second", "a/second": "../b/file", "folder": "a", "ring": "ring"}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	for _, text := range []string{"made", "replaced"} { // the link led to nothing at first
		if err := put(t, filepath.Join(dir, "folder", "first"), text); err != nil {
			t.Fatal(err)
		}
		holds(t, filepath.Join(dir, "b", "file"), text)
	}
	for name, to := range links {
		if is, err := os.Readlink(filepath.Join(dir, name)); err != nil || is != to {
			t.Errorf("%s leads to %q, %v; want %q", name, is, err, to)
		}
	}
	if err := put(t, filepath.Join(dir, "ring"), ""); err == nil {
		t.Error("a link to itself was written to")
	}
}

func TestADeviceIsWrittenToAndStays(t *testing.T) {
	before, err := os.Lstat(os.DevNull)
	if err != nil {
		t.Skip(err)
	}
	link := filepath.Join(t.TempDir(), "null")
	if err := os.Symlink(os.DevNull, link); err != nil {
		t.Skip(err)
	}
	for _, path := range []string{os.DevNull, link} {
		if err := put(t, path, "text"); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	if after, err := os.Lstat(os.DevNull); err != nil || after.Mode() != before.Mode() {
		t.Fatalf("%s was %v and is %v, %v", os.DevNull, before.Mode(), after.Mode(), err)
	}
}
