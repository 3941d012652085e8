package exchange

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"

	"github.com/anonymous-media-library/aml/blobnet"
)

// How often a peer is told by Announce, per second and at once.
const tellRate, tellBurst = 16, 64

// Peer is what one remote peer has, as a blobnet.Source. All Peers of one
// exchange and id share their streams, which are opened when needed (the host
// dials, by the addresses in its peerstore) and closed when idle. All methods
// may be called from many goroutines at once.
type Peer struct {
	c    *client
	once sync.Once
}

var _ blobnet.Source = (*Peer)(nil)

// client is the streams to one peer.
type client struct {
	e    *Exchange
	id   peer.ID
	name string
	refs int // Peers not closed; guarded by e.mu
	came atomic.Int64

	tells *rate.Limiter // of HAVE unasked
	rtt   atomic.Int64  // the least round trip seen, in nanoseconds; 0: none

	mu      sync.Mutex // guards what follows; never held across I/O
	closed  bool
	links   []*link
	opening chan struct{} // not nil while a link is opened; closed then
}

// Peer returns the remote peer id. It dials nothing; Close it after use.
func (e *Exchange) Peer(id peer.ID) *Peer {
	e.mu.Lock()
	defer e.mu.Unlock()
	c := e.clients[id]
	if c == nil {
		c = &client{e: e, id: id, name: id.String(), tells: rate.NewLimiter(tellRate, tellBurst)}
		e.clients[id] = c
	}
	c.refs++
	return &Peer{c: c}
}

// ID returns the peer's id.
func (p *Peer) ID() peer.ID { return p.c.id }

// Name returns the peer's id as text.
func (p *Peer) Name() string { return p.c.name }

// Came is how many bytes of blobs the peer has sent, as they come, wanted or not.
func (p *Peer) Came() int64 { return p.c.came.Load() }

// RTT is the least time in which the peer has answered anything, 0 if it has not.
func (p *Peer) RTT() time.Duration { return time.Duration(p.c.rtt.Load()) }

// answered takes note of how long an answer took that waited behind no other.
func (c *client) answered(took time.Duration) {
	for old := c.rtt.Load(); (old == 0 || int64(took) < old) && !c.rtt.CompareAndSwap(old, max(int64(took), 1)); old = c.rtt.Load() {
	}
}

// Close ends the streams to the peer if this was the last Peer that uses them.
// Gets under way then return blobnet.ErrClosed.
func (p *Peer) Close() error {
	p.once.Do(func() {
		c, e := p.c, p.c.e
		e.mu.Lock()
		c.refs--
		if c.refs == 0 {
			delete(e.clients, c.id)
		}
		last := c.refs == 0
		e.mu.Unlock()
		if last {
			c.close(blobnet.ErrClosed)
		}
	})
	return nil
}

// Get asks the peer for a blob, as blobnet.Source says. The bytes go straight
// into dst, which grows at most once. Beside the errors of blobnet it gives
// BusyError, ErrStalled, ErrLost, ErrRefused, MisbehaviourError or what
// opening a stream gave. A cancelled ctx stops the transfer at the peer, too.
func (p *Peer) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return p.GetMetered(ctx, id, dst, nil)
}

// GetMetered is Get, and adds to came, if that is not nil, the bytes as they
// come: also those that turn out to be in vain.
func (p *Peer) GetMetered(ctx context.Context, id blobnet.ID, dst []byte, came *atomic.Int64) ([]byte, error) {
	out, err := p.c.get(ctx, id, dst, came)
	if err != nil {
		return dst, fmt.Errorf("getting blob %s from peer %s: %w", id.Short(), p.c.id, err)
	}
	return out, nil
}

func (c *client) get(ctx context.Context, id blobnet.ID, dst []byte, came *atomic.Int64) ([]byte, error) {
	base := len(dst)
	l, call, err := c.call(ctx, call{dst: dst, came: came}, frame{typ: typeRequest, id: id})
	if err != nil {
		return nil, err
	}
	out := call.dst
	size := int64(len(out) - base)
	if blobnet.Sum(out[base:]) != id {
		l.report(Counts{Wasted: size})
		err := &MisbehaviourError{Peer: c.id, Err: blobnet.ErrCorrupt}
		c.e.event(Event{Kind: KindMisbehaviour, Peer: c.id, ID: id, Err: err})
		l.kill(errWrongBlob)
		return nil, err
	}
	c.e.event(Event{Kind: KindDownload, Peer: c.id, ID: id, Bytes: size})
	l.report(Counts{Useful: size})
	return out, nil
}

// Have asks the peer which of ids it has and returns the answers in the same
// order. The peer is free to lie.
func (p *Peer) Have(ctx context.Context, ids []blobnet.ID) ([]bool, error) {
	has := make([]bool, 0, len(ids))
	for len(has) < len(ids) {
		batch := ids[len(has):min(len(has)+maxIDs, len(ids))]
		_, call, err := p.c.call(ctx, call{want: batch}, frame{typ: typeWant, ids: batch})
		if err != nil {
			return nil, fmt.Errorf("asking peer %s for %d blobs: %w", p.c.id, len(batch), err)
		}
		for i := range batch {
			has = append(has, call.has[i/8]&(0x80>>(i%8)) != 0)
		}
	}
	return has, nil
}

