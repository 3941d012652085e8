package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

const (
	// maxControl is how many bytes of small frames may wait to be sent on
	// one stream before its reader waits too.
	maxControl = 128 << 10
	// busyWait is how long a request waits for memory before it gets BUSY.
	busyWait = 5 * time.Second
	// Frames that are allowed but ask for nothing (CANCEL of what has ended,
	// HAVE, requests over the limit): this many at once and per second.
	idleFrameBurst = 1024
	idleFrameRate  = 256
	// How many ids one peer may ask of by WANT at once and per second: each
	// is a look into the store. The stream's reader waits, and so do those
	// who ask for more.
	wantBurst = 16 * maxIDs
	wantRate  = 8 * maxIDs
)

// session serves one stream. Three goroutines work for it: one reads frames,
// one reads blobs from the store, one writes frames; so the store, the
// network and the cancelling of requests do not wait for each other.
type session struct {
	e     *Exchange
	s     *timed
	peer  peer.ID
	fr    *frameReader
	load  *served // this peer's
	flood *rate.Limiter
	pace  pace

	// For the writer alone.
	free    []byte // memory for control
	traffic Counts // sent since the last report, but for the overhead
	written int64  // bytes written since then

	cancel context.CancelCauseFunc // ends the session

	mu      sync.Mutex      // guards what follows; never held across I/O
	jobs    map[uint32]*job // every request that has not had its last frame
	queue   []*job          // those that the loader has not taken
	passed  int             // how many went ahead of the first of them
	control []byte          // encoded small frames, sent ahead of blobs
	asking  bool            // a WANT is being answered
	writing bool            // something is being written
	leaving bool            // the stream lost its place: no more requests
	since   time.Time       // of the last request, or its end; at first of the stream's begin
	queued  chan struct{}   // has a token when queue may be non-empty
	replied chan struct{}   // has a token when control has something
	drained chan struct{}   // has a token when control was taken
	sent    chan struct{}   // has a token when a batch was sent
	spare   chan []answer   // memory for the next batch
}

func newSession(e *Exchange, s stream, from peer.ID, load *served, cancel context.CancelCauseFunc) *session {
	x := &session{
		e: e, s: &timed{stream: s}, peer: from, load: load, cancel: cancel, since: time.Now(),
		flood:   rate.NewLimiter(idleFrameRate, idleFrameBurst),
		jobs:    make(map[uint32]*job),
		queued:  make(chan struct{}, 1),
		replied: make(chan struct{}, 1),
		drained: make(chan struct{}, 1),
		sent:    make(chan struct{}, 1),
		spare:   make(chan []answer, 2),
		pace:    pace{limit: e.cfg.Upload, name: from.String(), crowd: &e.crowd, fair: e.cfg.LeastRate / 4, held: true},
	}
	x.fr = newFrameReader(x.s, x.frameStarted)
	return x
}

// run serves until the stream or ctx, which cancel ends, is over.
func (x *session) run(ctx context.Context) {
	stop := context.AfterFunc(ctx, x.s.interrupt)
	defer stop()

	ready := make(chan batch)
	var work sync.WaitGroup
	work.Go(func() { x.loadAll(ctx, ready) })
	work.Go(func() {
		if err := x.write(ctx, ready); err != nil {
			x.cancel(err)
		}
	})
	err := x.read(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // what made reading fail
	}
	x.cancel(err)
	work.Wait()
	x.report()
	x.finish(err)
}

// finish ends the stream as its end deserves.
func (x *session) finish(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, errQuiet) || errors.Is(err, errCrowded) {
		err = nil
	}
	if err != nil && misbehaved(err) {
		x.e.event(Event{Kind: KindMisbehaviour, Peer: x.peer, Err: &MisbehaviourError{Peer: x.peer, Err: err}})
	}
	end(x.s, err)
}

func (x *session) frameStarted() {
	x.s.readWithin(x.e.cfg.StallTimeout)
}

// read handles the peer's frames until one cannot be read or breaks a rule.
func (x *session) read(ctx context.Context) error {
	x.frameStarted() // the handshake has to come soon
	f, err := x.fr.next()
	if errors.Is(err, errQuiet) {
		return ErrStalled
	}
	if err != nil {
		return err
	}
	if f.typ != typeHandshake {
		return fmt.Errorf("%w: %v before HANDSHAKE", ErrProtocol, f.typ)
	}
	if f.version != version {
		return fmt.Errorf("%w: HANDSHAKE of version %d", ErrProtocol, f.version)
	}
	err = x.reply(ctx, frame{typ: typeHandshakeAck, version: version, features: featureRanges, requests: uint16(x.e.cfg.MaxRequests)})
	for err == nil {
		left := x.patience()
		if left <= 0 {
			return errQuiet
		}
		x.s.readWithin(left)
		f, err = x.fr.next()
		switch {
		case err == nil:
			err = x.handle(ctx, f)
		case errors.Is(err, errQuiet) && ctx.Err() == nil:
			err = nil // it may be waiting for us, not we for it
		}
	}
	return err
}

// handle acts on one frame.
func (x *session) handle(ctx context.Context, f frame) error {
	switch f.typ {
	case typeRequest:
		return x.request(ctx, f)
	case typeCancel:
		x.mu.Lock()
		j := x.jobs[f.req]
		x.mu.Unlock()
		if j == nil {
			return x.useless(f.typ)
		}
		x.cancelJob(j)
		return nil
	case typeWant:
		return x.want(ctx, f)
	case typeHave:
		if err := x.useless(f.typ); err != nil {
			return err
		}
		x.e.event(Event{Kind: KindHave, Peer: x.peer, IDs: f.ids})
		return nil
	case typeError:
		return x.useless(f.typ) // it should close the stream instead
	}
	return fmt.Errorf("%w: %v from the requesting side", ErrProtocol, f.typ)
}

// useless counts a frame that costs work and asks for none.
func (x *session) useless(typ frameType) error {
	if !x.flood.Allow() {
		return fmt.Errorf("%w: flood of %v frames", ErrProtocol, typ)
	}
	return nil
}

// reply queues a small frame. If the peer reads nothing it waits, and so does
// everything the peer sends.
func (x *session) reply(ctx context.Context, f frame) error {
	for {
		x.mu.Lock()
		if len(x.control) < maxControl {
			x.control = appendFrame(x.control, f)
			x.mu.Unlock()
			notify(x.replied)
			x.pace.interrupt()
			return nil
		}
		x.mu.Unlock()
		select {
		case <-x.drained:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// done forgets j. It comes before j's last frame is sent, since the peer may
// use the request id again as soon as it has that frame.
func (x *session) done(j *job) {
	x.mu.Lock()
	delete(x.jobs, j.req)
	x.since = time.Now()
	x.mu.Unlock()
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
