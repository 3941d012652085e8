package main

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/node/api"
)

// Faults of the world around whole processes. docs/faults.md lists every fault
// and the test of what is promised after it.

// until asks again and again until ok is true. What it waits for must come; how
// soon is not what is tested.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(patience); !ok(); {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("waited %v in vain for %s", patience, what)
		}
	}
}

// ingested seals size bytes of noise into home's store; it returns the file and
// its FileEntry document.
func ingested(t *testing.T, home string, size int, args ...string) (file, entry string) {
	t.Helper()
	file, entry = home+".film", home+".json"
	noise(t, file, size, uint64(size))
	ok(t, home, append([]string{"ingest", "-i", file, "-o", entry}, args...)...)
	return file, entry
}

// copied gives home a copy of all blobs of entry that are in from's store.
func copied(t *testing.T, from, entry, home string) {
	t.Helper()
	ok(t, home, "blob-import", "-i", export(t, from, entry, home+".tar"))
}

// sameFile fails unless both files hold the same bytes.
func sameFile(t *testing.T, got, want string) {
	t.Helper()
	w, err := os.ReadFile(want)
	if err != nil {
		t.Fatal(err)
	}
	if g, err := os.ReadFile(got); err != nil || !bytes.Equal(g, w) {
		t.Errorf("%s differs from %s: %v", got, want, err)
	}
}

// sources says where the bytes of a fetched file came from.
type sources struct{ FromStore, FromPeers uint64 }

// fetched is what blob-fetch --json says of its only file.
func fetched(t *testing.T, out string) sources {
	t.Helper()
	var res struct{ Files []sources }
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &res); err != nil || len(res.Files) != 1 {
		t.Fatalf("%v: %s", err, out)
	}
	return res.Files[0]
}

// statusOf asks the daemon that runs on home.
func statusOf(t *testing.T, home string) (s api.Status) {
	t.Helper()
	if err := json.Unmarshal([]byte(ok(t, home, "status", "--json")), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// noFile fails if there is something under a name that only a whole file may
// have.
func noFile(t *testing.T, path string) {
	t.Helper()
	if _, err := os.Lstat(path); err == nil {
		t.Errorf("%s stands under its final name and is not whole", path)
	}
}
