package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"path/filepath"
	"testing"
)

func TestAFileGoesToStandardOutputWhileItComesAndIsKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, entry, seed, home := filepath.Join(dir, "film"), filepath.Join(dir, "entry.json"), filepath.Join(dir, "p"), filepath.Join(dir, "f")
	content := noise(t, file, 5<<20+7, 11)
	ok(t, seed, "ingest", "-i", file, "-o", entry)
	peer := start(t, seed, "blob-seed", "-i", entry).addr()
	sum := func(s string) string { return fmt.Sprintf("%x", sha256.Sum256([]byte(s))) }
	if got := ok(t, home, "blob-fetch", "-i", entry, "-o", "-", "--peer", peer, "--json"); sum(got) != sum(string(content)) {
		t.Errorf("%d bytes with the hash %s came, want %d with %s", len(got), sum(got), len(content), sum(string(content)))
	}
	var s struct{ BlobCount int }
	if err := json.Unmarshal([]byte(ok(t, home, "blob-status", "--json")), &s); err != nil || s.BlobCount < 4 {
		t.Errorf("%+v %v: want the blobs that came whole in the store", s, err)
	}
	// What is damaged ends with the code of that, after what was sound.
	ok(t, home, "blob-unpin", "-i", entry)
	for _, path := range blobFiles(t, home) {
		if filepath.Base(path) != rootOf(t, entry) {
			flip(t, path)
		}
	}
	if _, _, code := amlRun(t, home, "blob-fetch", "-i", entry, "-o", "-", "--timeout", "1s", "--set", "lan=false"); code != 4 {
		t.Errorf("without a peer and with rotten blobs the exit code is %d, want 4", code)
	}
}
