package subscriber_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

// lost are blobs that the peer says it has not.
type lost struct {
	mu  sync.Mutex
	ids map[blobnet.ID]bool
}

// lose makes the peer say that it has none of the blobs.
func (w *world) lose(ids ...blobnet.ID) *lost {
	l := &lost{ids: map[blobnet.ID]bool{}}
	for _, id := range ids {
		l.ids[id] = true
	}
	w.peer.onGet = func(id blobnet.ID) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.ids[id] {
			return blobnet.ErrNotFound
		}
		return nil
	}
	return l
}

func (l *lost) found() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.ids)
}

// following is a Follow that goes on.
type following struct {
	t    *testing.T
	news chan string
	end  func() error
}

// begin begins to follow until the test ends.
func (w *world) begin() *following {
	w.t.Helper()
	f := &following{t: w.t, news: make(chan string, 1000)}
	ctx, cancel := context.WithCancel(w.t.Context())
	order, done := w.order(), make(chan error, 1)
	order.Once = false
	s := w.subscriber()
	go func() {
		done <- s.Follow(ctx, order, func(e subscriber.Event) {
			for _, line := range told([]subscriber.Event{e}) {
				f.news <- line
			}
		})
	}()
	f.end = sync.OnceValue(func() error { cancel(); return <-done })
	w.t.Cleanup(func() { f.end() })
	return f
}

// tells waits for these lines, in this order.
func (f *following) tells(want ...string) {
	f.t.Helper()
	for _, line := range want {
		select {
		case got := <-f.news:
			if got != line {
				f.t.Fatalf("told %q, want %q", got, line)
			}
		case <-f.t.Context().Done():
			f.t.Fatalf("%q was not told", line)
		}
	}
}

// One file that nobody has any more must not stop what comes after it, of its own
// log or of another one.
func TestAReleaseThatNobodyHasHoldsUpNoOther(t *testing.T) {
	w := newOwned(t)
	gone := w.ingest(files{"gone": "gone"})
	w.release(publisherRelease(gone))
	l := w.lose(gone[0].Root.ID)
	w.syncAll()
	f := w.begin()
	f.tells("manifest 1 release", "missing gone")
	w.publish("two", files{"b": "b"})
	w.syncAll()
	f.tells("manifest 2 two", "file b")
	w.as(w.guest, files{"c": "c"})
	w.syncAll()
	f.tells("manifest 1 ", "file c")
	l.found()
	f.tells("manifest 1 release", "file gone")
	if err := f.end(); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	w.update()
	w.wantTree(files{"b": "b", "c": "c", "gone": "gone"})
	if tally, err := w.ledger.Tally(t.Context(), w.sub.ID); err != nil || len(tally.Passed) != 0 {
		t.Errorf("left out are %v, %v", tally.Passed, err)
	}
}

func TestWhatNobodyHadIsRememberedAcrossARestart(t *testing.T) {
	w := newWorld(t)
	gone := w.ingest(files{"a": "a", "gone": "gone", "z": "z"})
	root := gone[slices.IndexFunc(gone, func(e channel.FileEntry) bool { return e.Name == "gone" })].Root.ID
	w.release(publisherRelease(gone))
	w.publish("two", files{"b": "b"})
	w.sync()
	l := w.lose(root)
	err := w.follow()
	if !errors.Is(err, blobnet.ErrNotFound) || !strings.Contains(err.Error(), root.String()) || !strings.Contains(err.Error(), "gone") {
		t.Errorf("once: %v", err)
	}
	w.wantTold("manifest 1 release", "file a", "file z", "missing gone", "manifest 2 two", "file b")
	w.wantTree(files{"a": "a", "b": "b", "z": "z"})
	tally, err := w.ledger.Tally(t.Context(), w.sub.ID)
	if err != nil || len(tally.Passed) != 1 || tally.Passed[0].Reason != "missing" || tally.Passed[0].Files != 1 || tally.Passed[0].Bytes != 4 {
		t.Errorf("left out are %+v, %v", tally.Passed, err)
	}
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
		t.Errorf("once more: %v", err)
	}
	w.wantTold()
	l.found()
	w.update()
	w.wantTold("manifest 1 release", "file gone")
	w.wantTree(files{"a": "a", "b": "b", "gone": "gone", "z": "z"})
}

// A node that nobody answers knows nothing of what others have.
func TestANodeThatReachesNobodyPassesNothingOver(t *testing.T) {
	for what, fail := range map[string]error{"no peer": nil, "a peer that fails": errors.New("no route"), "a peer that is busy": blobnet.ErrBusy} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			w.publish("one", files{"a": "a"})
			w.publish("two", files{"b": "b"})
			w.sync()
			if w.swarm = newSwarm(t, w.store); fail != nil {
				w.peer.onGet = func(blobnet.ID) error { return fail }
				w.swarm.Add(w.peer)
			}
			if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
				t.Error(err)
			}
			w.wantTold("manifest 1 one")
			if cursor, err := w.ledger.Cursor(t.Context(), w.sub.ID, w.id); err != nil || cursor != 0 {
				t.Errorf("the cursor is at %d, %v", cursor, err)
			}
			w.peer.onGet = nil
			w.swarm = newSwarm(t, w.store, w.peer)
			w.update()
			w.wantTree(files{"a": "a", "b": "b"})
		})
	}
}

