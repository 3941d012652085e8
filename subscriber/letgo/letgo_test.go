package letgo_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber/letgo"
)

// world is a node that publishes, and lets go.
type world struct {
	*publisher.Publisher
	*letgo.LetGo
	t       *testing.T
	mem     *memstore.Store
	store   *inplace.Store
	catalog *catalog.Catalog
	key     channel.PrivateKey
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, mem: memstore.New(memstore.Config{})}
	dir := t.TempDir()
	var err error
	if w.store, err = inplace.Open(t.Context(), inplace.Config{Inner: w.mem, Path: filepath.Join(dir, "inplace.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	if w.catalog, err = catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(dir, "aml.db")}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.catalog.Close() })
	if w.key, err = channel.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	if w.Publisher, err = publisher.New(publisher.Config{Blobs: w.store, InPlace: w.store, Ledger: w.catalog}); err != nil {
		t.Fatal(err)
	}
	if w.LetGo, err = letgo.New(letgo.Config{Ledger: w.catalog, Blobs: w.store, Pinned: w.pinned, Unpin: w.Unpin}); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) pinned(ctx context.Context, ids ...blobnet.ID) ([]bool, error) {
	out := make([]bool, len(ids))
	err := w.mem.List(ctx, func(info blobnet.Info) error {
		if i := slices.Index(ids, info.ID); i >= 0 {
			out[i] = info.Pinned
		}
		return nil
	})
	return out, err
}

func (w *world) create(topic string, class channel.Class) channel.ID {
	w.t.Helper()
	made, err := w.Create(w.t.Context(), publisher.CreateSpec{Topics: []string{topic}, Title: topic, Class: class, Key: w.key, KeyDir: w.t.TempDir()})
	if err != nil {
		w.t.Fatal(err)
	}
	return made.Channel
}

func (w *world) ingest(name string, size int, inPlace bool) channel.FileEntry {
	w.t.Helper()
	data := make([]byte, size)
	for i := range data {
		data[i] = byte(i*i>>7) + byte(size)
	}
	path := filepath.Join(w.t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		w.t.Fatal(err)
	}
	r, err := w.FromDraft(w.t.Context(), publisher.DraftSpec{Draft: channel.Draft{Entries: []channel.DraftEntry{{Path: path}}}, ChunkSize: codec.MinChunkSize, InPlace: inPlace})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Entries[0]
}

func (w *world) publish(id channel.ID, entries ...channel.FileEntry) {
	w.t.Helper()
	if _, err := w.Publish(w.t.Context(), publisher.Release{Channel: id, Key: w.key, Title: "t", Entries: entries}); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) retract(id channel.ID, names ...string) letgo.Result {
	w.t.Helper()
	if _, _, err := w.Retract(w.t.Context(), publisher.Retraction{Channel: id, Key: w.key, Names: names, Reason: "r"}); err != nil {
		w.t.Fatal(err)
	}
	return w.pass()
}

func (w *world) pass() letgo.Result {
	w.t.Helper()
	res, err := w.Pass(w.t.Context(), func(channel.ID) bool { return true })
	if err != nil {
		w.t.Fatal(err)
	}
	return res
}

// blobs are those of a file; they have to be here.
func (w *world) blobs(e channel.FileEntry) []blobnet.ID {
	w.t.Helper()
	var ids []blobnet.ID
	for id, err := range codec.Blobs(w.t.Context(), w.store, e.File()) {
		if err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func (w *world) here(ids ...blobnet.ID) (n int) {
	w.t.Helper()
	has, err := w.store.Has(w.t.Context(), ids...)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, ok := range has {
		if ok {
			n++
		}
	}
	return n
}

func renamed(e channel.FileEntry, name string) channel.FileEntry {
	e.Name = name
	return e
}

func TestWhatIsRetractedIsDeletedAndNothingElse(t *testing.T) {
	for what, inPlace := range map[string]bool{"stored": false, "in place": true} {
		t.Run(what, func(t *testing.T) {
			w := newWorld(t)
			id := w.create("t", channel.Public)
			first, old, other := w.ingest("a", 5*codec.MinChunkSize+3, inPlace), w.ingest("a", 3*codec.MinChunkSize, inPlace), w.ingest("b", 4*codec.MinChunkSize, inPlace)
			mine := append(w.blobs(first), w.blobs(old)...)
			w.publish(id, old, other)
			w.publish(id, first)
			before := w.count()
			res := w.retract(id, "a")
			if n := w.here(mine...); n != 0 || res.Deleted != len(mine) || res.Files != 2 || res.Waiting != 0 {
				t.Errorf("%d of %d blobs are left; %+v", n, len(mine), res)
			}
			if n, all := w.here(w.blobs(other)...), len(w.blobs(other)); n != all {
				t.Errorf("%d of %d blobs of another file are left", n, all)
			}
			if got, want := w.count(), before-len(mine)+1; got != want && got != want-1 { // of the retraction itself there may be an inventory
				t.Errorf("%d blobs are left, want %d", got, want)
			}
			if again := w.pass(); again != (letgo.Result{}) {
				t.Errorf("a second pass did %+v", again)
			}
		})
	}
}

func (w *world) count() (n int) {
	w.t.Helper()
	if err := w.store.List(w.t.Context(), func(blobnet.Info) error { n++; return nil }); err != nil {
		w.t.Fatal(err)
	}
	return n
}

func TestBlobsThatAnotherFileOrChannelNeedsStay(t *testing.T) {
	w := newWorld(t)
	one, two := w.create("one", channel.Public), w.create("two", channel.Public)
	e := w.ingest("a", 5*codec.MinChunkSize, false)
	ids := w.blobs(e)
	w.publish(one, e, renamed(e, "same"))
	w.publish(two, renamed(e, "elsewhere"))
	for _, step := range []struct {
		id   channel.ID
		name string
		want int
	}{{one, "a", len(ids)}, {one, "same", len(ids)}, {two, "elsewhere", 0}} {
		if res := w.retract(step.id, step.name); w.here(ids...) != step.want || res.Waiting != 0 {
			t.Errorf("after %s: %d blobs are here, want %d; %+v", step.name, w.here(ids...), step.want, res)
		}
	}
}

// Whoever publishes can name the blobs of others in a file and take that back.
func TestHostileEntriesThatNameBlobsOfOthersTakeNothingAway(t *testing.T) {
	w := newWorld(t)
	honest, hostile := w.create("honest", channel.Private), w.create("hostile", channel.Public)
	e := w.ingest("a", 5*codec.MinChunkSize, false)
	ids := w.blobs(e)
	w.publish(honest, e)
	releases, err := w.catalog.Releases(t.Context(), honest, 0, 0)
	if err != nil || len(releases) != 1 {
		t.Fatalf("%d releases, %v", len(releases), err)
	}
	sealed, err := channel.DecodeSealed(releases[0].Manifest.Sealed)
	if err != nil {
		t.Fatal(err)
	}
	inventory := *releases[0].Manifest.Inventory
	all := append(slices.Clone(ids), inventory, sealed.Keyring)
	var forged []channel.FileEntry
	for i, id := range all {
		f := renamed(w.ingest("f", 10, false), string(rune('a'+i)))
		f.Root.ID, f.Depth = id, 0
		forged = append(forged, f)
	}
	w.publish(hostile, forged...)
	if res := w.retract(hostile, "*"); res.Deleted != 0 || w.here(all...) != len(all) {
		t.Errorf("%d of %d blobs of others are left; %+v", w.here(all...), len(all), res)
	}
}

func TestAPinKeepsABlobUntilItIsTakenBack(t *testing.T) {
	w := newWorld(t)
	id := w.create("t", channel.Public)
	e := w.ingest("a", 3*codec.MinChunkSize, false)
	ids := w.blobs(e)
	w.publish(id, e)
	if err := w.store.Pin(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	if res := w.retract(id, "a"); w.here(ids...) != 2 || w.here(ids[1]) != 1 || res.Waiting != 1 { // and its index
		t.Errorf("%d blobs are here; %+v", w.here(ids...), res)
	}
	if err := w.store.Unpin(t.Context(), ids[1]); err != nil {
		t.Fatal(err)
	}
	if res := w.pass(); w.here(ids...) != 0 || res.Files != 1 {
		t.Errorf("%d blobs are here; %+v", w.here(ids...), res)
	}
}
