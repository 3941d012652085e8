package gossip

import (
	"bytes"
	"context"
	"errors"
	"io"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/reconcile"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// memory is a conn of which one end is bytes.
type memory struct {
	io.Reader
	io.Writer
}

func (memory) SetReadDeadline(time.Time) error  { return nil }
func (memory) SetWriteDeadline(time.Time) error { return nil }

func frames(t testing.TB, vs ...any) []byte {
	var out bytes.Buffer
	for _, v := range vs {
		if err := writeFrame(memory{Writer: &out}, v, maxFrame, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func FuzzDecodeBundle(f *testing.F) {
	a := newAuthor(f, "fuzz")
	m, h := a.release()
	f.Add(bundle(f, m, h))
	f.Add(bundle(f, a.founding))
	f.Add([]byte{0x81, 0x41, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		envelopes, err := DecodeBundle(data)
		if err != nil {
			if !errors.Is(err, channel.ErrMalformed) && !errors.Is(err, channel.ErrLimit) && !errors.Is(err, channel.ErrTooLarge) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		again, err := EncodeBundle(envelopes...)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x became %x, %v", data, again, err)
		}
	})
}

func FuzzDecodeRequest(f *testing.F) {
	log := channel.PublicKey{1}
	for _, r := range []request{
		{Kind: askHeads, Keys: []channel.Hash{{1}, {2}}},
		{Kind: askRoots, Keys: []channel.Hash{{1}}, From: 1, To: 9},
		{Kind: askManifests, Keys: []channel.Hash{{1}}, Log: &log, From: 1, To: MaxRange},
		{Kind: askListing, Keys: []channel.Hash{{1}}},
		{Kind: knock, Keys: []channel.Hash{{1}}},
		{Kind: askSnapshot, Keys: []channel.Hash{{1}}, Log: &log, From: 1, To: channel.MaxPages},
		{Kind: askLive, Keys: []channel.Hash{{1}}, Log: &log, From: 1, To: MaxRange, Hash: &channel.Hash{1}},
		{Kind: askReconcile, Question: &question{Salt: &reconcile.Half{1}, Ranges: []reconcile.Range{reconcile.First(300)}}},
		{Kind: askReconcile, Question: &question{Ranges: []reconcile.Range{{Prefix: 1, Bits: 6, Split: 2}, {Points: make([]byte, 16)}}}},
	} {
		data, err := dcbor.Marshal(r)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := decodeRequest(data)
		if err != nil {
			return
		}
		if n := r.cost(); n > askBurst {
			t.Errorf("a request that costs %d could never be answered", n)
		}
		again, err := dcbor.Marshal(r)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x became %x, %v", data, again, err)
		}
	})
}

func FuzzDecodeAnswer(f *testing.F) {
	a := newAuthor(f, "fuzz")
	a.release()
	for _, x := range []answer{
		{},
		{More: true},
		{Sections: []section{{Key: a.id.Discovery(), Root: 1, Hash: firstRoot(a.id), Logs: []logState{{Log: a.key.Public(), Seq: 1, Hash: a.prev}}, Items: [][]byte{a.head}, Forks: []fork{{A: a.head, B: a.all[0]}}}}},
	} {
		data, err := dcbor.Marshal(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := decodeAnswer(data)
		if err != nil {
			return
		}
		again, err := dcbor.Marshal(x)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x became %x, %v", data, again, err)
		}
	})
}

// FuzzServe gives a server any bytes: it answers or gives up, within bounds.
func FuzzServe(f *testing.F) {
	a := newAuthor(f, "fuzz")
	a.release()
	a.release()
	l := holding(f, a)
	log := a.key.Public()
	key := []channel.Hash{a.id.Discovery()}
	f.Add(frames(f, request{Kind: askHeads, Keys: key}, request{Kind: askRoots, Keys: key, From: 1, To: 1},
		request{Kind: askManifests, Keys: key, Log: &log, From: 1, To: 2}, request{Kind: knock, Keys: key}, request{Kind: askListing, Keys: []channel.Hash{channel.TopicKey("test")}}))
	f.Add(frames(f, request{Kind: askReconcile, Question: &question{Salt: &reconcile.Half{1}, Ranges: []reconcile.Range{reconcile.First(300)}}},
		request{Kind: askReconcile, Question: &question{Ranges: []reconcile.Range{{Prefix: 1, Bits: 3}}}}))
	f.Add([]byte{0, 0, 0, 1, 0})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 16<<10 {
			return
		}
		var out bytes.Buffer
		s := &server{ledger: l, mirror: &mirror{channels: listing300}, knocked: func(channel.ID) {}, patience: time.Second, topicOf: func(context.Context, channel.Hash) (string, bool) { return "test", true }}
		_ = s.serve(context.Background(), memory{bytes.NewReader(data), &out}, func(context.Context, int) error { return nil })
		if out.Len() > len(data)*1024 {
			t.Errorf("%d bytes answered with %d", len(data), out.Len())
		}
	})
}

// FuzzPull gives the asking end any bytes as answers: it never accepts what
// the author did not sign.
func FuzzPull(f *testing.F) {
	a := newAuthor(f, "fuzz")
	a.release()
	a.release()
	key := a.id.Discovery()
	logs := []logState{{Log: a.key.Public(), Seq: 2, Hash: a.prev}}
	f.Add(frames(f, answer{Sections: []section{{Key: key, Root: 1, Hash: firstRoot(a.id), Logs: logs, Items: [][]byte{a.head}}}},
		answer{Sections: []section{{Key: key, Items: [][]byte{a.founding}}}},
		answer{Sections: []section{{Key: key, Items: a.all}}}))
	f.Add(frames(f, answer{}))
	f.Fuzz(func(t *testing.T, data []byte) {
		l := following(t, a)
		p := newPuller(l, &claims{}, memory{bytes.NewReader(data), io.Discard}, time.Second, func(feed.Outcome) {})
		if sections, err := p.heads([]channel.ID{a.id}); err == nil {
			if s, ok := sections[a.id]; ok {
				_, _ = p.channel(t.Context(), a.id, s)
			}
		}
		if n := l.seq(a); n > 2 {
			t.Errorf("accepted %d releases of 2", n)
		}
		if l.offers > 4*MaxItems {
			t.Errorf("%d bytes made us look at %d envelopes", len(data), l.offers)
		}
	})
}
