package subscriber

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
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
// blobs of r give nothing for too long, or too little while others wait. got counts
// the bytes of r that are here; it may be nil. The function must be called in the end.
func (f *follower) attend(parent context.Context, r catalog.Release, again bool, got *atomic.Int64) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	limit := f.cfg.Silence
	if !again || f.order.Once {
		limit = f.stalls.patience(r.Log, limit)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(min(max(limit/20, 10*time.Millisecond), time.Second))
		defer tick.Stop()
		begun := time.Now()
		last, heard := int64(0), begun
		brought, since := int64(0), begun
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
				since = now // it is we who are slow
			} else if window := now.Sub(since); window >= 2*limit {
				n := brought
				if got != nil {
					n = got.Load()
				}
				slow = float64(n-brought) < leastRate*window.Seconds() && f.keepsWaiting(ctx, r, again)
				brought, since = n, now
			}
			hurry := again && !f.order.Once && quiet >= min(limit, newsAfter) && f.interrupted()
			if slow || hurry || quiet >= limit {
				f.stalls.note(r.Log)
				cancel(stalledError{f.cfg.Swarm.Nobody(max(quiet, now.Sub(begun)).Round(100 * time.Millisecond))})
				return
			}
		}
	}()
	return ctx, func() {
		cancel(nil)
		<-done
	}
}

// stalledError is errStalled, with who was asked.
type stalledError struct{ error }

func (e stalledError) Unwrap() []error { return []error{errStalled, e.error} }

// keepsWaiting reports whether something else waits for r.
func (f *follower) keepsWaiting(ctx context.Context, r catalog.Release, again bool) bool {
	if again {
		return !f.order.Once && f.interrupted()
	}
	return errors.Is(f.pending(ctx, r.Position)(func(o catalog.Release) error {
		if o.Log != r.Log {
			return errWaited
		}
		return nil
	}), errWaited)
}
