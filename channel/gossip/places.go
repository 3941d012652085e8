package gossip

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/time/rate"
)

// What one peer may ask for: cost of requests per second, and at once.
const (
	askRate  = 32
	askBurst = 256
)

var errCrowded = errors.New("waiting stream makes room for another")

// served counts the streams of each peer, and how fast it asks.
type served struct {
	mu      sync.Mutex
	places  map[*place]struct{} // without those made to leave; guarded by mu
	leaving int                 // streams made to leave that have not ended; guarded by mu
	peers   map[peer.ID]*asker  // guarded by mu
}

type asker struct {
	streams int // guarded by served.mu
	rate    *rate.Limiter
}

// place is what one stream occupies.
type place struct {
	*asker
	cut context.CancelFunc // ends the stream, and does not wait for it

	answering bool      // guarded by served.mu
	since     time.Time // of its wait for a request; guarded by served.mu
}

func newServed() *served {
	return &served{places: make(map[*place]struct{}), peers: make(map[peer.ID]*asker)}
}

// begin gives a stream of p a place, or nil where p has too many. Where all
// places are taken, the stream that has waited longest for a request is cut;
// nil then means that all are being answered. A stream that asks faster than
// it may counts as waiting.
func (s *served) begin(p peer.ID, cut context.CancelFunc) *place {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.peers[p]
	if a == nil {
		a = &asker{rate: rate.NewLimiter(askRate, askBurst)}
		s.peers[p] = a
	}
	if a.streams >= MaxStreams {
		return nil
	}
	if len(s.places) >= maxServed {
		var oldest *place
		for q := range s.places {
			if !q.answering && (oldest == nil || q.since.Before(oldest.since)) {
				oldest = q
			}
		}
		if oldest == nil || s.leaving >= maxServed {
			return nil
		}
		s.forget(oldest)
		s.leaving++
		oldest.cut()
	}
	a.streams++
	added := &place{asker: a, cut: cut, since: time.Now()}
	s.places[added] = struct{}{}
	return added
}

// forget takes away a stream's place. s.mu is held.
func (s *served) forget(q *place) {
	delete(s.places, q)
	q.streams--
}

// answers notes that q's request is about to be answered. It reports false
// where q has lost its place.
func (s *served) answers(q *place) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.places[q]
	q.answering = true
	return ok
}

// waits notes that q was answered.
func (s *served) waits(q *place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q.answering, q.since = false, time.Now()
}

// end gives back a place when the stream has ended.
func (s *served) end(q *place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.places[q]; ok {
		s.forget(q)
	} else {
		s.leaving--
	}
}

// prune forgets peers that have asked for nothing lately.
func (s *served) prune() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for p, a := range s.peers {
		if a.streams == 0 && a.rate.Tokens() >= askBurst {
			delete(s.peers, p)
		}
	}
}

// handle serves one stream of the host.
func (g *Gossip) handle(stream network.Stream) {
	p := stream.Conn().RemotePeer()
	if g.conduct.banned(p) {
		_ = stream.Reset()
		return
	}
	ctx, cancel := context.WithCancel(g.ctx)
	place := g.served.begin(p, cancel)
	if place == nil {
		cancel()
		_ = stream.Reset()
		return
	}
	ok := g.start(func() {
		defer cancel()
		defer g.served.end(place)
		stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
		defer stop()
		mirror := g.newMirror(p)
		defer mirror.close()
		s := &server{
			mirror: mirror,
			ledger: g.cfg.Ledger, topicOf: g.topicOf, hidden: g.hidden, patience: g.cfg.Patience,
			waits: func() { g.served.waits(place) },
			knocked: func(id channel.ID) {
				if t := (target{channel: id}); g.interest(t) != nil {
					g.plan.want(p, t, 0, true)
				}
			},
		}
		if err := s.serve(ctx, stream, func(ctx context.Context, cost int) error {
			if err := place.rate.WaitN(ctx, cost); err != nil {
				return err
			}
			if !g.served.answers(place) {
				return errCrowded
			}
			return nil
		}); err != nil {
			_ = stream.Reset()
			return
		}
		_ = stream.SetDeadline(time.Now().Add(g.cfg.Patience)) // Close could wait for ever
		_ = stream.Close()
	})
	if !ok {
		cancel()
		g.served.end(place)
		_ = stream.Reset()
	}
}
