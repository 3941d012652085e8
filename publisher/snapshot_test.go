package publisher_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/publisher"
)

func (w *world) log(id channel.ID) catalog.LogInfo {
	w.t.Helper()
	info, err := w.catalog.Channel(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range info.Logs {
		if l.Log == w.key.Public() {
			return l
		}
	}
	return catalog.LogInfo{}
}

// release publishes a release that says something and names no file.
func (w *world) release(id channel.ID, r publisher.Release) {
	w.t.Helper()
	w.clock.move(time.Second)
	r.Channel, r.Key = id, w.key
	if _, err := w.Publish(w.t.Context(), r); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) dead(id channel.ID) (seqs []uint64) {
	w.t.Helper()
	list, err := w.catalog.Dead(w.t.Context(), id, 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range list {
		seqs = append(seqs, r.Seq)
	}
	return seqs
}

func TestEvery256thReleaseMakesASnapshot(t *testing.T) {
	w := newWorld(t, 0)
	id := w.create("t").Channel
	entries := w.ingest(map[string][]byte{"kept": []byte("x"), "replaced": []byte("y")})
	w.release(id, publisher.Release{Entries: entries})
	for w.log(id).Seq < publisher.SnapshotEvery-1 {
		w.release(id, publisher.Release{Title: "words"})
	}
	if l := w.log(id); l.Snapshot != 0 {
		t.Fatalf("a snapshot of %d after %d releases", l.Snapshot, l.Seq)
	}
	w.release(id, publisher.Release{Title: "the 256th"})
	if l := w.log(id); l.Snapshot != publisher.SnapshotEvery {
		t.Errorf("snapshot of %d", l.Snapshot)
	}
	if live, err := w.catalog.Live(t.Context(), id, w.key.Public()); err != nil || len(live) != 2 || live[0].Seq != 1 {
		t.Errorf("%v count, %v", live, err)
	}
	w.release(id, publisher.Release{Title: "and on"})
	if l := w.log(id); l.Snapshot != publisher.SnapshotEvery {
		t.Errorf("snapshot of %d", l.Snapshot)
	}
}

func TestSnapshotAtOnceTellsWhatWasTakenBack(t *testing.T) {
	w := newWorld(t, 0)
	id := w.create("t").Channel
	w.release(id, publisher.Release{Entries: w.ingest(map[string][]byte{"a": []byte("x")})})
	w.release(id, publisher.Release{Entries: w.ingest(map[string][]byte{"b": []byte("y")})})
	w.release(id, publisher.Release{Remove: []string{"a"}})
	if err := w.Snapshot(t.Context(), id, w.key); err != nil {
		t.Fatal(err)
	}
	if dead := w.dead(id); !slices.Equal(dead, []uint64{1}) {
		t.Errorf("%v are dead", dead)
	}
	was, err := w.catalog.Snapshot(t.Context(), id, w.key.Public())
	if err != nil || was.Seq != 3 {
		t.Fatalf("snapshot of %d, %v", was.Seq, err)
	}
	// Once more says nothing new.
	w.clock.move(time.Hour)
	if err := w.Snapshot(t.Context(), id, w.key); err != nil {
		t.Fatal(err)
	}
	if now, err := w.catalog.Snapshot(t.Context(), id, w.key.Public()); err != nil || now.Payload != was.Payload {
		t.Errorf("another snapshot of %d, %v", now.Seq, err)
	}
	stranger := channeltest.Key("stranger")
	if err := w.Snapshot(t.Context(), id, stranger); err != nil {
		t.Errorf("of a log that is none: %v", err)
	}
}

// A stop, or trouble, at the 256th release leaves the snapshot to the next start.
func TestSnapshotThatIsDueIsMadeLater(t *testing.T) {
	w := newWorld(t, 0)
	id := w.create("t").Channel
	for range 3 {
		w.release(id, publisher.Release{Title: "words"})
	}
	if err := w.Snapshots(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := w.log(id); l.Snapshot != 0 {
		t.Errorf("a snapshot of %d, and none was due", l.Snapshot)
	}
	// Envelopes that this publisher did not make: as a home before there were
	// snapshots has them.
	l := w.log(id)
	var batch [][]byte
	for i := range uint64(publisher.SnapshotEvery) {
		prev := l.Hash
		env, err := channel.Manifest{Format: 1, Channel: id, Root: 1, Log: w.key.Public(), Seq: 4 + i, Prev: &prev,
			Issued: l.Issued, Body: &channel.Body{Title: fmt.Sprint(i)}}.Sign(w.key)
		batch = append(batch, channeltest.Encode(t, env, err))
		l.Hash = env.Hash()
	}
	if err := w.catalog.Append(t.Context(), batch...); err != nil {
		t.Fatal(err)
	}
	if err := w.Snapshots(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l := w.log(id); l.Snapshot != l.Seq {
		t.Errorf("snapshot of %d, the log ends at %d", l.Snapshot, l.Seq)
	}
}

// A home that was restored has a log with holes: until it has caught up it says
// nothing about what counts.
func TestNoSnapshotOfALogThatIsNotWhole(t *testing.T) {
	w, restored := newWorld(t, 0), newWorld(t, 0)
	created := w.create("t")
	id := created.Channel
	w.release(id, publisher.Release{Entries: w.ingest(map[string][]byte{"a": []byte("x")})})
	w.release(id, publisher.Release{Entries: w.ingest(map[string][]byte{"b": []byte("y")})})
	if err := w.Snapshot(t.Context(), id, w.key); err != nil {
		t.Fatal(err)
	}
	restored.key = w.key
	root, err := w.catalog.Roots(t.Context(), id, 1, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := restored.catalog.Found(t.Context(), catalog.Own{Channel: id, Topic: "t", Key: w.key.Public(), KeyFile: w.keyFile}, root...); err != nil {
		t.Fatal(err)
	}
	snap, err := w.catalog.Snapshot(t.Context(), id, w.key.Public())
	if err != nil {
		t.Fatal(err)
	}
	pages, _, err := w.catalog.Pages(t.Context(), id, w.key.Public(), snap.Payload, 0, 0, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	restored.clock.move(time.Hour)
	if o, err := restored.catalog.OfferSnapshot(t.Context(), snap.Envelope, snap.Anchor, pages); err != nil || o.Err != nil {
		t.Fatal(o.Err, err)
	}
	all, err := w.catalog.Manifests(t.Context(), id, w.key.Public(), 1, 2, 10, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := restored.catalog.Live(t.Context(), id, w.key.Public()); !errors.Is(err, catalog.ErrOwed) {
		t.Errorf("what counts of a log with holes: %v", err)
	}
	// It goes on after the last release; what is owed comes later.
	restored.release(id, publisher.Release{Title: "goes on"})
	if err := restored.Snapshot(t.Context(), id, w.key); err != nil {
		t.Fatal(err)
	}
	if l := restored.log(id); l.Snapshot != 2 || l.Owed != 2 {
		t.Errorf("with holes: %+v", l)
	}
	if out, err := restored.catalog.OfferAll(t.Context(), all); err != nil || out[0].Err != nil || out[1].Err != nil {
		t.Fatal(out, err)
	}
	if err := restored.Snapshot(t.Context(), id, w.key); err != nil {
		t.Fatal(err)
	}
	if l := restored.log(id); l.Snapshot != 3 || l.Owed != 0 {
		t.Errorf("caught up: %+v", l)
	}
}

func TestPrivateSnapshotSaysNothingInClear(t *testing.T) {
	w := newWorld(t, 0)
	id := w.createPrivate().Channel
	for i := range 3 {
		w.release(id, publisher.Release{Title: "secret release", Entries: w.ingest(map[string][]byte{fmt.Sprint("secret-name", i%2): []byte("plain")})})
	}
	if err := w.Snapshot(t.Context(), id, w.key); err != nil {
		t.Fatal(err)
	}
	snap, err := w.catalog.Snapshot(t.Context(), id, w.key.Public())
	if err != nil || snap.Epoch != 1 {
		t.Fatalf("%+v, %v", snap.Snapshot, err)
	}
	if dead := w.dead(id); !slices.Equal(dead, []uint64{1}) {
		t.Errorf("%v are dead", dead)
	}
}
