package subscriber_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

func TestAReleaseIsWrittenOutAsItWasPublished(t *testing.T) {
	w := newWorld(t)
	want := files{"a": pattern(5*codec.MinChunkSize+7, 1), "d/e/f": "f", "d/empty": "", "z": pattern(codec.MinChunkSize, 2)}
	entries := w.ingest(want)
	for i := range entries {
		entries[i].Mode, entries[i].Modified = 0o755, 1_700_000_000
	}
	w.release(publisher.Release{Title: "one", Entries: entries})
	w.update()
	w.wantTree(want)
	events := w.take()
	if got := told(events); !slices.Equal(got, []string{"manifest 1 one", "file a", "file d/e/f", "file d/empty", "file z"}) {
		t.Errorf("told %q", got)
	}
	f := events[1].(subscriber.FileEvent)
	if f.Path != filepath.Join(w.out, "a") || f.Size != uint64(len(want["a"])) || f.SHA256 != entries[0].SHA256 || f.FromPeers != f.Size || f.FromStore != 0 || f.Root != entries[0].Root.ID {
		t.Errorf("%+v", f)
	}
	info, err := os.Stat(filepath.Join(w.out, "a"))
	if err != nil || info.Mode().Perm()&0o700 != 0o700 || info.ModTime().Unix() != 1_700_000_000 {
		t.Errorf("%v, %v", info, err)
	}
	cursor, err := w.ledger.Cursor(t.Context(), w.sub.ID, w.id)
	if err != nil || cursor == 0 {
		t.Errorf("cursor %d, %v", cursor, err)
	}
	w.peer.reset()
	if err := w.follow(); err != nil {
		t.Fatal(err)
	}
	w.wantTold()
	// A mirror: all that the publisher has pinned is in the subscriber's store.
	err = w.pubStore.List(t.Context(), func(i blobnet.Info) error {
		if has, err := w.store.Has(t.Context(), i.ID); err != nil || !has[0] {
			t.Errorf("the subscriber's store has not %s: %v", i.ID.Short(), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestEventsAreJSONThatScriptsCanRead(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"a": "hello"})
	w.update()
	for i, want := range []string{
		`{"event":"manifest","channel":"` + w.id.String() + `","log":"` + w.key.Public().String() + `","seq":1,`,
		`{"event":"file","channel":"` + w.id.String() + `","log":"` + w.key.Public().String() + `","seq":1,"name":"a","size":5,` +
			`"sha256":"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824","path":"` + filepath.Join(w.out, "a") + `",`,
	} {
		data, err := json.Marshal(w.events[i])
		if err != nil || !strings.HasPrefix(string(data), want) {
			t.Errorf("%s, want %s, %v", data, want, err)
		}
	}
}

func TestTenReleasesMissedArriveInOrder(t *testing.T) {
	w := newWorld(t)
	var want []string
	tree := files{}
	for i := range 10 {
		name := fmt.Sprintf("f%d", 9-i)
		f := files{name: fmt.Sprint("content ", i), "latest": fmt.Sprint("latest ", i)}
		w.publish(fmt.Sprint("r", i), f)
		want = append(want, fmt.Sprintf("manifest %d r%d", i+1, i), "file "+name, "file latest")
		tree[name], tree["latest"] = f[name], f["latest"]
	}
	w.update()
	w.wantTold(want...)
	w.wantTree(tree)
}

func TestFollowGoesOnWithWhatComes(t *testing.T) {
	w := newWorld(t)
	ctx, cancel := context.WithCancelCause(t.Context())
	errEnough := errors.New("enough")
	order := w.order()
	order.Once = false
	arrived := make(chan string, 10)
	done := make(chan error, 1)
	s := w.subscriber()
	go func() {
		done <- s.Follow(ctx, order, func(e subscriber.Event) {
			if f, ok := e.(subscriber.FileEvent); ok {
				arrived <- f.Name
			}
		})
	}()
	for i := range 3 {
		name := fmt.Sprint("f", i)
		w.publish("", files{name: name})
		w.sync()
		if got := <-arrived; got != name {
			t.Errorf("%s arrived, want %s", got, name)
		}
	}
	cancel(errEnough)
	if err := <-done; !errors.Is(err, errEnough) {
		t.Error(err)
	}
	w.wantTree(files{"f0": "f0", "f1": "f1", "f2": "f2"})
}

func TestALargeBodyIsFetchedOpenedAndKept(t *testing.T) {
	w := newWorld(t)
	f := files{}
	for i := range 300 {
		f[fmt.Sprintf("folder/with/a/long/name/%04d", i)] = fmt.Sprint(i)
	}
	w.publish("large", f)
	w.update()
	w.wantTree(f)
	if m, err := w.ledger.MissingBodies(t.Context(), w.id, 0); err != nil || len(m) != 0 {
		t.Errorf("%v, %v", m, err)
	}
}

func TestWhatIsThereIsNotFetchedAgain(t *testing.T) {
	w := newWorld(t)
	f := files{"a": pattern(4*codec.MinChunkSize, 1), "b": "b"}
	w.publish("one", f)
	w.publish("two", files{"b": "b, changed", "c": "c"})
	w.update()
	w.take()
	t.Run("after the loss of a cursor", func(t *testing.T) {
		w.loseCursor()
		w.swarm = newSwarm(t, w.store) // no peer at all
		w.update()
		// The old b does not come back, not even for a moment.
		w.wantTold("manifest 1 one", "file a", "manifest 2 two", "file b", "file c")
		w.wantTree(files{"a": f["a"], "b": "b, changed", "c": "c"})
	})
	t.Run("after the loss of the store, too", func(t *testing.T) {
		w.loseCursor()
		w.swarm = newSwarm(t, nil)
		w.update()
		w.wantTold("manifest 1 one", "file a", "manifest 2 two", "file b", "file c")
	})
	t.Run("what was damaged is", func(t *testing.T) {
		w.loseCursor()
		w.swarm = newSwarm(t, w.store, w.peer)
		w.peer.reset()
		if err := os.Remove(filepath.Join(w.out, "c")); err != nil {
			t.Fatal(err)
		}
		w.update()
		w.wantTree(files{"a": f["a"], "b": "b, changed", "c": "c"})
		if n := w.peer.reset(); n != 0 {
			t.Errorf("%d blobs were asked for although the store has them", n)
		}
	})
}

func TestRemovalsDeleteWhatTheChannelBrought(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"d/e/a": "a", "d/b": "b", "c": "c", "x": "x"})
	w.update()
	w.take()
	w.publish("two", files{"c/now/a/folder": "f", "x2": "2"}, "d/e/a", "c", "x")
	w.update()
	w.wantTold("manifest 2 two", "removed c", "removed d/e/a", "removed x", "file c/now/a/folder", "file x2")
	w.wantTree(files{"d/b": "b", "c/now/a/folder": "f", "x2": "2"})
	w.publish("three", files{"c": "a file again"}, "c/now/a/folder")
	w.update()
	w.wantTree(files{"d/b": "b", "c": "a file again", "x2": "2"})
}

func TestAFileThatIsRemovedLaterIsNotEvenFetched(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"secret": "oops", "a": "a"})
	w.publish("two", nil, "secret")
	w.update()
	w.wantTold("manifest 1 one", "file a", "manifest 2 two")
	w.wantTree(files{"a": "a"})
}

