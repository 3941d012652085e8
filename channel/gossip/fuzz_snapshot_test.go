package gossip

import (
	"bytes"
	"context"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// fakeShelf is a fakeLedger with one snapshot, which it neither takes in nor
// changes.
type fakeShelf struct {
	*fakeLedger
	snap    catalog.Snapshot
	pages   [][]byte
	live    [][]byte
	offered [][]byte // envelopes of snapshots
}

func (f *fakeShelf) OfferSnapshot(_ context.Context, envelope, _ []byte, pages [][]byte) (feed.Outcome, error) {
	f.offered = append(f.offered, envelope)
	return feed.Outcome{Verdict: feed.Ignored}, nil
}

func (f *fakeShelf) Snapshot(context.Context, channel.ID, channel.PublicKey) (catalog.Snapshot, error) {
	return f.snap, nil
}

func (f *fakeShelf) Pages(_ context.Context, _ channel.ID, _ channel.PublicKey, _ channel.Hash, first, last, maxItems, _ int) ([][]byte, int, error) {
	return f.pages[:min(1, maxItems)], last + 1, nil
}

func (f *fakeShelf) LiveManifests(_ context.Context, _ channel.ID, _ channel.PublicKey, _ channel.Hash, from, to uint64, maxItems, _ int) ([][]byte, error) {
	var out [][]byte
	for _, e := range f.live {
		if seq, err := seqOf(e); err == nil && seq >= from && seq <= to && len(out) < maxItems {
			out = append(out, e)
		}
	}
	return out, nil
}

// shelfOf has a snapshot of an author's log, which lists its last two releases.
func shelfOf(t testing.TB, a *author) *fakeShelf {
	t.Helper()
	f := &fakeShelf{fakeLedger: holding(t, a), live: a.all[len(a.all)-2:]}
	var live []channel.Live
	for _, e := range f.live {
		env, err := channel.DecodeEnvelope(e)
		if err != nil {
			t.Fatal(err)
		}
		m, err := channel.OpenManifest(env)
		if err != nil {
			t.Fatal(err)
		}
		live = append(live, channel.Live{Seq: m.Seq, Hash: env.Hash()})
	}
	refs, pages, err := channel.MakePages(a.seq, live)
	if err != nil {
		t.Fatal(err)
	}
	f.pages = pages
	f.snap.Snapshot = channel.Snapshot{Format: 1, Channel: a.id, Root: 1, Log: a.key.Public(), Seq: a.seq, Hash: a.prev, Issued: a.issued, Pages: refs}
	env, err := f.snap.Snapshot.Sign(a.key)
	f.snap.Envelope, f.snap.Payload, f.snap.Anchor = encode(t, env, err), env.Hash(), a.all[len(a.all)-1]
	return f
}

// FuzzSnapshotAnswers gives the asking end any bytes as answers about a snapshot: it
// offers none that the log's key has not signed, or whose pages are others.
func FuzzSnapshotAnswers(f *testing.F) {
	a := newAuthor(f, "fuzz")
	for range 4 {
		a.release()
	}
	has := shelfOf(f, a)
	key := a.id.Discovery()
	items := func(es ...[]byte) answer { return answer{Sections: []section{{Key: key, Items: es}}} }
	f.Add(frames(f, items(has.snap.Envelope, has.snap.Anchor, has.pages[0]), items(has.live...)))
	f.Add(frames(f, items(has.snap.Envelope, has.snap.Anchor), items(has.snap.Envelope, has.snap.Anchor, has.pages[0])))
	f.Add(frames(f, answer{Sections: []section{{Key: key, Items: [][]byte{has.snap.Envelope, has.snap.Anchor}}}, More: true}, items(has.pages[0])))
	f.Add(frames(f, answer{}))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := &fakeShelf{fakeLedger: following(t, a)}
		p := newPuller(l, &claims{}, memory{bytes.NewReader(data), io.Discard}, time.Second, func(feed.Outcome) {})
		var b brought
		log := feed.Range{Log: a.key.Public(), From: 1, To: 4}
		_ = p.needs(t.Context(), a.id, []need{{kind: askSnapshot, Range: feed.Range{Log: log.Log, From: 1, To: 1}}, {kind: askLive, Range: log, snapshot: has.snap.Payload}}, &b)
		for _, e := range l.offered {
			if !bytes.Equal(e, has.snap.Envelope) {
				t.Errorf("offered a snapshot that the author has not made: %x", e)
			}
		}
		if l.offers > 4*MaxItems {
			t.Errorf("%d bytes made us look at %d envelopes", len(data), l.offers)
		}
	})
}

