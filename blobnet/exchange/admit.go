package exchange

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// errCrowded ends, in order, an idle stream whose place another one needs.
var errCrowded = errors.New("idle stream makes room for another")

// served is what one peer uses of the serving side.
type served struct {
	streams int
	memory  borrower
	wants   *rate.Limiter // of ids in WANT
	proving chan struct{} // holds a token for each proof that is being made
}

// accept serves one stream; the host calls it in a goroutine of its own.
func (e *Exchange) accept(s network.Stream) { e.serve(s, s.Conn().RemotePeer()) }

func (e *Exchange) serve(s stream, from peer.ID) {
	if !e.enter() {
		s.ResetWithError(network.StreamShutdown)
		return
	}
	defer e.running.Done()
	ctx, cancel := context.WithCancelCause(e.ctx)
	defer cancel(nil)
	x, victim, first := e.admit(s, from, cancel)
	if x == nil {
		s.ResetWithError(network.StreamResourceLimitExceeded)
		return
	}
	defer e.release(x)
	if victim != nil {
		victim.cancel(errCrowded)
	}
	if first {
		e.event(Event{Kind: KindPeer, Peer: from})
	}
	x.run(ctx)
}

// admit counts a stream from a peer and returns its session, or nil if there
// are too many. Where all places are taken, the stream that has been idle
// longest loses its place; the caller cancels that victim. So silent streams,
// however many identities open them, keep nobody out. A stream with an open
// request keeps its place.
func (e *Exchange) admit(s stream, from peer.ID, cancel context.CancelCauseFunc) (x, victim *session, first bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	load := e.served[from]
	if load != nil && load.streams >= e.cfg.MaxStreamsPerPeer {
		return nil, nil, false
	}
	if len(e.streams) >= e.cfg.MaxStreams {
		// Who is made to leave takes a moment; there is a bound to that too.
		if e.leaving >= e.cfg.MaxStreams {
			return nil, nil, false
		}
		if victim = e.idlest(); victim == nil {
			return nil, nil, false
		}
		e.forget(victim)
		e.leaving++
		load = e.served[from] // it may have been the same peer's last
	}
	if load == nil {
		load = &served{wants: rate.NewLimiter(wantRate, wantBurst), proving: make(chan struct{}, maxProvingOfPeer)}
		e.served[from] = load
	}
	load.streams++
	x = newSession(e, s, from, load, cancel)
	e.streams[x] = struct{}{}
	return x, victim, load.streams == 1
}

// idlest marks the stream that has been idle longest as leaving and returns
// it, or nil if none is idle. e.mu is held.
func (e *Exchange) idlest() *session {
	for range 3 { // a request may come as we look
		var best *session
		var since time.Time
		for x := range e.streams {
			if t, idle := x.idle(); idle && (best == nil || t.Before(since)) {
				best, since = x, t
			}
		}
		if best == nil {
			return nil
		}
		if best.leave() {
			return best
		}
	}
	return nil
}

// forget takes away a session's place. e.mu is held.
func (e *Exchange) forget(x *session) {
	delete(e.streams, x)
	if x.load.streams--; x.load.streams == 0 {
		delete(e.served, x.peer)
	}
}

func (e *Exchange) release(x *session) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if _, ok := e.streams[x]; ok {
		e.forget(x)
	} else {
		e.leaving--
	}
}
