package letgo_test

import (
	"errors"
	"io/fs"
	"maps"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber/letgo"
)

// mirrorOf carries all that a world has of a channel over to one without any key,
// blobs and the newest snapshot too.
func (w *world) mirror(of *world, id channel.ID) {
	w.t.Helper()
	ctx := w.t.Context()
	if err := w.catalog.Expect(ctx, id, catalog.Followed); err != nil {
		w.t.Fatal(err)
	}
	roots, err := of.catalog.Roots(ctx, id, 1, 100, 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	manifests, err := of.catalog.Manifests(ctx, id, of.key.Public(), 1, 1<<40, 1000, 1<<24)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.catalog.OfferAll(ctx, append(roots, manifests...)); err != nil {
		w.t.Fatal(err)
	}
	s, err := of.catalog.Snapshot(ctx, id, of.key.Public())
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err != nil {
		w.t.Fatal(err)
	}
	pages, _, err := of.catalog.Pages(ctx, id, of.key.Public(), s.Payload, 0, channel.MaxPages, channel.MaxPages, 1<<24)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.catalog.OfferSnapshot(ctx, s.Envelope, s.Anchor, pages); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) copyBlobs(of *world) {
	w.t.Helper()
	err := of.store.List(w.t.Context(), func(info blobnet.Info) error {
		blob, err := of.store.Get(w.t.Context(), info.ID, nil)
		if err == nil {
			err = w.store.Put(w.t.Context(), info.ID, blob)
		}
		return err
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// listed is what each release of a channel lists and consists of, by number.
func (w *world) listed(id channel.ID) map[uint64]map[blobnet.ID]bool {
	w.t.Helper()
	out := map[uint64]map[blobnet.ID]bool{}
	releases, err := w.catalog.Releases(w.t.Context(), id, 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, r := range releases {
		out[r.Seq] = map[blobnet.ID]bool{}
		for _, of := range []func(yield func(blobnet.ID, error) bool){
			codec.Inventory(w.t.Context(), w.store, *r.Manifest.Inventory), codec.InventoryBlobs(w.t.Context(), w.store, *r.Manifest.Inventory),
		} {
			for id, err := range of {
				if err != nil {
					w.t.Fatal(err)
				}
				out[r.Seq][id] = true
			}
		}
	}
	return out
}

func TestABlindMirrorLetsGoOfExactlyWhatADeadReleaseListsAndNoLiveOne(t *testing.T) {
	w, m := newWorld(t), newWorld(t)
	id := w.create("t", channel.Private)
	shared := w.ingest("shared", 3*codec.MinChunkSize, false)
	w.publish(id, w.ingest("a", 5*codec.MinChunkSize, false), renamed(shared, "a2"))
	w.publish(id, w.ingest("b", 4*codec.MinChunkSize, false), renamed(shared, "b2"))
	m.copyBlobs(w)
	m.mirror(w, id)
	if res := m.pass(); res != (letgo.Result{}) {
		t.Errorf("before anything was retracted: %+v", res)
	}
	lists := w.listed(id)
	if _, _, err := w.Retract(t.Context(), publisher.Retraction{Channel: id, Key: w.key, Release: 1, Log: w.key.Public(), Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	m.mirror(w, id)
	if res := m.pass(); res != (letgo.Result{}) {
		t.Errorf("before there is a snapshot: %+v", res)
	}
	if err := w.Snapshot(t.Context(), id, w.key); err != nil {
		t.Fatal(err)
	}
	m.copyBlobs(w) // of the retraction
	m.mirror(w, id)
	var live, gone []blobnet.ID
	for id := range lists[1] {
		if lists[2][id] {
			live = append(live, id)
		} else {
			gone = append(gone, id)
		}
	}
	live = append(live, slices.Collect(maps.Keys(lists[2]))...)
	res := m.pass()
	if m.here(gone...) != 0 || res.Deleted != len(gone) || res.Releases != 1 || len(gone) < 6 {
		t.Errorf("%d of %d blobs of the dead release are left; %+v", m.here(gone...), len(gone), res)
	}
	if n := m.here(live...); n != len(live) {
		t.Errorf("%d of %d blobs of the live one are left", n, len(live))
	}
	if got, err := m.catalog.Manifests(t.Context(), id, w.key.Public(), 1, 1<<40, 100, 1<<20); err != nil || len(got) != 3 {
		t.Errorf("%d manifests are served, %v", len(got), err)
	}
	if again := m.pass(); again != (letgo.Result{}) {
		t.Errorf("a second pass did %+v", again)
	}
}

// A live release may list the same blobs: as long as that is not known, nothing goes.
func TestABlindMirrorThatLacksALiveInventoryWaits(t *testing.T) {
	w, m := newWorld(t), newWorld(t)
	id := w.create("t", channel.Private)
	w.publish(id, w.ingest("a", 2*codec.MinChunkSize, false))
	w.publish(id, w.ingest("b", 2*codec.MinChunkSize, false))
	m.copyBlobs(w)
	lists := w.listed(id)
	if _, _, err := w.Retract(t.Context(), publisher.Retraction{Channel: id, Key: w.key, Release: 1, Log: w.key.Public(), Reason: "r"}); err != nil {
		t.Fatal(err)
	}
	if err := w.Snapshot(t.Context(), id, w.key); err != nil {
		t.Fatal(err)
	}
	m.mirror(w, id) // but not the blobs of the retraction
	if res := m.pass(); res.Waiting != 1 || res.Deleted != 0 || m.here(slices.Collect(maps.Keys(lists[1]))...) != len(lists[1]) {
		t.Errorf("without an inventory: %+v", res)
	}
	m.copyBlobs(w)
	if res := m.pass(); res.Releases != 1 || res.Waiting != 0 {
		t.Errorf("with it: %+v", res)
	}
}