// FuzzServeSnapshots asks for anything of a log with a snapshot.
func FuzzServeSnapshots(f *testing.F) {
	a := newAuthor(f, "fuzz")
	for range 4 {
		a.release()
	}
	has := shelfOf(f, a)
	log, key := a.key.Public(), []channel.Hash{a.id.Discovery()}
	f.Add(frames(f, request{Kind: askSnapshot, Keys: key, Log: &log}, request{Kind: askSnapshot, Keys: key, Log: &log, From: 1, To: 3},
		request{Kind: askLive, Keys: key, Log: &log, From: 1, To: 4, Hash: &has.snap.Payload}))
	f.Add(frames(f, request{Kind: askSnapshot, Keys: []channel.Hash{{1}}, Log: &log, From: 2, To: channel.MaxPages}))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			return
		}
		var out bytes.Buffer
		s := &server{ledger: has, knocked: func(channel.ID) {}, patience: time.Second, topicOf: func(context.Context, channel.Hash) (string, bool) { return "test", true }}
		_ = s.serve(context.Background(), memory{bytes.NewReader(data), &out}, func(context.Context, int) error { return nil })
		if out.Len() > len(data)*1024 {
			t.Errorf("%d bytes answered with %d", len(data), out.Len())
		}
	})
}

// What is served is what was asked for, and nothing of a Ledger without a shelf.
func TestSnapshotIsServedAsAsked(t *testing.T) {
	a := newAuthor(t, "served")
	for range 4 {
		a.release()
	}
	has := shelfOf(t, a)
	log, key := a.key.Public(), []channel.Hash{a.id.Discovery()}
	ask := func(l Ledger, r request) [][]byte {
		t.Helper()
		var out bytes.Buffer
		s := &server{ledger: l, knocked: func(channel.ID) {}, patience: time.Second}
		_ = s.serve(t.Context(), memory{bytes.NewReader(frames(t, r)), &out}, func(context.Context, int) error { return nil })
		var items [][]byte
		for {
			data, err := readFrame(&out, maxFrame)
			if err != nil {
				t.Fatal(err)
			}
			x, err := decodeAnswer(data)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range x.Sections {
				items = append(items, s.Items...)
			}
			if !x.More {
				return items
			}
		}
	}
	same := func(got [][]byte, want ...[]byte) bool { return slices.EqualFunc(got, want, bytes.Equal) }
	if got := ask(has, request{Kind: askSnapshot, Keys: key, Log: &log}); !same(got, has.snap.Envelope, has.snap.Anchor) {
		t.Errorf("%d items without pages", len(got))
	}
	if got := ask(has, request{Kind: askSnapshot, Keys: key, Log: &log, From: 1, To: 1024}); !same(got, has.snap.Envelope, has.snap.Anchor, has.pages[0]) {
		t.Errorf("%d items with pages", len(got))
	}
	if got := ask(has, request{Kind: askLive, Keys: key, Log: &log, From: 1, To: 3, Hash: &has.snap.Payload}); !same(got, has.live[0]) {
		t.Errorf("%d live manifests", len(got))
	}
	for _, r := range []request{
		{Kind: askSnapshot, Keys: key, Log: &log, From: 1, To: 1},
		{Kind: askLive, Keys: key, Log: &log, From: 1, To: 3, Hash: &has.snap.Payload},
	} {
		if got := ask(has.fakeLedger, r); got != nil {
			t.Errorf("%d items where there is no shelf", len(got))
		}
		r.Keys = []channel.Hash{{1}}
		if got := ask(has, r); got != nil {
			t.Errorf("%d items of a channel that is not known", len(got))
		}
	}
}
