package main

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// blobFiles returns the paths of the blobs in a home's store.
func blobFiles(t *testing.T, home string) []string {
	t.Helper()
	var out []string
	err := filepath.WalkDir(filepath.Join(home, "blobs"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && len(d.Name()) == 64 {
			out = append(out, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// flip changes one bit in the middle of a file.
func flip(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// scrubbed is what blob-scrub --json prints.
type scrubbed struct {
	Blobs, Rotten, Missing, Repaired, Left int64
}

func scrub(t *testing.T, home string, args ...string) (s scrubbed) {
	t.Helper()
	out, errs, code := amlRun(t, home, append([]string{"blob-scrub", "--json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatalf("%v\n%s%s", err, out, errs)
	}
	want := 0
	if s.Left > 0 {
		want = 5
	}
	if code != want {
		t.Errorf("exit code %d, want %d for %+v\n%s", code, want, s, errs)
	}
	return s
}

func TestFlippedBytesAtRestAreFoundByAScrubAndHadAgainFromAPeer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, entry, seed, home := filepath.Join(dir, "film"), filepath.Join(dir, "entry.json"), filepath.Join(dir, "p"), filepath.Join(dir, "f")
	noise(t, file, 8<<20, 1)
	ok(t, seed, "ingest", "-i", file, "-o", entry)
	ok(t, home, "blob-import", "-i", export(t, seed, entry, filepath.Join(dir, "blobs.tar")))
	blobs := blobFiles(t, home)
	if len(blobs) != 9 {
		t.Fatalf("%d blobs are stored, want 9", len(blobs))
	}
	// The index is among what rots first: a repair counts it as any other blob.
	root := slices.IndexFunc(blobs, func(path string) bool { return filepath.Base(path) == rootOf(t, entry) })
	if root < 0 {
		t.Fatal("the index is not stored")
	}
	blobs[2], blobs[root] = blobs[root], blobs[2]
	flip(t, blobs[2])
	flip(t, blobs[5])
	if s := scrub(t, home); s.Rotten != 2 {
		t.Errorf("the scrub found %+v, want 2 rotten", s)
	}
	if n := len(blobFiles(t, home)); n != 7+2 { // in quarantine
		t.Errorf("%d blobs and rotten ones are there, want 9", n)
	}
	flip(t, blobs[7])
	peer := start(t, seed, "blob-seed", "-i", entry).addr()
	if s := scrub(t, home, "--repair", "-i", entry, "--peer", peer); s.Rotten != 1 || s.Repaired != 3 {
		t.Errorf("the scrub did %+v, want 1 rotten and 3 repaired", s)
	}
	// What is pinned need not be named.
	ok(t, home, "blob-pin", "-i", entry)
	flip(t, blobs[4])
	scrub(t, home)
	if s := scrub(t, home, "--repair", "--peer", peer); s.Missing != 1 || s.Repaired != 1 {
		t.Errorf("the scrub did %+v, want 1 missing and repaired", s)
	}
	if s := scrub(t, home); s.Blobs != 9 || s.Rotten+s.Missing != 0 {
		t.Errorf("after the repair a scrub finds %+v", s)
	}
}

// rootOf returns the id of the root blob of a FileEntry's file.
func rootOf(t *testing.T, entry string) string {
	t.Helper()
	var e struct {
		Root struct {
			ID string `json:"id"`
		} `json:"root"`
	}
	data, err := os.ReadFile(entry)
	if err == nil {
		err = json.Unmarshal(data, &e)
	}
	if err != nil {
		t.Fatal(err)
	}
	return e.Root.ID
}

func export(t *testing.T, home, entry, to string) string {
	t.Helper()
	ok(t, home, "blob-export", "-i", entry, "-o", to)
	return to
}

func TestAFileInPlaceIsServedWithoutACopyUntilItChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, entry, seed := filepath.Join(dir, "film"), filepath.Join(dir, "entry.json"), filepath.Join(dir, "p")
	content := noise(t, file, 8<<20, 2)
	ok(t, seed, "ingest", "-i", file, "-o", entry, "--in-place")
	if n := len(blobFiles(t, seed)); n != 1 {
		t.Errorf("%d blobs are stored, want the index alone", n)
	}
	peer := start(t, seed, "blob-seed", "-i", entry).addr()
	out := filepath.Join(dir, "out")
	ok(t, filepath.Join(dir, "f"), "blob-fetch", "-i", entry, "-o", out, "--peer", peer)
	if got, err := os.ReadFile(out); err != nil || string(got) != string(content) {
		t.Fatalf("what was fetched differs: %v", err)
	}
	// The output is the fetcher's store: it serves the file onward, with the
	// first node gone, and holds no copy.
	if n := len(blobFiles(t, filepath.Join(dir, "f"))); n != 1 {
		t.Errorf("the fetcher stores %d blobs beside the file, want the index alone", n)
	}
	onward := start(t, filepath.Join(dir, "f"), "blob-seed", "-i", entry).addr()
	second := filepath.Join(dir, "second")
	ok(t, filepath.Join(dir, "g"), "blob-fetch", "-i", entry, "-o", second, "--peer", onward, "--keep-blobs")
	if got, err := os.ReadFile(second); err != nil || string(got) != string(content) {
		t.Fatalf("what was fetched onward differs: %v", err)
	}
	if n := len(blobFiles(t, filepath.Join(dir, "g"))); n != 9 {
		t.Errorf("with --keep-blobs %d blobs are stored, want 9", n)
	}
	// A file that changed is noticed, not served wrong.
	flip(t, file)
	third := filepath.Join(dir, "third")
	_, errs, code := amlRun(t, filepath.Join(dir, "h"), "blob-fetch", "-i", entry, "-o", third, "--peer", peer, "--timeout", "2s")
	if _, err := os.Stat(third); code == 0 || err == nil {
		t.Errorf("a file that changed at its publisher was fetched: exit code %d\n%s", code, errs)
	}
	if s := scrub(t, seed); s.Blobs != 8 { // the changed chunk is forgotten, the others are what they were
		t.Errorf("a scrub finds %+v, want 8 blobs", s)
	}
}

func TestLostBlobsAreRebuiltFromTheOthersByAFetchAndByARepair(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, entry, seed := filepath.Join(dir, "film"), filepath.Join(dir, "entry.json"), filepath.Join(dir, "p")
	content := noise(t, file, 3<<20+5, 4) // one stripe of 4 chunks and 2 parity blobs, an index and its copies
	ok(t, seed, "ingest", "-i", file, "-o", entry, "--erasure", "4+2")
	before := len(blobFiles(t, seed))
	lost := 0
	for _, path := range blobFiles(t, seed) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if lost < 2 && info.Size() > 1<<20 { // chunks or parity
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			lost++
		}
	}
	peer := start(t, seed, "daemon").addr()
	out := filepath.Join(dir, "out")
	ok(t, filepath.Join(dir, "f"), "blob-fetch", "-i", entry, "-o", out, "--peer", peer, "--timeout", "2s")
	if got, err := os.ReadFile(out); err != nil || string(got) != string(content) {
		t.Fatalf("what was rebuilt differs: %v", err)
	}
	if s := scrub(t, seed, "--repair", "-i", entry); s.Repaired != 2 {
		t.Errorf("the repair did %+v, want 2 blobs rebuilt", s)
	}
	if after := len(blobFiles(t, seed)); after != before {
		t.Errorf("after the repair %d blobs are stored, want %d", after, before)
	}
}

func TestARepairRebuildsWhatAnOwnChannelLostWithoutBeingToldItsFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, home := filepath.Join(dir, "film"), filepath.Join(dir, "p")
	noise(t, file, 3<<20+5, 6)
	ok(t, home, "channel-publish", "films", file, "--erasure", "4+2", "--once", "--set", "lan=false")
	chunks := slices.DeleteFunc(blobFiles(t, home), func(path string) bool {
		info, err := os.Stat(path)
		return err != nil || info.Size() < 1<<20
	})
	flip(t, chunks[0])
	flip(t, chunks[1])
	if s := scrub(t, home); s.Rotten != 2 || s.Left != 2 {
		t.Errorf("the scrub found %+v, want 2 rotten", s)
	}
	if s := scrub(t, home, "--repair", "--set", "lan=false", "--listen", "/ip4/127.0.0.1/tcp/0"); s.Missing != 2 || s.Repaired != 2 || s.Left != 0 {
		t.Errorf("the repair did %+v, want 2 missing and repaired", s)
	}
}

func TestADaemonAnnouncesWhatWasIngestedAndFetchedAlsoAfterARestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := filepath.Join(dir, "p")
	keys := func(want int) {
		t.Helper()
		var s struct{ Tracker struct{ Keys int } }
		for s.Tracker.Keys != want { // a daemon looks through its files after it has begun to listen
			if err := json.Unmarshal([]byte(ok(t, home, "status", "--json")), &s); err != nil {
				t.Fatal(err)
			}
			if s.Tracker.Keys > want || t.Context().Err() != nil {
				t.Fatalf("%d keys are announced, want %d", s.Tracker.Keys, want)
			}
		}
	}
	ingest := func(name string, args ...string) {
		t.Helper()
		noise(t, filepath.Join(dir, name), 1000, uint64(len(name)))
		ok(t, home, append([]string{"ingest", "-i", filepath.Join(dir, name), "-o", filepath.Join(dir, name+".json")}, args...)...)
	}
	ingest("one")
	daemon := start(t, home, "daemon")
	daemon.wait("listening")
	keys(1)
	ingest("three", "--in-place")
	keys(2)
	ingest("fourth")
	keys(3)
	ok(t, home, "blob-unpin", "-i", filepath.Join(dir, "fourth.json"))
	ok(t, home, "blob-gc", "--target", "0")
	keys(2) // what was deleted is not announced any more
	other := filepath.Join(dir, "q")
	ok(t, other, "blob-fetch", "-i", filepath.Join(dir, "one.json"), "-o", filepath.Join(dir, "out"), "--peer", addrOf(t, home))
	daemon.kill()
	start(t, home, "daemon").wait("listening")
	keys(2)
	home = other
	start(t, home, "daemon").wait("listening")
	keys(1)
}

// addrOf is the first address of the node that runs on a home.
func addrOf(t *testing.T, home string) string {
	t.Helper()
	var s struct{ Addrs []string }
	if err := json.Unmarshal([]byte(ok(t, home, "status", "--json")), &s); err != nil || len(s.Addrs) == 0 {
		t.Fatalf("%v: %v", s, err)
	}
	return s.Addrs[0]
}
