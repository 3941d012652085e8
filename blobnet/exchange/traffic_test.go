package exchange

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/bao"
)

// book adds up what OnTraffic tells.
type book struct {
	mu             sync.Mutex
	received, sent map[string]Counts
}

func (b *book) add(peer string, received, sent Counts) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.received == nil {
		b.received, b.sent = map[string]Counts{}, map[string]Counts{}
	}
	b.received[peer] = sum(b.received[peer], received)
	b.sent[peer] = sum(b.sent[peer], sent)
}

func sum(a, b Counts) Counts {
	return Counts{a.Useful + b.Useful, a.Duplicate + b.Duplicate, a.Wasted + b.Wasted, a.Overhead + b.Overhead}
}

func TestEveryByteIsCountedOnceAtBothEnds(t *testing.T) {
	large, small := randomBlob(1<<20+16, 1), randomBlob(1000, 2)
	from, to := newPair(t)
	var server, client book
	exchanges := func(h host.Host, b *book, s blobnet.Store) *Exchange {
		e, err := New(Config{Host: h, OnTraffic: b.add, Store: s})
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	s, c := exchanges(to, &server, newTestStore(large, small)), exchanges(from, &client, nil)
	ended := make(chan error, 1)
	go func() { ended <- s.Run(context.Background()) }()
	waitForHandler(t, to)

	p := c.Peer(to.ID())
	for _, b := range [][]byte{large, small, small} {
		if _, err := p.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Fatal(err)
		}
	}
	r := rangeOf(large, 100_000, 5000)
	if _, err := p.GetRange(t.Context(), blobnet.Sum(large), r, nil); err != nil {
		t.Fatal(err)
	}
	r.Tree[0]++
	if _, err := p.GetRange(t.Context(), blobnet.Sum(large), r, nil); err == nil {
		t.Fatal("a wrong hash goes through")
	}
	p.Get(t.Context(), blobnet.ID{1}, nil)
	p.Have(t.Context(), []blobnet.ID{{1}})
	c.Close()
	s.Close()
	<-ended

	useful := int64(len(large) + 2*len(small) + 5000)
	proof := int64(bao.ProofSize(len(large), r.Offset, r.Length))
	in, out := client.received[to.ID().String()], server.sent[from.ID().String()]
	if in.Useful != useful || in.Wasted != proof || in.Duplicate != 0 {
		t.Errorf("the client received %+v", in)
	}
	if out.Useful != useful+5000 || out.Wasted != 0 || out.Duplicate != 0 {
		t.Errorf("the server sent %+v", out)
	}
	// The 17 frames of the large blob, and what else there was.
	if all := sum(in, Counts{}).total(); all != out.total() || in.Overhead < 17*responseHead+proof-5000 || in.Overhead > 100_000 {
		t.Errorf("the client received %+v, the server sent %+v", in, out)
	}
	in, out = server.received[from.ID().String()], client.sent[to.ID().String()]
	if in != out || in.Useful+in.Wasted+in.Duplicate != 0 || in.Overhead < 6*(headSize+requestFixed) {
		t.Errorf("the server received %+v, the client sent %+v", in, out)
	}
}

func (c Counts) total() int64 { return c.Useful + c.Duplicate + c.Wasted + c.Overhead }

func TestBytesOfAGetAreDuplicateIfAnotherPeerWasSoonerAndElseWasted(t *testing.T) {
	for name, cause := range map[string]error{"lost": nil, "not wanted any more": context.Canceled, "sooner": blobnet.ErrGiven} {
		var b book
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		var came atomic.Int64
		blob := randomBlob(100_000, 1)
		more, gone := make(chan bool), make(chan bool)
		p, _ := hostileServer(t, Config{OnTraffic: b.add}, func(r *raw, f frame) {
			r.send(part(f.req, blob, 0, 40_000))
			r.send(part(f.req, blob, 40_000, 1000))
			<-more
			r.s.Reset()
			close(gone)
		})
		done := make(chan bool)
		go func() {
			p.GetMetered(ctx, blobnet.Sum(blob), nil, &came)
			close(done)
		}()
		for received(p) < 41_000 {
			runtime.Gosched()
		}
		if cause != nil {
			cancel(cause)
			<-done
		}
		close(more)
		<-done
		<-gone
		p.c.e.Close()
		got := b.received[p.Name()]
		want := Counts{Wasted: 41_000, Overhead: got.Overhead}
		if cause == blobnet.ErrGiven {
			want.Wasted, want.Duplicate = 0, 41_000
		}
		if got != want || came.Load() != 41_000 {
			t.Errorf("%s: %+v, %d bytes came", name, got, came.Load())
		}
	}
}

// received is how many bytes came for calls that are open.
func received(p *Peer) (n int) {
	p.c.mu.Lock()
	defer p.c.mu.Unlock()
	for _, l := range p.c.links {
		l.mu.Lock()
		for _, c := range l.calls {
			if !c.reading {
				n += c.got
			}
		}
		l.mu.Unlock()
	}
	return n
}
