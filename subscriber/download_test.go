package subscriber_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/flock"
	"github.com/anonymous-media-library/aml/subscriber"
)

func TestAFileIsFetchedVerifiedAndThenCheap(t *testing.T) {
	w := newWorld(t)
	content := pattern(30*codec.MinChunkSize+1, 1)
	e := w.ingest(files{"movie.mkv": content})[0]
	dir := t.TempDir()
	out := filepath.Join(dir, "out.mkv")
	var last subscriber.Progress
	get := func() (subscriber.Fetched, error) {
		return downloadFile(t.Context(), w.swarm, e, out, func(p subscriber.Progress) { last = p })
	}
	f, err := get()
	size := uint64(len(content))
	if err != nil || f.Path != out || f.FromPeers != size || f.FromStore != 0 || f.SHA256 != e.SHA256 {
		t.Errorf("%+v, %v", f, err)
	}
	if last != (subscriber.Progress{Name: "movie.mkv", Done: size, Total: size, Peers: size}) {
		t.Errorf("last progress %+v", last)
	}
	wantTree(t, dir, files{"out.mkv": content})
	w.peer.reset()

	if f, err = get(); err != nil || f.FromStore != size || last.Local != size {
		t.Errorf("with the file there: %+v, %v", f, err)
	}
	if err := os.WriteFile(out, []byte("something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	if f, err = get(); err != nil || f.FromStore != size || f.FromPeers != 0 {
		t.Errorf("with the blobs there: %+v, %v", f, err)
	}
	wantTree(t, dir, files{"out.mkv": content})
	if n := w.peer.reset(); n != 0 {
		t.Errorf("%d blobs were asked for again", n)
	}
}

func TestAnEndedDownloadGoesOnWhereItWas(t *testing.T) {
	w := newWorld(t)
	content := pattern(60*codec.MinChunkSize, 1)
	e := w.ingest(files{"f": content})[0]
	dir := t.TempDir()
	errStop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	var asked atomic.Int64
	w.peer.onGet = func(blobnet.ID) error {
		if asked.Add(1) == 20 {
			cancel(errStop)
		}
		return nil
	}
	var err error
	if w.swarm, err = fetch.New(fetch.Config{Store: w.store, MaxOutstanding: 1 << 20}); err != nil { // a few at a time
		t.Fatal(err)
	}
	w.swarm.Add(w.peer)
	_, err = downloadFile(ctx, w.swarm, e, filepath.Join(dir, "f"), nil)
	if !errors.Is(err, errStop) {
		t.Errorf("%v", err)
	}
	wantFinished(t, dir, files{})
	stats, err := w.store.Stats(t.Context())
	if err != nil || stats.BlobCount < 5 || stats.BlobCount > 40 {
		t.Fatalf("%d blobs after the end, %v", stats.BlobCount, err)
	}
	w.peer.onGet = nil
	w.peer.reset()
	f, err := downloadFile(t.Context(), w.swarm, e, filepath.Join(dir, "f"), nil)
	if err != nil || f.FromStore == 0 || f.FromStore+f.FromPeers != e.Size {
		t.Errorf("%+v, %v", f, err)
	}
	wantTree(t, dir, files{"f": content})
	if n := int64(w.peer.reset()); n != 61-stats.BlobCount {
		t.Errorf("%d blobs asked for, %d of 61 were here", n, stats.BlobCount)
	}
}

func TestADownloadThatFailsLeavesNothing(t *testing.T) {
	w := newWorld(t)
	entries := w.ingest(files{"big": pattern(5*codec.MinChunkSize, 1), "small": "small"})
	big, small := entries[0], entries[1]
	change := func(e channel.FileEntry, f func(*channel.FileEntry)) channel.FileEntry { f(&e); return e }
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		e    channel.FileEntry
		out  string
		want error
	}{
		"another hash":    {change(big, func(e *channel.FileEntry) { e.SHA256[31] ^= 1 }), "x", codec.ErrHash},
		"a wrong key":     {change(big, func(e *channel.FileEntry) { e.Root.Key[0] ^= 1 }), "x", codec.ErrSealed},
		"a foreign blob":  {change(big, func(e *channel.FileEntry) { e.Root.ID = small.Root.ID }), "x", codec.ErrSealed},
		"a wrong size":    {change(small, func(e *channel.FileEntry) { e.Size, e.Root.Size = 99, 99 }), "x", codec.ErrHash},
		"nobody has it":   {change(small, func(e *channel.FileEntry) { e.Root.ID[0] ^= 1 }), "x", blobnet.ErrNotFound},
		"an absurd size":  {change(big, func(e *channel.FileEntry) { e.Size = 1 }), "x", channel.ErrMalformed},
		"onto a folder":   {small, "folder", subscriber.ErrConflict},
		"into no folder":  {small, "nowhere/x", fs.ErrNotExist},
		"a hostile name":  {change(small, func(e *channel.FileEntry) { e.Name = "../../x" }), "x", channel.ErrName},
		"the name of all": {small, "..", subscriber.ErrConflict},
	} {
		_, err := downloadFile(t.Context(), w.swarm, test.e, dir+string(filepath.Separator)+test.out, nil)
		if !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", name, err, test.want)
		}
		wantTree(t, dir, files{"folder": "/"})
	}
}

