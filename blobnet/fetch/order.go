package fetch

import (
	"encoding/binary"
	"hash/fnv"
	"time"
)

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
			if !s.owns(f) {
				k.order |= 1 << 63
			}
		}
	}
	return k, block
}

// owns reports whether f is one of the blobs that this node gets first from whoever
// has all, of the nodes that get the same: they all know each other's names and
// so agree, without a word, who that is. s.mu is held.
func (s *Swarm) owns(f *flight) bool {
	if s.cfg.Name == "" {
		return true
	}
	if f.shared != s.rivalry+1 {
		f.shared, f.own = s.rivalry+1, true
		now := time.Now()
		blob := binary.LittleEndian.Uint64(f.id[:])
		mine := mix(blob ^ nameHash(s.cfg.Name))
		for _, m := range s.members {
			if m.rival(now) && mix(blob^m.hash) > mine {
				f.own = false
				break
			}
		}
	}
	return f.own
}

func nameHash(name string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(name)) // never fails
	return mix(h.Sum64())
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
	shuffle, rivals, now := false, uint64(0), time.Now()
	if len(s.members) > 1 {
		for _, m := range s.members {
			if m.rival(now) {
				shuffle = true
				rivals += m.hash
			}
		}
	}
	if shuffle == s.shuffle && rivals == s.rivalry {
		return
	}
	s.shuffle, s.rivalry = shuffle, rivals
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
