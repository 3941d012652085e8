package node

import (
	"context"
	"encoding/binary"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

// growing has the first so many of the blobs, in the order of their ids.
type growing struct {
	blobnet.Source
	place map[blobnet.ID]int
	has   int
	lost  blobnet.ID // it has no more
	asked int
}

func (g *growing) Have(_ context.Context, ids []blobnet.ID) ([]bool, error) {
	has := make([]bool, len(ids))
	for i, id := range ids {
		at, ok := g.place[id]
		has[i] = ok && at < g.has && id != g.lost
	}
	g.asked += len(ids)
	return has, nil
}

// Everything is asked about, not a sample, and what a peer was seen to have is not
// asked for again while it gets the rest; only in the end, since it may be gone.
func TestWaitingAsksAPeerForEveryBlobOfALargeReleaseAndGoesOnWhereItWas(t *testing.T) {
	store, err := inplace.Open(t.Context(), inplace.Config{Inner: memstore.New(memstore.Config{}), Path: filepath.Join(t.TempDir(), "inplace.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const blobs = 5000
	ids := make([]blobnet.ID, blobs)
	for i := range ids {
		binary.BigEndian.PutUint32(ids[i][:], uint32(i))
	}
	top, err := codec.EncodeInventory(t.Context(), store, ids)
	if err != nil {
		t.Fatal(err)
	}
	w := &waiting{n: &Node{blobs: store}, r: catalog.Release{Manifest: channel.Manifest{Inventory: &top}}}
	if total, err := w.count(t.Context()); err != nil || total != blobs+1 {
		t.Fatalf("%d blobs, %v", total, err)
	}
	p := &growing{place: map[blobnet.ID]int{top: 0}}
	for i, id := range ids {
		p.place[id] = i + 1
	}
	h := &holding{}
	last := blobs + 1 - 4*batch // blobs of the last batch
	for _, step := range []struct {
		has            int
		lost           blobnet.ID
		counted, asked int
		whole          bool
	}{
		{0, blobnet.ID{1}, 0, batch, false},
		{100, blobnet.ID{1}, 100, batch, false},
		{batch + 1, blobnet.ID{1}, batch + 1, 2 * batch, false},
		{blobs, blobnet.ID{1}, blobs, blobs + 1 - batch, false},      // all but one
		{blobs + 1, ids[0], batch - 1, last + batch, false},          // it has that, and has lost another meanwhile
		{blobs + 1, blobnet.ID{1}, blobs + 1, 2 * (blobs + 1), true}, // the rest, and everything once more
	} {
		p.has, p.lost, p.asked = step.has, step.lost, 0
		if err := w.advance(t.Context(), t.Context(), p, h); err != nil {
			t.Fatal(err)
		}
		if h.has+h.part != step.counted || p.asked != step.asked || h.whole != step.whole {
			t.Errorf("with %d blobs: %d counted, %d asked about, whole %v; want %+v", step.has, h.has+h.part, p.asked, h.whole, step)
		}
	}
	if len(h.proof.Items()) != proofsOfCopy || h.proof.Seen() != blobs+1 {
		t.Errorf("to be proved are %d of %d", len(h.proof.Items()), h.proof.Seen())
	}
	h.stop()
}
