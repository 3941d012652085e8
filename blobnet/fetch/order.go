package fetch

import "time"

const (
	// In the order that the seed says, runs of so many blobs stay together, so
	// that what is hashed or written in order is not far apart,
	runLength = 1
	// and no blob is moved out of its stretch of so many.
	stretch = lookahead
)

// place is where f belongs in its queue. s.mu is held.
func (s *Swarm) place(f *flight) (key, mask) {
	k := key{patient: f.patient(), due: unhurried, order: f.seq, number: f.number}
	if !f.want.Due.IsZero() {
		k.due = f.want.Due.UnixNano()
	}
	block := f.notFound.or(f.barred).or(f.busy)
	if k.patient {
		block = block.or(f.notHeld)
		k.lack = f.notFound.or(f.notHeld).and(s.taken).count()
		if s.shuffle {
			run := f.seq / runLength
			k.order = f.seq/stretch<<32 | mix(s.cfg.Seed+run*0x9e3779b97f4a7c15)>>32
		}
	}
	return k, block
}

// fix puts f where it belongs, if it waits. s.mu is held.
func (s *Swarm) fix(f *flight) {
	k, block := s.place(f)
	s.queues[f.want.Class].update(&f.node, k, block)
}

// reorder chooses the order of wants: as they came while every peer has all of
// them, or there is only one, since what comes in order is cheapest to use; as
// the seed says while others are getting the same, so that everybody has what
// the others lack. s.mu is held.
func (s *Swarm) reorder() {
	shuffle := false
	if len(s.members) > 1 {
		for _, m := range s.members {
			shuffle = shuffle || m.haver != nil && !m.complete
		}
	}
	if shuffle == s.shuffle {
		return
	}
	s.shuffle = shuffle
	for i := range s.queues {
		s.queues[i].rebuild(func(n *node) (key, mask) { return s.place(n.f) })
	}
}

// enqueue makes f wait for a member, or fails it if there is nothing to wait
// for. s.mu is held.
func (s *Swarm) enqueue(f *flight, now time.Time) {
	if !s.patience(f, now) {
		return
	}
	f.key, f.block = s.place(f)
	s.queues[f.want.Class].push(&f.node)
}

// dequeue makes f wait no more. s.mu is held.
func (s *Swarm) dequeue(f *flight) {
	s.queues[f.want.Class].remove(&f.node)
	s.checks.drop(f)
}