// Announce tells the peer, which may not care, that ids can be had here. A peer is
// told so 16 times a second, and 64 times at once: more gives a BusyError, since
// the peer would take it for a flood.
func (p *Peer) Announce(ctx context.Context, ids []blobnet.ID) error {
	for batch := range slices.Chunk(ids, maxIDs) {
		var l *link
		err := error(&BusyError{After: time.Second})
		if p.c.tells.Allow() {
			l, _, err = p.c.link(ctx)
		}
		if err == nil {
			err = l.tell(frame{typ: typeHave, ids: batch})
		}
		if err != nil {
			return fmt.Errorf("announcing %d blobs to peer %s: %w", len(batch), p.c.id, err)
		}
	}
	return nil
}

// call sends f as a copy of blank, as soon as a link has room for it, and waits
// for its last frame. A link that had served before may have been closed by
// the peer while f was under way; then it tries once more.
func (c *client) call(ctx context.Context, blank call, f frame) (*link, *call, error) {
	for try := 1; ; try++ {
		l, fresh, err := c.link(ctx)
		if err != nil {
			return nil, nil, err
		}
		call := blank
		full, err := l.begin(&call, f)
		if full != nil {
			select {
			case <-full:
			case <-ctx.Done():
			}
			try--
			continue
		}
		if err == nil {
			err = l.wait(ctx, &call)
		}
		if err == nil {
			return l, &call, nil
		}
		if misbehaved(err) && !errors.As(err, new(*MisbehaviourError)) {
			err = &MisbehaviourError{Peer: c.id, Err: err}
		}
		// A lost link writes to call no more, so got may be read after that.
		if try == 2 || fresh || !errors.Is(err, ErrLost) || call.got > 0 || ctx.Err() != nil {
			return nil, nil, err
		}
	}
}

// link returns a link with few calls, after opening one if all are in use and
// there may be more of them. fresh says that it was opened for this call.
func (c *client) link(ctx context.Context) (l *link, fresh bool, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		c.mu.Lock()
		if c.closed {
			c.mu.Unlock()
			return nil, false, blobnet.ErrClosed
		}
		best, least, alive := (*link)(nil), 0, c.links[:0]
		for _, l := range c.links {
			n, ok := l.load()
			if !ok {
				continue
			}
			alive = append(alive, l)
			if best == nil || n < least {
				best, least = l, n
			}
		}
		clear(c.links[len(alive):])
		c.links = alive
		opening := c.opening
		if best != nil && (least == 0 || opening != nil || len(alive) >= c.e.cfg.Streams) {
			c.mu.Unlock()
			return best, false, nil
		}
		if opening == nil {
			c.opening = make(chan struct{})
			c.mu.Unlock()
			l, err := c.open(ctx)
			if err != nil && best != nil && ctx.Err() == nil {
				return best, false, nil // one stream is slower, not wrong
			}
			return l, true, err
		}
		c.mu.Unlock()
		select {
		case <-opening:
		case <-ctx.Done():
		}
	}
}

// open opens a link and starts its goroutines.
func (c *client) open(ctx context.Context) (*link, error) {
	l, err := c.dial(ctx)
	c.mu.Lock()
	first, closed := len(c.links) == 0, c.closed
	if l != nil && !closed {
		c.links = append(c.links, l)
	}
	close(c.opening)
	c.opening = nil
	c.mu.Unlock()
	switch {
	case err != nil:
		return nil, err
	case closed:
		l.kill(blobnet.ErrClosed)
	case first:
		c.e.event(Event{Kind: KindPeer, Peer: c.id})
	}
	return l, nil
}

func (c *client) dial(ctx context.Context) (*link, error) {
	e := c.e
	if !e.enter() {
		return nil, blobnet.ErrClosed
	}
	defer e.running.Done()
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StallTimeout)
	defer cancel()
	defer context.AfterFunc(e.ctx, cancel)()
	s, err := e.cfg.Host.NewStream(ctx, c.id, Protocol)
	if e.ctx.Err() != nil && err != nil {
		return nil, blobnet.ErrClosed
	}
	if err != nil {
		return nil, fmt.Errorf("opening stream: %w", err)
	}
	l := newLink(s, c.name, &e.cfg, &e.proofs, func(ids []blobnet.ID) { e.event(Event{Kind: KindHave, Peer: c.id, IDs: ids}) })
	l.came = &c.came
	l.answered = c.answered
	e.running.Go(func() { c.run(l) }) // counted while this goroutine still is
	return l, nil
}

// run serves a link until it ends.
func (c *client) run(l *link) {
	stop := context.AfterFunc(c.e.ctx, func() { l.kill(blobnet.ErrClosed) })
	defer stop()
	var writer sync.WaitGroup
	writer.Go(l.write)
	err := l.read()
	writer.Wait()
	l.report(Counts{})
	if err != nil && misbehaved(err) && !errors.As(err, new(*MisbehaviourError)) {
		c.e.event(Event{Kind: KindMisbehaviour, Peer: c.id, Err: &MisbehaviourError{Peer: c.id, Err: err}})
	}
	end(l.s, err)
}

// close ends all links, and those that are being opened.
func (c *client) close(err error) {
	c.mu.Lock()
	c.closed = true
	links := c.links
	c.links = nil
	c.mu.Unlock()
	for _, l := range links {
		l.kill(err)
	}
}
