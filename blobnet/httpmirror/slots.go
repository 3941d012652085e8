package httpmirror

import (
	"context"
	"slices"
	"sync"
)

// slots are places for answers in memory. One visitor, whoever takes his answers
// slowly or waits for the node's own upload limit, may hold half as many as are
// free: so there is one for who comes next, until as many visitors as there are
// slots hold one each.
type slots struct {
	mu      sync.Mutex // guards what follows
	free    int
	held    map[string]int // by visitor
	waiting []*waiter      // in the order in which they came
}

type waiter struct {
	visitor string
	ready   chan struct{} // closed when it has its slot
}

func newSlots(n int) *slots { return &slots{free: n, held: make(map[string]int)} }

// may reports whether a visitor can have one more. mu is held.
func (s *slots) may(visitor string) bool {
	held := s.held[visitor]
	return s.free > 0 && (held == 0 || 2*(held+1) <= s.free)
}

func (s *slots) take(visitor string) {
	s.free--
	s.held[visitor]++
}

// acquire waits for a slot until ctx ends.
func (s *slots) acquire(ctx context.Context, visitor string) error {
	s.mu.Lock()
	if s.may(visitor) {
		s.take(visitor)
		s.mu.Unlock()
		return nil
	}
	w := &waiter{visitor, make(chan struct{})}
	s.waiting = append(s.waiting, w)
	s.mu.Unlock()
	select {
	case <-w.ready:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if i := slices.Index(s.waiting, w); i >= 0 {
		s.waiting = slices.Delete(s.waiting, i, i+1)
		return ctx.Err()
	}
	return nil // it came at the same moment
}

func (s *slots) release(visitor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free++
	if s.held[visitor]--; s.held[visitor] == 0 {
		delete(s.held, visitor)
	}
	s.waiting = slices.DeleteFunc(s.waiting, func(w *waiter) bool {
		ok := s.may(w.visitor)
		if ok {
			s.take(w.visitor)
			close(w.ready)
		}
		return ok
	})
}