func TestAUsersChangesAreNeverDeleted(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(w.out, 0o755); err != nil {
		t.Fatal(err)
	}
	mine := func(name, content string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(w.out, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mine("before", "was here before")
	w.publish("one", files{"before": "the channel's", "removed": "r", "same size": "abc", "replaced": "v1"})
	w.update()
	w.wantTold("manifest 1 one", "kept before before.kept", "file before", "file removed", "file replaced", "file same size")
	mine("removed", "changed by the user")
	mine("same size", "xyz")
	mine("replaced", "v0")
	w.publish("two", files{"replaced": "v2"}, "removed", "same size")
	w.update()
	w.wantTold("manifest 2 two", "kept removed removed", "kept same size same size", "kept replaced replaced.kept", "file replaced")
	w.wantTree(files{
		"before": "the channel's", "before.kept": "was here before", "removed": "changed by the user",
		"same size": "xyz", "replaced": "v2", "replaced.kept": "v0",
	})
}

func TestWhatIsInTheWayIsNamedAndSkipped(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(filepath.Join(w.out, "folder/full"), 0o755); err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	for name, content := range (files{"file": "mine", "folder/full/x": "mine"}) {
		if err := os.WriteFile(filepath.Join(w.out, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	links := map[string]string{"out": outside, "up": "..", "dangling": "nothing", "linked": "file"}
	for name, to := range links {
		if err := os.Symlink(to, filepath.Join(w.out, name)); err != nil {
			t.Skip("no symbolic links here:", err)
		}
	}
	w.publish("one", files{
		"file/below": "x", "folder": "x", "out/x": "x", "up/x": "x", "dangling/x": "x", "linked": "x", "good": "good", "zz/good": "good",
	})
	w.sync()
	err := w.follow()
	if !errors.Is(err, subscriber.ErrConflict) {
		t.Errorf("%v", err)
	}
	events := w.take()
	if got := told(events); !slices.Equal(got, []string{
		"manifest 1 one", "error dangling/x", "error file/below", "error folder", "file good", "error linked", "error out/x", "error up/x", "file zz/good",
	}) {
		t.Errorf("told %q", got)
	}
	message := events[2].(subscriber.ErrorEvent).Message
	if !strings.Contains(message, `"file/below"`) || !strings.Contains(message, filepath.Join(w.out, "file")+" is a file") {
		t.Errorf("it says %s", message)
	}
	for name := range links {
		if err := os.Remove(filepath.Join(w.out, name)); err != nil {
			t.Error(err)
		}
	}
	w.wantTree(files{"file": "mine", "folder/full/x": "mine", "good": "good", "zz/good": "good"})
	wantTree(t, outside, files{})
	wantTree(t, filepath.Dir(w.out), files{"out/file": "mine", "out/folder/full/x": "mine", "out/good": "good", "out/zz/good": "good"})
	w.publish("two", files{"next": "n"})
	w.update()
	w.wantTold("manifest 2 two", "file next")
}

// TestAFileOfALongNameIsKeptAndTheNextReleaseComes: there is no room behind its
// name for what a kept file is called.
func TestAFileOfALongNameIsKeptAndTheNextReleaseComes(t *testing.T) {
	for _, long := range []string{strings.Repeat("n", 251), "folder/" + strings.Repeat("n", 255), strings.Repeat("é", 127)} {
		w := newWorld(t)
		w.publish("one", files{long: "one", "other": "a"})
		w.update()
		w.take()
		mine := filepath.Join(w.out, filepath.FromSlash(long))
		if err := os.WriteFile(mine, []byte("mine"), 0o644); err != nil {
			t.Skip("no such names here:", err)
		}
		w.publish("two", files{long: "two"})
		w.update()
		kept := ""
		for _, e := range w.take() {
			if e, ok := e.(subscriber.KeptEvent); ok {
				kept = e.Path
			}
		}
		if got, err := os.ReadFile(kept); string(got) != "mine" || filepath.Dir(kept) != filepath.Dir(mine) {
			t.Errorf("kept as %q: %q, %v", kept, got, err)
		}
		if got, err := os.ReadFile(mine); string(got) != "two" {
			t.Errorf("%q, %v", got, err)
		}
		w.publish("three", files{"next": "n"})
		w.update()
		w.wantTold("manifest 3 three", "file next")
	}
}

// TestALinkToAFolderInsideIsTheUsersLayout: what stays inside is followed.
func TestALinkToAFolderInsideIsTheUsersLayout(t *testing.T) {
	w := newWorld(t)
	if err := os.MkdirAll(filepath.Join(w.out, "real"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("real", filepath.Join(w.out, "alias")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	w.publish("one", files{"alias/x": "x"})
	w.update()
	if got, err := os.ReadFile(filepath.Join(w.out, "real", "x")); string(got) != "x" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestEntriesThatLieAreSkippedAndNothingOfThemShows signs entries that are not
// what they say.
func TestEntriesThatLieAreSkippedAndNothingOfThemShows(t *testing.T) {
	w := newWorld(t)
	entries := w.ingest(files{"big": pattern(3*codec.MinChunkSize+9, 1), "good": "good", "small": "small", "zero": ""})
	big, good, small := entries[0], entries[1], entries[2]
	named := func(name string, e channel.FileEntry, change func(*channel.FileEntry)) channel.FileEntry {
		e.Name = name
		change(&e)
		return e
	}
	body := channel.Body{Title: "lies", Entries: []channel.FileEntry{
		named("a-hash", big, func(e *channel.FileEntry) { e.SHA256[0] ^= 1 }),
		named("b-hash", small, func(e *channel.FileEntry) { e.SHA256[0] ^= 1 }),
		named("c-key", small, func(e *channel.FileEntry) { e.Root.Key[0] ^= 1 }),
		named("d-longer", small, func(e *channel.FileEntry) { e.Size++; e.Root.Size++ }),
		named("e-shorter", small, func(e *channel.FileEntry) { e.Size--; e.Root.Size-- }),
		named("f-huge", big, func(e *channel.FileEntry) { e.Size = 1 << 30; e.Root.Size = 1 << 30 }),
		named("g-swapped", small, func(e *channel.FileEntry) { e.Root.ID = good.Root.ID }),
		named("h-index-as-chunk", big, func(e *channel.FileEntry) { e.Depth = 0; e.Size = 1000; e.Root.Size = 1000 }),
		named("i-chunk-as-index", small, func(e *channel.FileEntry) { e.Depth = 1; e.Size = 1 << 20; e.Root.Size = 1 << 20 }),
		good, entries[3],
	}}
	body.Sort()
	w.sign(channel.Manifest{Body: &body})
	w.sync()
	err := w.follow()
	for _, want := range []error{codec.ErrHash, codec.ErrSealed, codec.ErrPadding, codec.ErrIndex} {
		if !errors.Is(err, want) {
			t.Errorf("%v is not among %v", want, err)
		}
	}
	w.wantTold("manifest 1 lies", "error a-hash", "error b-hash", "error c-key", "error d-longer", "error e-shorter", "error f-huge",
		"error g-swapped", "file good", "error h-index-as-chunk", "error i-chunk-as-index", "file zero")
	w.wantTree(files{"good": "good", "zero": ""})
	w.publish("next", files{"next": "n"})
	w.update()
	w.wantTold("manifest 2 next", "file next")
}

func TestABodyThatIsNoneIsRefusedAndTheNextReleaseComes(t *testing.T) {
	w := newWorld(t)
	for _, plain := range []string{"not a body", "", strings.Repeat("x", 100_000)} {
		ref, err := codec.SealTo(t.Context(), w.pubStore, []byte(plain+"\x00"), nil)
		if err != nil {
			t.Fatal(err)
		}
		w.sign(channel.Manifest{BodyRef: &ref})
	}
	ref, err := codec.SealTo(t.Context(), w.pubStore, []byte("size lies"), nil)
	if err != nil {
		t.Fatal(err)
	}
	ref.Size = 100_000
	w.sign(channel.Manifest{BodyRef: &ref})
	w.publish("good", files{"a": "a"})
	w.sync()
	if err := w.follow(); !errors.Is(err, subscriber.ErrRefused) {
		t.Errorf("%v", err)
	}
	w.wantTold("error ", "error ", "error ", "error ", "manifest 5 good", "file a")
	if err := w.follow(); err != nil {
		t.Errorf("it is refused again: %v", err)
	}
}

func TestABlobThatNobodyHasHoldsNothingElse(t *testing.T) {
	w := newWorld(t)
	entries := w.ingest(files{"a": pattern(3*codec.MinChunkSize, 1), "b": pattern(3*codec.MinChunkSize, 2), "c": "c"})
	w.release(publisher.Release{Title: "one", Entries: entries})
	w.publish("two", files{"d": "d"})
	var chunks []blobnet.ID
	for id, err := range codec.Blobs(t.Context(), w.pubStore, entries[0].File()) {
		if err != nil {
			t.Fatal(err)
		}
		chunks = append(chunks, id)
	}
	for i, missing := range []blobnet.ID{chunks[0], chunks[2]} { // the index, and a chunk
		w.peer.onGet = func(id blobnet.ID) error {
			if id == missing {
				return blobnet.ErrNotFound
			}
			return nil
		}
		w.sync()
		err := w.follow()
		if !errors.Is(err, blobnet.ErrNotFound) || !strings.Contains(err.Error(), `"a"`) || !strings.Contains(err.Error(), missing.String()) {
			t.Errorf("%v", err)
		}
		want := files{"b": pattern(3*codec.MinChunkSize, 2), "c": "c", "d": "d"}
		if i == 0 {
			w.wantTold("manifest 1 one", "file b", "file c", "missing a", "manifest 2 two", "file d")
			w.wantTree(want)
		} else {
			w.wantTold()
			wantFinished(t, w.out, want)
		}
		if cursor, err := w.ledger.Cursor(t.Context(), w.sub.ID, w.id); err != nil || cursor != 2 {
			t.Errorf("the cursor is at %d, %v", cursor, err)
		}
	}
	w.peer.onGet = nil
	w.peer.reset()
	w.update()
	w.wantTold("manifest 1 one", "file a")
	if w.peer.asked[chunks[0]] != 0 || w.peer.asked[chunks[1]] != 0 || w.peer.asked[chunks[2]] != 1 {
		t.Errorf("asked again for what was here: %v", w.peer.asked)
	}
}

func TestAVersionThatWasReplacedAndThatNobodyHasIsSkipped(t *testing.T) {
	w := newWorld(t)
	old := w.ingest(files{"app": pattern(2*codec.MinChunkSize, 1)})
	w.release(publisher.Release{Title: "one", Entries: old})
	w.publish("two", files{"app": "v2"})
	var blobs []blobnet.ID
	for id, err := range codec.Blobs(t.Context(), w.pubStore, old[0].File()) {
		if err != nil {
			t.Fatal(err)
		}
		blobs = append(blobs, id)
	}
	for i, missing := range blobs {
		w.peer.onGet = func(id blobnet.ID) error {
			if id == missing {
				return blobnet.ErrNotFound
			}
			return nil
		}
		w.update()
		w.wantTold("manifest 1 one", "manifest 2 two", "file app")
		w.wantTree(files{"app": "v2"})
		if i < len(blobs)-1 {
			w.loseCursor()
			w.store = memstore.New(memstore.Config{})
			w.swarm = newSwarm(t, w.store, w.peer)
			if err := os.Remove(filepath.Join(w.out, "app")); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestAPeerWithWrongBytesChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"a": pattern(5*codec.MinChunkSize, 1)})
	liar := &liar{}
	w.swarm = newSwarm(t, w.store, liar)
	w.sync()
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
		t.Errorf("%v", err)
	}
	w.wantTree(files{})
	w.swarm = newSwarm(t, w.store, liar, w.peer)
	w.update()
	w.wantTree(files{"a": pattern(5*codec.MinChunkSize, 1)})
}

// liar is a peer whose blobs do not hash to their ids; it says so, as the
// exchange does after its check.
type liar struct{}

func (*liar) Name() string { return "liar" }

func (*liar) Get(_ context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return dst, fmt.Errorf("blob %s: %w", id.Short(), blobnet.ErrCorrupt)
}

// TestAnotherLogsWordStands: where two logs name one file, the view decides,
// in whatever order their releases became known.
func TestAnotherLogsWordStands(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"shared": "older"})
	w.sync()
	releases, err := w.ledger.Releases(t.Context(), w.id, 0, 0)
	if err != nil || len(releases) != 1 {
		t.Fatal(err)
	}
	// What the ledger would say had another log issued its word later, and this
	// node heard of it first.
	s, err := subscriber.New(subscriber.Config{Ledger: &otherLog{w.ledger}, Blobs: w.store, Swarm: w.swarm})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Follow(t.Context(), w.order(), w.emit); err != nil {
		t.Fatal(err)
	}
	w.wantTold("manifest 1 one")
	w.wantTree(files{})
}

type otherLog struct{ *catalog.Catalog }

func (o *otherLog) Entry(ctx context.Context, id channel.ID, name string) (catalog.Entry, error) {
	e, err := o.Catalog.Entry(ctx, id, name)
	e.Position--
	return e, err
}

func TestOneSubscriptionIsNotWrittenTwiceAtATime(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"a": "a"})
	w.sync()
	inside := make(chan struct{})
	goOn := make(chan struct{})
	inventory := w.inventories()[0]
	w.peer.onGet = func(id blobnet.ID) error {
		select {
		case <-inside:
		default:
			if id == inventory {
				return nil
			}
			close(inside)
			<-goOn
		}
		return nil
	}
	first := make(chan error, 1)
	go func() { first <- w.follow() }()
	<-inside
	err := w.subscriber().Follow(t.Context(), w.order(), func(subscriber.Event) {})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("%v", err)
	}
	close(goOn)
	if err := <-first; err != nil {
		t.Error(err)
	}
	w.wantTree(files{"a": "a"})
}

func TestManySmallFilesComeInOneStream(t *testing.T) {
	w := newWorld(t)
	f := files{}
	for i := range 200 {
		f[fmt.Sprintf("%d/%03d", i%5, i)] = pattern(1000+10*i, byte(i))
	}
	w.publish("many", f)
	began := time.Now()
	w.update()
	t.Logf("200 files took %v", time.Since(began))
	w.wantTree(f)
	var names []string
	for _, e := range w.take() {
		if f, ok := e.(subscriber.FileEvent); ok {
			names = append(names, f.Name)
		}
	}
	if len(names) != 200 || !slices.IsSorted(names) {
		t.Errorf("%d file events, sorted %v", len(names), slices.IsSorted(names))
	}
}
