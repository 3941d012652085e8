package subscriber_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/subscriber"
)

// placed makes w's subscriber serve out of its output folder.
func placed(t *testing.T, w *world) *inplace.Sieve {
	t.Helper()
	s, err := inplace.Open(t.Context(), inplace.Config{Inner: w.store, Path: filepath.Join(t.TempDir(), "inplace.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	w.place = s.Sieve()
	w.swarm = newSwarm(t, w.place, w.peer)
	return w.place
}

// whole reports whether a file can be had from a source.
func whole(t *testing.T, src blobnet.Source, e channel.FileEntry, content string) bool {
	t.Helper()
	var got bytes.Buffer
	_, err := codec.NewReader(t.Context(), src, e.File()).WriteTo(&got)
	if err != nil && !errors.Is(err, blobnet.ErrNotFound) {
		t.Errorf("%q: %v", e.Name, err)
	}
	return err == nil && got.String() == content
}

func (w *world) stored() int64 {
	w.t.Helper()
	s, err := w.store.Stats(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s.BlobCount
}

func TestAnOutputFolderIsTheStoreOfWhatIsInIt(t *testing.T) {
	w := newWorld(t)
	place := placed(t, w)
	f := files{"a": pattern(10*codec.MinChunkSize, 1), "d/b": "b", "c": pattern(3*codec.MinChunkSize+5, 2), "e": "eee"}
	entries := w.ingest(f)
	w.release(publisherRelease(entries))
	w.update()
	w.wantTree(f)
	for _, e := range entries {
		if !whole(t, place, e, f[e.Name]) {
			t.Errorf("%s is not served", e.Name)
		}
	}
	if n := w.stored(); n != 3 { // two indexes and an inventory
		t.Errorf("%d blobs are stored", n)
	}

	// What the channel replaces or removes is not served any more, nor what the
	// user does away with.
	next := w.ingest(files{"a": pattern(4*codec.MinChunkSize, 3)})
	w.release(publisherRelease(next, "d/b"))
	w.update()
	for i, want := range []bool{false, true, false, true} { // a, c, d/b, e
		if e := entries[i]; whole(t, place, e, f[e.Name]) != want {
			t.Errorf("%s is served: %v", e.Name, !want)
		}
	}
	if !whole(t, place, next[0], pattern(4*codec.MinChunkSize, 3)) {
		t.Error("the new file is not served")
	}
	if err := os.WriteFile(filepath.Join(w.out, "c"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.out, "e")); err != nil {
		t.Fatal(err)
	}
	if whole(t, place, entries[1], f["c"]) || whole(t, place, entries[3], "eee") {
		t.Error("what the user changed is served")
	}
}

func TestWhatIsThereIsServedAfterTheDatabaseIsLost(t *testing.T) {
	w := newWorld(t)
	placed(t, w)
	f := files{"a": pattern(10*codec.MinChunkSize, 1), "b": "b"}
	entries := w.ingest(f)
	w.release(publisherRelease(entries))
	w.update()
	place := placed(t, w)
	if whole(t, place, entries[0], f["a"]) {
		t.Fatal("nothing was lost")
	}
	w.peer.reset()
	w.loseCursor()
	w.update()
	for _, e := range entries {
		if !whole(t, place, e, f[e.Name]) {
			t.Errorf("%s is not served", e.Name)
		}
	}
	if w.peer.asked[entries[1].Root.ID] != 0 {
		t.Error("fetched again")
	}
}

func TestWhatASubscriptionBroughtIsServedAfterTheDatabaseIsLost(t *testing.T) {
	w := newWorld(t)
	placed(t, w)
	f := files{"a": pattern(10*codec.MinChunkSize, 1), "b": "b", "c": "c"}
	entries := w.ingest(f)
	w.release(publisherRelease(entries))
	w.update()
	w.release(publisherRelease(w.ingest(files{"b": "another"})))
	w.update()
	if err := os.WriteFile(filepath.Join(w.out, "c"), []byte("!"), 0o644); err != nil {
		t.Fatal(err)
	}
	place := placed(t, w)
	w.update()
	for i, want := range []bool{true, false, false} {
		if e := entries[i]; whole(t, place, e, f[e.Name]) != want {
			t.Errorf("%s is served: %v", e.Name, !want)
		}
	}
}

func TestWhatNobodyGoesOnWithIsDeleted(t *testing.T) {
	w := newWorld(t)
	place := placed(t, w)
	first := w.ingest(files{"f": pattern(20*codec.MinChunkSize, 1)})
	w.release(publisherRelease(first))
	w.sync()
	var last blobnet.ID
	for id, err := range codec.Blobs(t.Context(), w.pubStore, first[0].File()) {
		if err != nil {
			t.Fatal(err)
		}
		last = id
	}
	w.peer.onGet = func(id blobnet.ID) error {
		if id == last {
			return blobnet.ErrNotFound
		}
		return nil
	}
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
		t.Fatal(err)
	}
	wantFinished(t, w.out, files{})
	// Another fetch into the same folder has something unfinished as well.
	other := w.ingest(files{"other": pattern(20*codec.MinChunkSize, 2)})[0]
	var n atomic.Int64
	w.peer.onGet = func(id blobnet.ID) error {
		if n.Add(1) > 5 || id == last || id == first[0].Root.ID {
			return blobnet.ErrNotFound
		}
		return nil
	}
	if _, err := (subscriber.Download{Swarm: newSwarm(t, place, w.peer), Place: place}).File(t.Context(), other, filepath.Join(w.out, "other")); !errors.Is(err, blobnet.ErrNotFound) {
		t.Fatal(err)
	}
	w.peer.onGet = func(id blobnet.ID) error {
		if id == last || id == first[0].Root.ID {
			return blobnet.ErrNotFound
		}
		return nil
	}
	w.release(publisherRelease(w.ingest(files{"f": "f"})))
	w.sync()
	if err := w.store.Delete(t.Context(), first[0].Root.ID); err != nil && !errors.Is(err, blobnet.ErrPinned) {
		t.Fatal(err)
	}
	if err := w.follow(); err != nil {
		t.Fatal(err)
	}
	wantFinished(t, w.out, files{"f": "f"}) // of the other fetch alone
	parts, err := filepath.Glob(filepath.Join(w.out, channel.PartialFolder, "*", "*.part"))
	if err != nil || len(parts) != 1 {
		t.Errorf("%v, %v", parts, err)
	}
	got, err := subscriber.Download{Swarm: newSwarm(t, place, w.peer), Place: place}.File(t.Context(), other, filepath.Join(w.out, "other"))
	if err != nil || got.FromStore == 0 {
		t.Errorf("%+v, %v", got, err)
	}
	w.wantTree(files{"f": "f", "other": pattern(20*codec.MinChunkSize, 2)})
}

func TestChunksAreServedWhileTheFileGrows(t *testing.T) {
	w := newWorld(t)
	place := placed(t, w)
	e := w.ingest(files{"f": pattern(30*codec.MinChunkSize, 1)})[0]
	var chunks []codec.Ref
	for c, err := range codec.Chunks(t.Context(), w.pubStore, e.File()) {
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, c.Ref)
	}
	errStop := errors.New("stop")
	ctx, cancel := context.WithCancelCause(t.Context())
	var given atomic.Int64
	_, err := subscriber.Download{Swarm: w.swarm, Place: place, OnProgress: func(p subscriber.Progress) {
		if given.Add(1) == 1 { // some chunk is verified
			cancel(errStop)
		}
	}}.File(ctx, e, filepath.Join(t.TempDir(), "f"))
	if !errors.Is(err, errStop) {
		t.Fatal(err)
	}
	n := 0
	for _, c := range chunks {
		if _, err := place.Get(t.Context(), c.ID, nil); err == nil {
			n++
		}
	}
	if n == 0 {
		t.Error("an unfinished file serves nothing")
	}
	if n := w.stored(); n > 1 {
		t.Errorf("%d blobs are stored", n)
	}
}

func TestWithKeepBlobsBothAreKept(t *testing.T) {
	w := newWorld(t)
	place := placed(t, w)
	f := files{"a": pattern(10*codec.MinChunkSize, 1)}
	entries := w.ingest(f)
	w.release(publisherRelease(entries))
	w.sync()
	order := w.order()
	order.KeepBlobs = true
	if err := w.subscriber().Follow(t.Context(), order, w.emit); err != nil {
		t.Fatal(err)
	}
	if n := w.stored(); n != 12 {
		t.Errorf("%d blobs are stored", n)
	}
	if u, err := place.Usage(t.Context()); err != nil || u.Files != 1 || u.Blobs != 10 {
		t.Errorf("%+v, %v", u, err)
	}
	// Once the copies are gone the file is served all the same.
	for c, err := range codec.Chunks(t.Context(), place, entries[0].File()) {
		if err == nil {
			err = w.store.Delete(t.Context(), c.Ref.ID)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !whole(t, place, entries[0], f["a"]) {
		t.Error("it is not served in place")
	}
}

func TestADownloadGoesOnFromAnotherPeer(t *testing.T) {
	for _, way := range []string{"as it was", "damaged", "of something else", "a link in its place"} {
		t.Run(way, func(t *testing.T) {
			w := newWorld(t)
			place := placed(t, w)
			content := pattern(200*codec.MinChunkSize, 1)
			e := w.ingest(files{"f": content})[0]
			dir := t.TempDir()
			out := filepath.Join(dir, "f")
			errStop := errors.New("stop")
			ctx, cancel := context.WithCancelCause(t.Context())
			var asked atomic.Int64
			w.peer.onGet = func(blobnet.ID) error {
				if asked.Add(1) == 120 {
					cancel(errStop)
				}
				return nil
			}
			var err error
			if w.swarm, err = fetch.New(fetch.Config{Store: place, MaxOutstanding: 1 << 20}); err != nil { // a few at a time
				t.Fatal(err)
			}
			w.swarm.Add(w.peer)
			if _, err := (subscriber.Download{Swarm: w.swarm, Place: place}).File(ctx, e, out); !errors.Is(err, errStop) {
				t.Fatal(err)
			}
			parts, err := filepath.Glob(filepath.Join(dir, channel.PartialFolder, "*", "*.part"))
			if err != nil || len(parts) != 1 {
				t.Fatal(parts, err)
			}
			most := uint64(200-120+20) * codec.MinChunkSize // those under way may be lost
			switch way {
			case "damaged":
				data, err := os.ReadFile(parts[0])
				if err != nil {
					t.Fatal(err)
				}
				for i := 0; i < 10; i++ {
					data[i*codec.MinChunkSize] ^= 1
				}
				if err := os.WriteFile(parts[0], append(data, content...), 0o600); err != nil {
					t.Fatal(err)
				}
				most += 10 * codec.MinChunkSize
			case "of something else":
				e = w.ingest(files{"f": content + "!"})[0]
				most = e.Size
			case "a link in its place":
				if err := errors.Join(os.Remove(parts[0]), os.Symlink("/dev/null", parts[0])); err != nil {
					t.Skip(err)
				}
				most = e.Size
			}
			other := &peer{Source: w.pubStore, asked: map[blobnet.ID]int{}}
			got, err := subscriber.Download{Swarm: newSwarm(t, placed(t, w), other), Place: w.place}.File(t.Context(), e, out)
			if err != nil || got.FromPeers > most || got.FromPeers+got.FromStore != e.Size {
				t.Errorf("%+v, %v; want at most %d from peers", got, err, most)
			}
			wantTree(t, dir, files{"f": (content + "!")[:e.Size]})
			if !whole(t, w.place, e, (content + "!")[:e.Size]) {
				t.Error("it is not served")
			}
		})
	}
}

func TestAFileThatIsThereIsServedForEveryEntryOfItsContent(t *testing.T) {
	w := newWorld(t)
	place := placed(t, w)
	content := pattern(5*codec.MinChunkSize, 1)
	out := filepath.Join(t.TempDir(), "f")
	for range 2 {
		e := w.ingest(files{"f": content})[0] // other keys each time
		got, err := subscriber.Download{Swarm: w.swarm, Place: place}.File(t.Context(), e, out)
		if err != nil || got.SHA256 != e.SHA256 {
			t.Fatal(got, err)
		}
		if !whole(t, place, e, content) {
			t.Error("it is not served")
		}
		w.peer.reset()
		got, err = subscriber.Download{Swarm: w.swarm, Place: place}.File(t.Context(), e, out)
		if n := w.peer.reset(); err != nil || n != 0 {
			t.Errorf("%d were asked for of what is here, %v", n, err)
		}
	}
}

func TestWithKeepBlobsAFullStoreEndsWithTheFileInPlace(t *testing.T) {
	w := newWorld(t)
	w.store = memstore.New(memstore.Config{MaxSize: 4 * codec.MinChunkSize})
	place := placed(t, w).Keeper()
	w.swarm = newSwarm(t, place, w.peer)
	content := pattern(20*codec.MinChunkSize, 1)
	e := w.ingest(files{"f": content})[0]
	d := subscriber.Download{Swarm: w.swarm, Place: place, KeepBlobs: true}
	if _, err := d.File(t.Context(), e, filepath.Join(t.TempDir(), "f")); err != nil {
		t.Fatal(err)
	}
	if !whole(t, place, e, content) {
		t.Error("it is not served")
	}
	if w.stored() < 2 {
		t.Error("no blobs are kept")
	}
}
