//go:build unix

package main

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What stands in the place of a home's file and is none is named; nothing waits at it.
func TestAPipeOrFolderInPlaceOfAHomesFileIsNamed(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"aml.db", "inplace.db", "peers.db", "blobs/index.db", "lock", "keys/node.key", "config.yaml"} {
		for kind, place := range map[string]func(string) error{
			"pipe":   func(path string) error { return syscall.Mkfifo(path, 0o600) },
			"folder": func(path string) error { return os.Mkdir(path, 0o700) },
		} {
			home := filepath.Join(t.TempDir(), "home")
			path := filepath.Join(home, filepath.FromSlash(name))
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := place(path); err != nil {
				t.Fatal(err)
			}
			if _, stderr, code := amlRun(t, home, "init"); code == 0 || !strings.Contains(stderr, path) {
				t.Errorf("a %s as %s: exit code %d: %s", kind, name, code, stderr)
			}
			if out, stderr, code := amlRun(t, home, "__complete", "channel-show", ""); code != 0 || strings.HasPrefix(out, "aml:") {
				t.Errorf("completion with a %s as %s: exit code %d: %s%s", kind, name, code, out, stderr)
			}
		}
	}
}
