package publisher_test

import (
	"context"
	"errors"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
)

var errKilled = errors.New("killed")

// dying is a store, and the ledger beside it, of a process that is killed: after so many
// steps nothing is done any more.
type dying struct {
	*memstore.Store
	steps *int
}

func (d dying) UnpinTo(ctx context.Context, to blobnet.Mark, ids ...blobnet.ID) error {
	if *d.steps--; *d.steps < 0 {
		return errKilled
	}
	return d.Store.UnpinTo(ctx, to, ids...)
}

type dyingLedger struct {
	*catalog.Catalog
	steps *int
}

func (d dyingLedger) ForgetUnpins(ctx context.Context, upTo int64) error {
	if *d.steps--; *d.steps < 0 {
		return errKilled
	}
	return d.Catalog.ForgetUnpins(ctx, upTo)
}

// Whenever a publisher is killed while it takes its pins back, the next one takes back
// those that are left, and none twice: what somebody else has pinned stays so.
func TestAKillWhilePinsAreTakenBackLeavesNoneAndTakesNoneTwice(t *testing.T) {
	w := newWorld(t, 0)
	made := w.create("data")
	// A file of more blobs than one step takes, many of them one and the same.
	entries := w.ingest(map[string][]byte{"big": make([]byte, 1100*codec.MinChunkSize), "some": pattern(3*codec.MinChunkSize, 1), "text": []byte("text")})
	pins := func() map[blobnet.ID]int64 {
		t.Helper()
		out := map[blobnet.ID]int64{}
		if err := w.store.List(t.Context(), func(info blobnet.Info) error {
			out[info.ID] = info.Pins
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return out
	}
	files := func(entries []channel.FileEntry) (ids []blobnet.ID) {
		for _, e := range entries {
			for id, err := range codec.Blobs(t.Context(), w.store, e.File()) {
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, id)
			}
		}
		return ids
	}
	all := files(entries)
	if err := w.store.Pin(t.Context(), all...); err != nil { // somebody else
		t.Fatal(err)
	}
	before := pins()
	kills := 0
	for steps := 0; ; steps++ {
		left := steps
		p, err := publisher.New(publisher.Config{Blobs: dying{w.store, &left}, Ledger: dyingLedger{w.catalog, &left}, Now: w.clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Publish(t.Context(), publisher.Release{Channel: made.Channel, Key: w.key, Entries: entries}); err != nil {
			t.Fatal(err)
		}
		if _, _, err := p.Retract(t.Context(), publisher.Retraction{Channel: made.Channel, Key: w.key, Names: []string{"*"}, Reason: "r"}); err != nil {
			t.Fatal(err)
		}
		if left < 0 {
			kills++
		}
		if err := w.Unpin(t.Context()); err != nil {
			t.Fatal(err)
		}
		after := pins()
		for id, want := range before {
			if got := after[id]; got != want {
				t.Fatalf("after a kill at step %d: blob %s has %d pins, want %d", steps, id.Short(), got, want)
			}
		}
		if left >= 0 {
			break
		}
	}
	if kills < 3 {
		t.Errorf("%d kills: the file is too small", kills)
	}
}
