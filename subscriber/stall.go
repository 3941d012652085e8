package subscriber

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

const (
	// leastRate is how many bytes per second a release has to bring while others
	// wait for it.
	leastRate = 16 << 10
	// newsAfter is how long a look at what was missing may hear nothing while
	// there is news.
	newsAfter = time.Second
)

// errStalled: those who may have a blob are there and do not give it. It is met
// together with blobnet.ErrNotFound.
var errStalled = errors.New("who has it does not give it")

// errWaited is found by no release of another log that waits for this one.
var errWaited = errors.New("another waits")

// stalls are the logs of which looks have lately been in vain because whoever has
// the blobs does not give them. Somebody who may publish can sign as many releases as
// he likes, hold them alone and answer nothing: so the more, the less each is waited
// for, and nothing but time makes up for it.
type stalls struct {
	mu   sync.Mutex // guards logs
	logs map[channel.PublicKey]*stalled
}

type stalled struct {
	probe
	last time.Time
}

// patience is how long a first look at a release of the log may hear nothing.
func (s *stalls) patience(log channel.PublicKey, full time.Duration) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[log]
	if l == nil {
		return full
	}
	if time.Since(l.last) > againPause {
		delete(s.logs, log)
		return full
	}
	return l.patience(full)
}

// lately reports whether a look at a release of the log was in vain.
func (s *stalls) lately(log channel.PublicKey) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.logs[log]
	return l != nil && time.Since(l.last) <= againPause
}

func (s *stalls) note(log channel.PublicKey) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.logs == nil {
		s.logs = map[channel.PublicKey]*stalled{}
	}
	l := s.logs[log]
	if l == nil {
		l = new(stalled)
		s.logs[log] = l
	}
	l.ended(false)
	l.last = time.Now()
}

// attend returns a context that ends, with errStalled, when those who are asked for
// blobs of r give nothing for too long, or too little while others wait; with turns
// also, with errTurn, when it has had its turn and others wait, but in a quota. The function must be
// called in the end.
func (f *follower) attend(parent context.Context, r catalog.Release, again, turns bool) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	limit := f.cfg.Silence
	if !again || f.order.Once {
		limit = f.stalls.patience(r.Log, limit)
	}
	// In a quota there is no room for what is put aside: it would be dropped, and
	// fetched again and again.
	turns = turns && f.rules.Policy.Quota == 0
	turn := f.turnOf(r, again)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(min(max(min(limit, turn)/20, 10*time.Millisecond), time.Second))
		defer tick.Stop()
		begun := time.Now()
		last, heard := int64(0), begun
		count := brought{swarm: f.cfg.Swarm}
		start := count.now()
		had, since := start, begun
		ask := begun.Add(turn)
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := time.Now()
			came, waits := f.cfg.Swarm.Came()
			if came != last || !waits {
				last, heard = came, now
			}
			quiet, slow := now.Sub(heard), false
			if !waits {
				had, since = count.now(), now // it is we who are slow
			} else if window := now.Sub(since); window >= 2*limit {
				n := count.now()
				slow = float64(n-had) < leastRate*window.Seconds() && f.keepsWaiting(ctx, r, again)
				had, since = n, now
			}
			hurry := again && !f.order.Once && quiet >= min(limit, newsAfter) && f.interrupted()
			if hurry && count.now() > start { // it comes, and is only put aside
				cancel(givenUp{f.cfg.Swarm.Nobody(now.Sub(begun).Round(100 * time.Millisecond)), errTurn, true})
				return
			}
			if slow || hurry || quiet >= limit {
				f.stalls.note(r.Log)
				cancel(givenUp{f.cfg.Swarm.Nobody(max(quiet, now.Sub(begun)).Round(100 * time.Millisecond)), errStalled, slow})
				return
			}
			if turns && !now.Before(ask) {
				if f.keepsWaiting(ctx, r, again) {
					if !again {
						f.turns.note(r.Log)
					}
					cancel(givenUp{f.cfg.Swarm.Nobody(now.Sub(begun).Round(100 * time.Millisecond)), errTurn, true})
					return
				}
				ask = now.Add(min(waitsCheck, f.cfg.Turn))
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}