func TestAFolderIsFetchedAndWhatFailsIsNamed(t *testing.T) {
	w := newWorld(t)
	f := files{"a": pattern(3*codec.MinChunkSize, 1), "b/c": "c", "d": "d"}
	entries := w.ingest(f)
	dir := filepath.Join(t.TempDir(), "new", "folder")
	got, err := downloadFolder(t.Context(), w.swarm, entries, dir, nil)
	if err != nil || len(got) != 3 || got[1].Path != filepath.Join(dir, "b", "c") {
		t.Errorf("%+v, %v", got, err)
	}
	wantTree(t, dir, f)

	dir = filepath.Join(t.TempDir(), "partly")
	entries[1].SHA256[0] ^= 1
	entries[2].Root.ID[0] ^= 1
	got, err = downloadFolder(t.Context(), w.swarm, entries, dir, nil)
	if !errors.Is(err, codec.ErrHash) || !errors.Is(err, blobnet.ErrNotFound) || len(got) != 1 ||
		!strings.Contains(err.Error(), `"b/c"`) || !strings.Contains(err.Error(), `"d"`) {
		t.Errorf("%+v, %v", got, err)
	}
	wantTree(t, dir, files{"a": f["a"]})

	entries = w.ingest(files{"x": "x"})
	for _, name := range []string{"../x", "/x", `a\b`, "a\x00b", "a//b", ".", "", ".aml-partial/x", "a/../../x", "nul\u202e"} {
		entries[0].Name = name
		if _, err := downloadFolder(t.Context(), w.swarm, entries, dir, nil); !errors.Is(err, channel.ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
	entries[0].Name = "x"
	if _, err := downloadFolder(t.Context(), w.swarm, append(entries, entries[0]), dir, nil); !errors.Is(err, channel.ErrName) {
		t.Errorf("one name twice: %v", err)
	}
	wantTree(t, filepath.Dir(dir), files{"partly/a": f["a"]})
}

func TestDownloadsSideBySideDoNotDisturbEachOther(t *testing.T) {
	w := newWorld(t)
	f := files{}
	for i := range 8 {
		f[fmt.Sprint(i)] = pattern(10*codec.MinChunkSize+i, byte(i))
	}
	entries := w.ingest(f)
	dir := t.TempDir()
	var group sync.WaitGroup
	for _, e := range entries {
		group.Go(func() {
			if _, err := downloadFile(t.Context(), w.swarm, e, filepath.Join(dir, e.Name), func(subscriber.Progress) {}); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	wantTree(t, dir, f)
}

func TestOneFileIsNotDownloadedTwiceAtATime(t *testing.T) {
	w := newWorld(t)
	e := w.ingest(files{"f": "f"})[0]
	out := filepath.Join(t.TempDir(), "f")
	var group sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		group.Go(func() { _, errs[i] = downloadFile(t.Context(), w.swarm, e, out, nil) })
	}
	group.Wait()
	done := 0
	for _, err := range errs {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, flock.ErrLocked):
			t.Error(err)
		case strings.Contains(err.Error(), "process id") && !strings.Contains(err.Error(), "another fetch of this node writes there"):
			t.Error(err) // without the id the other one has not written it yet
		}
	}
	if done == 0 {
		t.Error("none came through")
	}
	wantTree(t, filepath.Dir(out), files{"f": "f"})
}
