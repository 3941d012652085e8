package copies

import "math/rand/v2"

// Sample keeps a random choice of what it is given: every item with the same
// chance, and all of them as long as there are no more than its size.
type Sample[T any] struct {
	items []T
	size  int
	seen  int
}

// NewSample returns a sample of at most size items.
func NewSample[T any](size int) *Sample[T] { return &Sample[T]{size: size} }

// Add gives it one more.
func (s *Sample[T]) Add(v T) {
	s.seen++
	if len(s.items) < s.size {
		s.items = append(s.items, v)
		return
	}
	if i := rand.IntN(s.seen); i < s.size {
		s.items[i] = v
	}
}

// Items are those that were chosen, in no order.
func (s *Sample[T]) Items() []T { return s.items }

// Seen is how many it was given.
func (s *Sample[T]) Seen() int { return s.seen }
