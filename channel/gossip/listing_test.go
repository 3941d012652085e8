package gossip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

func onTest(int) string { return "test" }

func TestSybilChannelsMayNotFillAListingWithRoots(t *testing.T) {
	a := newAuthor(t, "many roots")
	roots := a.roots(maxRoots+1, onTest)
	if id, err := checkListing("test", roots[:maxRoots], false); err != nil || id != a.id {
		t.Errorf("as many roots as are allowed: %v", err)
	}
	if _, err := checkListing("test", roots, true); !errors.Is(err, channel.ErrLimit) {
		t.Errorf("one root more: %v", err)
	}

	// By sync, sending more is a lie.
	n := newNode(t, "", func(c *Config) { c.Patience = time.Second })
	if err := n.gossip.Listen("test"); err != nil {
		t.Fatal(err)
	}
	h, _ := hostileHost(t, a.id, func(c net.Conn) {
		skip(c)
		send(c, answer{Sections: []section{{Key: a.id.Discovery(), Items: roots}}})
	})
	connect(t, n.host, h)
	if _, err := n.gossip.talk(t.Context(), h.ID(), []want{{target: target{topic: "test"}}}); !errors.Is(err, ErrMisbehaved) {
		t.Errorf("a listing with %d roots: %v", len(roots), err)
	}
	if _, err := n.ledger.Channel(t.Context(), a.id); !errors.Is(err, catalog.ErrUnknown) {
		t.Errorf("it was taken in: %v", err)
	}
}

// What an honest node says about channels with many roots, no honest node takes
// for a lie.
func TestListingOfAChannelWithManyRootsHoldsTheFirst(t *testing.T) {
	late := func(v int) string { // on the topic only after what a listing holds
		if v > maxRoots {
			return "late"
		}
		return "test"
	}
	for _, c := range []struct {
		name, topic string
		versions    int
		topics      func(int) string
		want        int // items
	}{
		{"few", "test", maxRoots, onTest, maxRoots + 1},
		{"many", "test", maxRoots + 3, onTest, maxRoots},
		{"named too late", "late", maxRoots + 1, late, 0},
	} {
		a := newAuthor(t, c.name)
		l := following(t, a)
		for _, r := range a.roots(c.versions, c.topics) {
			if o := l.offer(r, false); o.Err != nil {
				t.Fatal(o.Err)
			}
		}
		m, head := a.release()
		l.offer(m, false)
		if o := l.offer(head, false); o.Err != nil {
			t.Fatal(o.Err)
		}
		s, ok, err := listing(t.Context(), l, a.id, c.topic)
		if err != nil || ok != (c.want > 0) || ok && len(s.Items) != c.want {
			t.Errorf("%s: %d items, %v, %v", c.name, len(s.Items), ok, err)
		}
		if !ok {
			continue
		}
		if id, err := checkListing(c.topic, s.Items, false); err != nil || id != a.id {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// A listing is read from the Ledger channel by channel, and a frame is sent
// before the next is read: what a hostile topic holds does not fit in memory.
func TestEndlessDataOfAListingGoesOutFrameByFrame(t *testing.T) {
	l := newFakeLedger()
	const channels = MaxItems + 10
	for i := range channels {
		a := newAuthor(t, fmt.Sprint("channel ", i))
		_ = l.Expect(t.Context(), a.id, catalog.Listed)
		if o := l.offer(a.founding, false); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	counted := &countingLedger{Ledger: l}
	near, far := bufferedPipe()
	defer near.Close()
	s := &server{ledger: counted, patience: time.Second, topicOf: func(context.Context, channel.Hash) (string, bool) { return "test", true }}
	go func() {
		_ = s.serve(context.Background(), recorder{far, counted}, func(context.Context, int) error { return nil })
		_ = far.Close()
	}()
	p := newPuller(newFakeLedger(), &claims{}, near, time.Second, nil)
	got := 0
	if err := p.listing("test", func(section) error { got++; return nil }); err != nil || got != channels {
		t.Errorf("%d channels, %v", got, err)
	}
	if counted.most > MaxItems+1 {
		t.Errorf("%d channels were read before a frame was sent", counted.most)
	}
}

// countingLedger counts whose roots were read since the last frame. One
// goroutine uses it at a time.
type countingLedger struct {
	Ledger
	since, most int
}

func (l *countingLedger) Roots(ctx context.Context, id channel.ID, from uint64, maxItems, maxBytes int) ([][]byte, error) {
	l.since++
	l.most = max(l.most, l.since)
	return l.Ledger.Roots(ctx, id, from, maxItems, maxBytes)
}

// recorder is a connection that tells the ledger of frames.
type recorder struct {
	net.Conn
	l *countingLedger
}

func (r recorder) Write(p []byte) (int, error) {
	r.l.since = 0
	return r.Conn.Write(p)
}
