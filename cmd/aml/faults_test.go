package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

// received waits until the fetch has so many bytes on disk.
func (p *program) received(bytes int64) {
	p.t.Helper()
	until(p.t, "the fetch to be under way", func() bool {
		select {
		case <-p.done:
			p.t.Fatalf("the fetch ended before it could be interrupted\n%s", p.stderr)
		default:
		}
		lines := strings.Split(strings.TrimSpace(p.stderr.String()), "\n")
		var progress struct{ Done int64 }
		return json.Unmarshal([]byte(lines[len(lines)-1]), &progress) == nil && progress.Done >= bytes
	})
}

// bytesOf adds up the bytes of blobs that a home received or sent so far, of
// use or not.
func bytesOf(t *testing.T, home, way string) int64 {
	t.Helper()
	var s map[string]json.RawMessage
	var c struct{ Useful, Duplicate, Wasted int64 }
	err := json.Unmarshal([]byte(ok(t, home, "blob-status", "--json")), &s)
	if err == nil {
		err = json.Unmarshal(s[way], &c)
	}
	if err != nil {
		t.Fatal(err)
	}
	return c.Useful + c.Duplicate + c.Wasted
}

// What a killed process got from one peer, the next does not ask another for.
func TestAFetchKilledInTheMiddleGoesOnFromADifferentPeer(t *testing.T) {
	t.Parallel()
	killedInTheMiddle(t, 64<<20)
}

// killedInTheMiddle kills a fetch of so many bytes when it has 60 % of them.
func killedInTheMiddle(t *testing.T, size int) {
	dir := t.TempDir()
	first, second, home, out := filepath.Join(dir, "a"), filepath.Join(dir, "b"), filepath.Join(dir, "f"), filepath.Join(dir, "out")
	file, entry := ingested(t, first, size, "--chunk-size", "128KiB")
	copied(t, first, entry, second)

	seeder := start(t, first, "blob-seed", "-i", entry)
	fetch := start(t, home, "blob-fetch", "-i", entry, "-o", out, "--peer", seeder.addr(), "--progress", "--set", "download=12MiB")
	fetch.received(int64(size) * 6 / 10)
	fetch.kill()
	seeder.interrupt()
	noFile(t, out)

	other := start(t, second, "blob-seed", "-i", entry)
	f := fetched(t, ok(t, home, "blob-fetch", "-i", entry, "-o", out, "--peer", other.addr(), "--json"))
	other.interrupt()
	if all := uint64(size); f.FromPeers > all*41/100 || f.FromStore+f.FromPeers != all {
		t.Errorf("of %d bytes the second run had %d here and took %d from the other peer, more than 41 %%", size, f.FromStore, f.FromPeers)
	}
	sameFile(t, out, file)
	// What both seeders sent, with what was on its way to the killed process:
	// of small files two blobs of the greatest size (docs/performance.md).
	once, again := bytesOf(t, first, "sent"), bytesOf(t, second, "sent")
	t.Logf("%d bytes were sent to the first run, %d to the second", once, again)
	if sent := once + again; sent > int64(size+max(size/100, 2*blobnet.MaxBlobSize)) {
		t.Errorf("to fetch %d bytes %d were transferred", size, sent)
	}
}

// A daemon that finds a rotten blob when a peer asks for it serves nothing
// wrong, says so, and has the blob again from another peer by itself.
func TestBytesThatRotAreNotServedAndAreHadAgainByTheDaemonItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	good, home, out := filepath.Join(dir, "good"), filepath.Join(dir, "rotten"), filepath.Join(dir, "out")
	file, entry := ingested(t, good, 8<<20)
	copied(t, good, entry, home)
	// Who heals has the blobs from an archive and announces no file: otherwise
	// the fetch would find him, and ask nobody for what is rotten.
	healing := filepath.Join(dir, "healing")
	copied(t, good, entry, healing)
	healer := start(t, healing, "daemon").addr()
	daemon := start(t, home, "daemon", "--peer", healer)
	peer := daemon.addr()
	until(t, "the daemon to meet the one that heals it", func() bool { return statusOf(t, home).Peers > 0 })

	const rotten = 3
	var flipped []string
	for _, path := range blobFiles(t, home) {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if len(flipped) < rotten && info.Size() > 1<<20 { // a chunk: without the index nobody would ask for the others
			flip(t, path)
			flipped = append(flipped, path)
		}
	}
	// It may be healed while this fetch is still looking, or after: then the
	// fetch ends without a file. It never ends with a wrong one.
	fetcher := filepath.Join(dir, "f")
	if _, errs, code := amlRun(t, fetcher, "blob-fetch", "-i", entry, "-o", out, "--peer", peer, "--timeout", "2s"); code != 0 {
		noFile(t, out)
		if strings.Contains(errs, "misbehaved") {
			t.Errorf("the daemon was taken for a liar: %s", errs)
		}
	} else {
		sameFile(t, out, file)
	}
	found, healed := map[string]bool{}, map[string]bool{}
	for len(healed) < rotten {
		var e struct {
			ID       string
			Repaired bool
		}
		daemon.wait("rotten").decode(t, &e)
		if e.Repaired {
			healed[e.ID] = true
		} else {
			found[e.ID] = true
		}
	}
	for _, path := range flipped {
		if id := filepath.Base(path); !found[id] || !healed[id] {
			t.Errorf("blob %s: found %v, healed %v", id, found[id], healed[id])
		}
	}
	ok(t, fetcher, "blob-fetch", "-i", entry, "-o", out, "--peer", peer)
	sameFile(t, out, file)
	daemon.interrupt()
	if s := scrub(t, home); s.Blobs != 9 || s.Rotten+s.Missing != 0 {
		t.Errorf("after the repair a scrub finds %+v, want 9 good blobs", s)
	}
}

// What an interrupted run wrote into the file alone is in the store too once the
// fetch that was to keep the blobs says that it is done.
func TestAFetchThatGoesOnWithKeepBlobsKeepsThemAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	seed, home, out := filepath.Join(dir, "p"), filepath.Join(dir, "f"), filepath.Join(dir, "out")
	const size = 16 << 20
	file, entry := ingested(t, seed, size)
	peer := start(t, seed, "blob-seed", "-i", entry).addr()
	fetch := start(t, home, "blob-fetch", "-i", entry, "-o", out, "--peer", peer, "--progress", "--set", "download=16MiB")
	fetch.received(size / 4)
	fetch.kill()
	f := fetched(t, ok(t, home, "blob-fetch", "-i", entry, "-o", out, "--peer", peer, "--keep-blobs", "--json"))
	if f.FromStore < size/4 {
		t.Errorf("%d bytes were here, want %d at least", f.FromStore, size/4)
	}
	sameFile(t, out, file)
	if n := len(blobFiles(t, home)); n != 17 {
		t.Errorf("%d blobs are stored, want 17", n)
	}
}
