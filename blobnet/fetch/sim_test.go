package fetch

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// pipe is a link of so many bytes per second, shared by all who send through
// it, a frame at a time in the order in which they come. Time is the test's.
type pipe struct {
	rate float64 // bytes/s
	turn chan struct{}
}

func newPipe(rate float64) *pipe {
	p := &pipe{rate: rate, turn: make(chan struct{}, 1)}
	p.turn <- struct{}{}
	return p
}

const simFrame = 64 << 10

// send returns how many of n bytes went through before ctx ended.
func (p *pipe) send(ctx context.Context, n int, came *atomic.Int64) (sent int) {
	for sent < n {
		select {
		case <-p.turn:
		case <-ctx.Done():
			return sent
		}
		frame := min(simFrame, n-sent)
		err := delay(ctx, time.Duration(float64(frame)/p.rate*float64(time.Second)))
		p.turn <- struct{}{}
		if came != nil {
			came.Add(int64(frame))
		}
		if sent += frame; err != nil {
			return sent
		}
	}
	return sent
}

// simPeer serves a store through a pipe with a delay, one blob after another on
// each of two streams. It counts what goes through.
type simPeer struct {
	name    string
	store   *blobMap
	up      *pipe
	rtt     time.Duration
	streams chan struct{}

	mu    sync.Mutex
	bytes int64
	haves int
	gets  int
}

func newSimPeer(name string, store *blobMap, up *pipe, rtt time.Duration) *simPeer {
	return &simPeer{name: name, store: store, up: up, rtt: rtt, streams: make(chan struct{}, 2)}
}

func (p *simPeer) Name() string { return p.name }

func (p *simPeer) RTT() time.Duration { return p.rtt }

// delay waits, on the test's clock.
func delay(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (p *simPeer) serve(ctx context.Context, id blobnet.ID, offset, length int, dst []byte, came *atomic.Int64) ([]byte, error) {
	if err := delay(ctx, p.rtt); err != nil {
		return dst, err
	}
	p.store.mu.Lock()
	b, ok := p.store.blobs[id]
	p.store.mu.Unlock()
	if !ok {
		return dst, blobnet.ErrNotFound
	}
	if length == 0 {
		length = len(b)
	}
	select {
	case p.streams <- struct{}{}:
	case <-ctx.Done():
		return dst, ctx.Err()
	}
	sent := p.up.send(ctx, length, came)
	<-p.streams
	p.mu.Lock()
	p.bytes += int64(sent)
	p.gets++
	p.mu.Unlock()
	if sent < length || ctx.Err() != nil {
		return dst, ctx.Err()
	}
	return append(dst, b[offset:offset+length]...), nil
}

func (p *simPeer) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return p.serve(ctx, id, 0, 0, dst, nil)
}

func (p *simPeer) GetMetered(ctx context.Context, id blobnet.ID, dst []byte, came *atomic.Int64) ([]byte, error) {
	return p.serve(ctx, id, 0, 0, dst, came)
}

func (p *simPeer) Have(ctx context.Context, ids []blobnet.ID) ([]bool, error) {
	p.mu.Lock()
	p.haves++
	p.mu.Unlock()
	if err := delay(ctx, p.rtt); err != nil {
		return nil, err
	}
	return p.store.Has(ctx, ids...)
}

func (p *simPeer) sent() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

// simRanger is a simPeer that gives parts.
type simRanger struct{ *simPeer }

func (p simRanger) GetRange(ctx context.Context, id blobnet.ID, r blobnet.Range, dst []byte) ([]byte, error) {
	if r.Offset < 0 || r.Length <= 0 || r.Offset+r.Length > r.Size {
		return dst, errors.New("bad range")
	}
	return p.serve(ctx, id, r.Offset, r.Length, dst, nil)
}

// simBlobs are n blobs of a MiB, with what is known of them.
func simBlobs(n int) (*blobMap, []Want) {
	blobs, ids := randomBlobs(n, 1<<20)
	wants := make([]Want, n)
	for i, id := range ids {
		wants[i] = Want{ID: id, Tree: [32]byte{1}, Size: 1 << 20, Class: blobnet.Foreground}
	}
	return newBlobMap(blobs...), wants
}

func wanted(wants []Want) func(func(Want, error) bool) {
	return func(yield func(Want, error) bool) {
		for _, w := range wants {
			if !yield(w, nil) {
				return
			}
		}
	}
}

func asItIs(w Want) Want { return w }

// simEach gets wants and returns how long it took.
func simEach(t *testing.T, s *Swarm, wants []Want) time.Duration {
	t.Helper()
	begun := time.Now()
	err := Each(t.Context(), s, wanted(wants), asItIs, func(w Want, blob []byte, _ bool) error {
		if len(blob) != w.Size {
			t.Error("wrong bytes")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	return time.Since(begun)
}
