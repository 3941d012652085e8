package subscriber_test

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

func (w *world) retract(reason string, names ...string) {
	w.t.Helper()
	if _, _, err := w.pub.Retract(w.t.Context(), publisher.Retraction{Channel: w.id, Key: w.key, Names: names, Reason: reason}); err != nil {
		w.t.Fatal(err)
	}
}

// One of two files is taken back when its first chunk is asked for, and nobody has
// any of it from then on: the fetch goes on with the other.
func TestAFileThatIsTakenBackWhileItIsFetchedIsFetchedNoFurther(t *testing.T) {
	for what, inPlace := range map[string]bool{"blobs kept": false, "in the output folder": true} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			if inPlace {
				placed(t, w)
			}
			good, bad := pattern(20*codec.MinChunkSize, 1), pattern(30*codec.MinChunkSize, 2)
			entries := w.ingest(files{"bad": bad, "good": good})
			w.release(publisherRelease(entries))
			w.sync()
			of := map[blobnet.ID]bool{}
			for id, err := range codec.Blobs(t.Context(), w.pubStore, entries[0].File()) {
				if err != nil {
					t.Fatal(err)
				}
				of[id] = id != entries[0].Root.ID
			}
			var once sync.Once
			w.peer.onGet = func(id blobnet.ID) error {
				if !of[id] {
					return nil
				}
				once.Do(func() {
					w.retract("wrong cut", "bad")
					w.sync()
				})
				return blobnet.ErrNotFound
			}
			if err := w.follow(); err != nil {
				t.Fatal(err)
			}
			w.wantTree(files{"good": good})
			for _, e := range w.take() {
				if e, ok := e.(subscriber.ErrorEvent); ok {
					t.Errorf("told %+v", e)
				}
			}
		})
	}
}

func TestWhoJoinsLaterNeverAsksForWhatWasTakenBackEvenByABodyInABlob(t *testing.T) {
	w := newWorld(t)
	content := pattern(3*codec.MinChunkSize, 1)
	bad := w.ingest(files{"bad": content})
	w.release(publisherRelease(bad))
	many := files{}
	for i := range 300 { // so that the body lies in a blob
		many[fmt.Sprintf("files of a longer name %d/%0150d", i%7, i)] = "x"
	}
	w.publish("many", many, "bad")
	w.update()
	for id, err := range codec.Blobs(t.Context(), w.pubStore, bad[0].File()) {
		if err != nil {
			t.Fatal(err)
		}
		if w.peer.asked[id] > 0 {
			t.Errorf("blob %s was asked for", id)
		}
	}
	w.wantTree(many)
}

func TestARemovalSaysWhy(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"a": "a", "b": "b"})
	w.update()
	w.take()
	w.retract("wrong cut", "a")
	w.update()
	for _, e := range w.take() {
		if e, ok := e.(subscriber.RemovedEvent); ok && e.Name == "a" && e.Reason == "wrong cut" {
			w.wantTree(files{"b": "b"})
			return
		}
	}
	t.Error("nothing was told")
}

func TestAFileThatSomebodyChangedStaysAndIsServedNoMore(t *testing.T) {
	w := newWorld(t)
	place := placed(t, w)
	content := pattern(4*codec.MinChunkSize, 1)
	entries := w.ingest(files{"a": content})
	w.release(publisherRelease(entries))
	w.update()
	if !whole(t, place, entries[0], content) {
		t.Fatal("the file is not served")
	}
	if err := os.WriteFile(filepath.Join(w.out, "a"), []byte(content+"more"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.retract("wrong cut", "a")
	w.update()
	w.wantTree(files{"a": content + "more"})
	for id, err := range codec.Blobs(t.Context(), w.pubStore, entries[0].File()) {
		if err != nil {
			t.Fatal(err)
		}
		if has, err := place.Has(t.Context(), id); err != nil || has[0] && id != entries[0].Root.ID { // the index is let go of with the rest of what was taken back
			t.Errorf("blob %s is served (%v)", id, err)
		}
	}
	if tally, err := w.ledger.Tally(t.Context(), w.sub.ID); err != nil || tally.Files != 0 {
		t.Errorf("it counts as the subscription's: %+v, %v", tally, err)
	}
}

// syncSnapshot carries the newest snapshot over.
func (w *world) syncSnapshot() {
	w.t.Helper()
	s, err := w.pubLedger.Snapshot(w.t.Context(), w.id, w.key.Public())
	if err != nil {
		w.t.Fatal(err)
	}
	pages, _, err := w.pubLedger.Pages(w.t.Context(), w.id, w.key.Public(), s.Payload, 0, 10, 10, 1<<20)
	if err == nil {
		_, err = w.ledger.OfferSnapshot(w.t.Context(), s.Envelope, s.Anchor, pages)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestABlindMirrorFetchesNoFurtherWhatASnapshotCallsDead(t *testing.T) {
	w := newWorldOf(t, channel.Private)
	entries := w.ingest(files{"bad": pattern(20*codec.MinChunkSize, 1)})
	w.release(publisherRelease(entries))
	w.release(publisherRelease(w.ingest(files{"good": pattern(3*codec.MinChunkSize, 2)})))
	w.sync()
	of := map[blobnet.ID]bool{}
	for id, err := range codec.Blobs(t.Context(), w.pubStore, entries[0].File()) {
		if err != nil {
			t.Fatal(err)
		}
		of[id] = true
	}
	var once sync.Once
	w.peer.onGet = func(id blobnet.ID) error {
		if !of[id] {
			return nil
		}
		once.Do(func() {
			w.retract("wrong cut", "bad")
			if err := w.pub.Snapshot(t.Context(), w.id, w.key); err != nil {
				t.Error(err)
			}
			w.sync()
			w.syncSnapshot()
		})
		return blobnet.ErrNotFound
	}
	if err := w.follow(); err != nil {
		t.Fatal(err)
	}
	w.wantTold("mirrored 2", "mirrored 3")
	w.loseCursor()
	w.sync()
	w.syncSnapshot()
	w.peer.reset()
	if err := w.follow(); err != nil {
		t.Fatal(err)
	}
	w.wantTold("mirrored 2", "mirrored 3")
	for id := range of {
		if w.peer.asked[id] > 0 {
			t.Errorf("blob %s was asked for by who joined later", id)
		}
	}
}
