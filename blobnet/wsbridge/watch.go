package wsbridge

import (
	"context"
	"sync"
	"time"
)

// begin, came and finished follow the message that is being read.
func (s *session) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heardOf = true
	s.inBegun, s.inBytes = time.Now(), 0
}

func (s *session) came(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inBytes += n
}

func (s *session) finished() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inBegun = time.Time{}
	if len(s.calls) > 0 {
		s.touch()
	}
}

// idle returns since when the session has been without requests, and whether
// it is so now.
func (s *session) idle() (time.Time, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since, len(s.open) == 0 && len(s.calls) == 0 && s.want == nil && s.inBegun.IsZero()
}

// watch ends the session when the peer stalls or is idle for too long, and
// pings it when it is silent and nobody owes anything.
func (s *session) watch(ctx context.Context, work *sync.WaitGroup) {
	tick := time.NewTicker(max(min(s.lim.StallTimeout, s.lim.IdleTimeout, s.lim.PingInterval)/4, time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := s.verdict(); err != nil {
			s.cancel(err)
			return
		}
		heard := s.raw.heard()
		if _, idle := s.idle(); idle && time.Since(heard) > s.lim.PingInterval && s.pinging.CompareAndSwap(false, true) {
			work.Go(func() {
				defer s.pinging.Store(false)
				ctx, cancel := context.WithTimeout(ctx, s.lim.StallTimeout)
				defer cancel()
				err := s.ws.Ping(ctx)
				// If there is work meanwhile, its own deadlines hold.
				if _, idle := s.idle(); err != nil && context.Cause(ctx) == context.DeadlineExceeded && idle && s.raw.heard().Equal(heard) {
					s.cancel(ErrStalled)
				}
			})
		}
	}
}

// verdict is why the session should end now, or nil.
func (s *session) verdict() error {
	heard := s.raw.heard()
	s.mu.Lock()
	defer s.mu.Unlock()
	if heard.Before(s.inBegun) { // it came before, and waited for us
		heard = s.inBegun
	}
	quiet := time.Since(heard)
	asked := time.Since(s.since)
	switch {
	case !s.inBegun.IsZero() && (quiet > s.lim.StallTimeout || s.lim.slow(s.inBegun, s.inBytes, s.lim.LeastRate)),
		!s.heardOf && time.Since(s.begun) > s.lim.StallTimeout,
		s.inBegun.IsZero() && len(s.calls) > 0 && asked > s.lim.StallTimeout:
		return ErrStalled
	case s.inBegun.IsZero() && len(s.open) == 0 && len(s.calls) == 0 && s.want == nil && asked > s.lim.IdleTimeout:
		return errIdle
	}
	return nil
}
