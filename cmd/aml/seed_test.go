package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/node/api"
)

func TestASeederSaysWhatItLacksOfAFileWithParity(t *testing.T) {
	t.Parallel()
	home := filepath.Join(t.TempDir(), "p")
	file, entry := filepath.Join(home, "file"), filepath.Join(home, "entry.json")
	noise(t, file, 300_000, 1)
	ok(t, home, "ingest", "-i", file, "-o", entry, "--chunk-size", "64KiB", "--erasure", "4+2")
	blobs, err := filepath.Glob(filepath.Join(home, "blobs", "??", "*"))
	if err != nil {
		t.Fatal(err)
	}
	removed := 0
	for _, b := range blobs {
		if info, err := os.Stat(b); err == nil && info.Size() == 65536+16 && removed < 2 { // a chunk
			if err := os.Remove(b); err != nil {
				t.Fatal(err)
			}
			removed++
		}
	}
	seed := start(t, home, "blob-seed", "-i", entry)
	var e api.ErrorEvent
	seed.wait("error").decode(t, &e)
	if removed != 2 || !strings.Contains(e.Message, "2 of ") || !strings.Contains(e.Message, "blob-scrub --repair") {
		t.Errorf("%d removed: %q", removed, e.Message)
	}
}
