package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// wholeOrAbsent fails if a file of want is in got under its name with other
// bytes.
func wholeOrAbsent(t *testing.T, got, want string) {
	t.Helper()
	if _, err := os.Stat(got); err != nil {
		return
	}
	w := tree(t, want)
	for name, sum := range tree(t, got) {
		if w[name] != sum {
			t.Errorf("%s stands under its final name with wrong bytes", name)
		}
	}
}

func TestASubscriberKilledAtAnyMomentEndsUpWithEverything(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content, home, out := filepath.Join(dir, "content"), filepath.Join(dir, "p"), filepath.Join(dir, "out")
	for i := range 30 {
		noise(t, filepath.Join(content, fmt.Sprintf("%02d.bin", i)), 200_000*(i%5)+i, uint64(i))
	}
	address := publish(t, home, "data", content)
	daemon := start(t, home, "daemon")
	peer := daemon.addr()
	reported := map[string]bool{}
	for round := range 6 {
		sub := start(t, filepath.Join(dir, "s"), "channel-subscribe", address, "-o", out, "--peer", peer, "--once")
		sub.wait("listening")
		limit := time.After(time.Duration(round*40) * time.Millisecond)
	events:
		for {
			select {
			case e, open := <-sub.events:
				if !open {
					break events
				}
				if e.name == "file" {
					var f struct {
						Name string `json:"name"`
					}
					e.decode(t, &f)
					reported[f.Name] = true
				}
			case <-limit:
				break events
			}
		}
		sub.kill()
		wholeOrAbsent(t, out, content)
		have := tree(t, out)
		if len(have) < len(reported) {
			t.Fatalf("round %d: %d files were reported done, %d are there", round, len(reported), len(have))
		}
	}
	ok(t, filepath.Join(dir, "s"), "channel-subscribe", address, "-o", out, "--peer", peer, "--once")
	sameTree(t, out, content)
}

func TestAFetchKilledInTheMiddleAsksOnlyForWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, entry, out := filepath.Join(dir, "film"), filepath.Join(dir, "entry.json"), filepath.Join(dir, "out")
	const size = 128 << 20
	noise(t, file, size, 1)
	ok(t, filepath.Join(dir, "p"), "ingest", "-i", file, "-o", entry)
	peer := start(t, filepath.Join(dir, "p"), "blob-seed", "-i", entry).addr()
	// Slowly enough to be killed at 60 %.
	first := start(t, filepath.Join(dir, "f"), "blob-fetch", "-i", entry, "-o", out, "--peer", peer, "--progress", "--set", "download=32MiB")
	for at := int64(0); at < size*6/10; {
		select {
		case <-first.done:
			t.Fatalf("the fetch ended before it could be killed\n%s", first.stderr)
		default:
		}
		lines := strings.Split(strings.TrimSpace(first.stderr.String()), "\n")
		var progress struct{ Done int64 }
		if json.Unmarshal([]byte(lines[len(lines)-1]), &progress) == nil {
			at = max(at, progress.Done)
		}
	}
	first.kill()
	var res struct {
		Files []struct {
			FromStore uint64 `json:"fromStore"`
			FromPeers uint64 `json:"fromPeers"`
		} `json:"files"`
	}
	lines := strings.Split(strings.TrimSpace(ok(t, filepath.Join(dir, "f"), "blob-fetch", "-i", entry, "-o", out, "--peer", peer, "--json")), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &res); err != nil {
		t.Fatal(err)
	}
	if f := res.Files[0]; f.FromPeers > size*41/100 || f.FromStore+f.FromPeers != size {
		t.Errorf("of %d bytes the second run had %d here and took %d from peers, more than 41 %%", size, f.FromStore, f.FromPeers)
	}
	if tree(t, dir)["out"] != tree(t, dir)["film"] {
		t.Error("the fetched file differs")
	}
}

func TestAPublisherKilledAtAnyMomentKeepsWhatItReported(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := filepath.Join(dir, "p")
	done := 0
	for round := range 8 {
		file := filepath.Join(dir, fmt.Sprintf("%d.bin", round))
		noise(t, file, 3<<20, uint64(round))
		pub := start(t, home, "channel-publish", "data", file)
		pub.wait("listening")
		limit := time.After(time.Duration(round*15) * time.Millisecond)
	events:
		for {
			select {
			case e, open := <-pub.events:
				if !open {
					t.Fatalf("publishing ended by itself\n%s", pub.stderr)
				}
				if e.name == "published" {
					var res struct {
						Seq int `json:"seq"`
					}
					e.decode(t, &res)
					done = max(done, res.Seq)
					break events
				}
			case <-limit:
				break events
			}
		}
		pub.kill()
	}
	file := filepath.Join(dir, "last.bin")
	noise(t, file, 1000, 99)
	address := publish(t, home, "data", file)
	var list []struct {
		Address  string `json:"address"`
		Releases int    `json:"releases"`
	}
	if err := json.Unmarshal([]byte(ok(t, home, "channel-list", "--json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) != 1 || list[0].Address != address || list[0].Releases < done+1 {
		t.Errorf("after the kills the channels are %+v; at least %d releases were reported", list, done+1)
	}
	// What is listed can be had.
	daemon := start(t, home, "daemon")
	ok(t, filepath.Join(dir, "s"), "channel-subscribe", address, "-o", filepath.Join(dir, "out"), "--peer", daemon.addr(), "--once")
	wholeOrAbsent(t, filepath.Join(dir, "out"), dir)
}

// The index of the blob store is only that: without it nothing published is
// lost, nor becomes prey to eviction.
func TestWithTheIndexLostPublishedBlobsAreFoundAndPinnedAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, file := filepath.Join(dir, "p"), filepath.Join(dir, "file")
	noise(t, file, 3<<20, 1)
	publish(t, home, "data", file)
	status := func() (s struct{ BlobCount, Pinned int64 }) {
		t.Helper()
		if err := json.Unmarshal([]byte(ok(t, home, "blob-status", "--json")), &s); err != nil {
			t.Fatal(err)
		}
		return s
	}
	before := status()
	if before.BlobCount < 4 || before.Pinned != before.BlobCount {
		t.Fatalf("after publishing: %+v", before)
	}
	for _, index := range []string{"index.db", "index.db-wal", "index.db-shm"} {
		if err := os.Remove(filepath.Join(home, "blobs", index)); err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	if after := status(); after != before {
		t.Errorf("with the index lost: %+v, before: %+v", after, before)
	}
}
