package wsbridge

import (
	"context"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// wanted is a WANT of ours.
type wanted struct {
	has  map[blobnet.ID]bool
	done chan struct{} // closed at the answer
}

// wantHave sends a WANT and waits for the HAVE that answers it. One WANT is
// open at a time; the caller sees to that.
func (s *session) wantHave(ctx context.Context, ids []blobnet.ID, patience time.Duration) (map[blobnet.ID]bool, error) {
	if err := s.welcome(ctx); err != nil {
		return nil, err
	}
	w := &wanted{has: make(map[blobnet.ID]bool, len(ids)), done: make(chan struct{})}
	for _, id := range ids {
		w.has[id] = false
	}
	s.mu.Lock()
	s.want = w
	s.touch()
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.want = nil
		s.touch()
		s.mu.Unlock()
	}()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case s.control <- appendText(nil, message{kind: kindWant, ids: ids}):
	case <-s.over:
		return nil, s.ended
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	select {
	case <-w.done:
	case <-timer.C: // a node may say nothing where it has nothing
	case <-s.over:
		return nil, s.ended
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return w.has, nil
}

// answered reports whether a HAVE answers our WANT: if it names nothing else.
func (s *session) answered(ids []blobnet.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.want
	if w == nil {
		return false
	}
	select {
	case <-w.done:
		return false
	default:
	}
	for _, id := range ids {
		if _, ok := w.has[id]; !ok {
			return false
		}
	}
	for _, id := range ids {
		w.has[id] = true
	}
	close(w.done)
	return true
}