// What was replaced or removed since does not come back when its blobs do.
func TestWhatNobodyHadDoesNotOverwriteWhatCameSince(t *testing.T) {
	w := newWorld(t)
	gone := w.ingest(files{"replaced": "old", "removed": "old", "stays": "x"})
	w.release(publisherRelease(gone))
	w.sync()
	l := w.lose(gone[0].Root.ID, gone[1].Root.ID, gone[2].Root.ID)
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
		t.Error(err)
	}
	w.publish("two", files{"replaced": "new"}, "removed")
	w.sync()
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
		t.Error(err)
	}
	w.wantTree(files{"replaced": "new"})
	l.found()
	w.update()
	w.wantTree(files{"replaced": "new", "stays": "x"})
	w.update()
	w.wantTree(files{"replaced": "new", "stays": "x"})
}

// longMetadata makes a body too large for its manifest.
func longMetadata() map[string]string {
	m := map[string]string{}
	for i := range 16 {
		m[fmt.Sprint(i)] = strings.Repeat("x", 4000)
	}
	return m
}

// large is a release whose body lies in a blob, which the peer loses.
func (w *world) large(f files, remove ...string) *lost {
	w.t.Helper()
	r := publisherRelease(w.ingest(f), remove...)
	r.Metadata = longMetadata()
	w.release(r)
	releases, err := w.pubLedger.Releases(w.t.Context(), w.id, 0, 0)
	if err != nil || len(releases) == 0 || releases[len(releases)-1].Ref == nil {
		w.t.Fatal("the body is in no blob", err)
	}
	return w.lose(releases[len(releases)-1].Ref.ID)
}

// A body that nobody has may remove and bring anything. What later releases said
// stands when it comes; the rest of it is done.
func TestABodyThatNobodyHasHoldsUpNoOther(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"stale": "1", "kept": "1", "changed": "1"})
	w.update()
	w.take()
	l := w.large(files{"late": "late", "changed": "2"}, "stale", "kept")
	w.publish("three", files{"kept": "3", "changed": "3"})
	w.sync()
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) || !strings.Contains(err.Error(), "its body") {
		t.Error(err)
	}
	w.wantTold("missing", "manifest 3 three", "file changed", "file kept")
	w.wantTree(files{"stale": "1", "kept": "3", "changed": "3"})
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
		t.Error(err)
	}
	w.wantTold()
	l.found()
	w.update()
	w.wantTold("manifest 2 release", "removed stale", "file late")
	w.wantTree(files{"late": "late", "kept": "3", "changed": "3"})
	w.update()
	w.wantTold()
}

// A publisher may serve all but one chunk for ever: the rest is not fetched with
// every look.
func TestWhatCameOfAFileThatNobodyHasAllOfIsNotFetchedTwice(t *testing.T) {
	for what, place := range map[string]bool{"blobs kept": false, "in place": true} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			if place {
				placed(t, w)
			}
			content := pattern(20*codec.MinChunkSize, 1)
			gone := w.ingest(files{"gone": content})
			var last blobnet.ID
			for id, err := range codec.Blobs(t.Context(), w.pubStore, gone[0].File()) {
				if err != nil {
					t.Fatal(err)
				}
				last = id
			}
			w.release(publisherRelease(gone))
			l := w.lose(last)
			w.sync()
			if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
				t.Error(err)
			}
			w.publish("two", files{"b": "b"})
			w.sync()
			w.peer.reset()
			for range 3 {
				if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
					t.Error(err)
				}
			}
			l.found()
			w.update()
			w.wantTree(files{"gone": content, "b": "b"})
			w.peer.mu.Lock()
			defer w.peer.mu.Unlock()
			for id, err := range codec.Blobs(t.Context(), w.pubStore, gone[0].File()) {
				if err != nil {
					t.Fatal(err)
				}
				if w.peer.asked[id] > 0 && id != last {
					t.Errorf("blob %s was asked for again", id)
				}
			}
		})
	}
}

// Many files that nobody has are not waited for one after another, and those
// that come after them are had.
func TestManyFilesThatNobodyHasAreFoundMissingTogether(t *testing.T) {
	w := newWorld(t)
	many, want := files{"zz": pattern(3*codec.MinChunkSize, 200)}, files{"zz": pattern(3*codec.MinChunkSize, 200)}
	for i := range 60 {
		many[fmt.Sprintf("%02d", i)] = pattern(2*codec.MinChunkSize, byte(i))
	}
	entries := w.ingest(many)
	var gone []blobnet.ID
	for _, e := range entries {
		if e.Name != "zz" {
			gone = append(gone, e.Root.ID)
		}
	}
	w.release(publisher.Release{Title: "many", Entries: entries})
	w.store = memstore.New(memstore.Config{})
	w.swarm = newSwarm(t, w.store, w.peer)
	w.lose(gone...)
	w.sync()
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
		t.Error(err)
	}
	w.wantTree(want)
	if tally, err := w.ledger.Tally(t.Context(), w.sub.ID); err != nil || len(tally.Passed) != 1 || tally.Passed[0].Files != 60 {
		t.Errorf("left out are %+v, %v", tally.Passed, err)
	}
}

// What comes while a run with Once goes on is no error of it.
func TestWhatComesBeforeTheEndOfARunIsNotMissing(t *testing.T) {
	w := newWorld(t)
	gone := w.ingest(files{"gone": "gone"})
	w.release(publisherRelease(gone))
	next := w.ingest(files{"b": "b"})
	w.release(publisherRelease(next))
	w.sync()
	l := w.lose(gone[0].Root.ID)
	hook := w.peer.onGet
	w.peer.onGet = func(id blobnet.ID) error {
		if id == next[0].Root.ID {
			l.found() // and the look at it is due by the time that this is written
		}
		return hook(id)
	}
	w.update()
	w.wantTold("manifest 1 release", "missing gone", "manifest 2 release", "file b", "manifest 1 release", "file gone")
	w.wantTree(files{"b": "b", "gone": "gone"})
}
