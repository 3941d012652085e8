package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestWhatAKilledRunLeftBesideItsOutputIsSweptByTheNext: nobody else would.
func TestWhatAKilledRunLeftBesideItsOutputIsSweptByTheNext(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, out, file := filepath.Join(dir, "h"), filepath.Join(dir, "out"), filepath.Join(dir, "film")
	noise(t, file, 1000, 1)
	if err := os.Mkdir(out, 0o755); err != nil {
		t.Fatal(err)
	}
	left := func(name string, age time.Duration) string {
		path, when := filepath.Join(out, name), time.Now().Add(-age)
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
		return path
	}
	gone := []string{left(".aml-output-1", 2*time.Hour), left(".aml-export-1", 2*time.Hour)}
	stay := []string{left(".aml-output-2", 0), left(".aml-export-2", 0), left("mine", 2*time.Hour)}
	entry := filepath.Join(out, "entry.json")
	ok(t, home, "ingest", "-i", file, "-o", entry)
	export(t, home, entry, filepath.Join(out, "blobs.tar"))
	for _, path := range gone {
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s is there", filepath.Base(path))
		}
	}
	for _, path := range append(stay, entry) {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

// TestAnOutputThatWasSweptIsWrittenAllTheSame: the work before it may take long.
func TestAnOutputThatWasSweptIsWrittenAllTheSame(t *testing.T) {
	path := filepath.Join(t.TempDir(), "entry.json")
	o, err := newApp(nil, io.Discard, io.Discard).output(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer o.abort()
	if err := os.Remove(o.file.Name()); err != nil {
		t.Skip("open files cannot be deleted here:", err)
	}
	if err := o.commit([]byte("whole")); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, []byte("whole")) {
		t.Errorf("%q, %v", got, err)
	}
	if names, err := os.ReadDir(filepath.Dir(path)); err != nil || len(names) != 1 {
		t.Errorf("%v, %v", names, err)
	}
}
