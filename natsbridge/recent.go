package natsbridge

import "sync"

// recent remembers about the last max to 2*max keys. It is safe for concurrent
// use.
type recent[K comparable, V any] struct {
	max int

	mu       sync.Mutex // guards both; held for memory work alone
	new, old map[K]V
}

func newRecent[K comparable, V any](most int) *recent[K, V] {
	return &recent[K, V]{max: most, new: map[K]V{}}
}

func (r *recent[K, V]) put(k K, v V) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.new) >= r.max {
		r.old, r.new = r.new, map[K]V{}
	}
	r.new[k] = v
}

func (r *recent[K, V]) get(k K) (V, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if v, ok := r.new[k]; ok {
		return v, true
	}
	v, ok := r.old[k]
	return v, ok
}

// Trail remembers by which way statements came to this node. All its bridges
// share one, so that what came from one NATS is counted when it goes into
// another.
type Trail struct{ ways *recent[digest, way] }

// NewTrail returns an empty one.
func NewTrail() *Trail { return &Trail{newRecent[digest, way](1 << 16)} }
