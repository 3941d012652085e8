package fetch

import "time"

// rivalTime: who got nothing more for so long does not fetch the same.
const rivalTime = 5 * time.Second

// rival reports whether the peer probably gets what this node gets.
func (m *member) rival(now time.Time) bool {
	switch {
	case m.haver == nil || m.complete || m.empty > maxEmpty:
		return false
	case m.partial:
		return now.Sub(m.grew) < rivalTime
	}
	return true // not asked yet
}

// rivals is how many get from m what this node gets, as far as is known. s.mu is
// held.
func (s *Swarm) rivals(m *member, now time.Time) (n int) {
	if m.partial {
		return 0
	}
	for _, o := range s.members {
		if o != m && o.partial && o.rival(now) {
			n++
		}
	}
	return n
}

// unasked reports whether there are peers that may not have everything and were
// not asked. s.mu is held.
func (s *Swarm) unasked() bool {
	if len(s.members) < 2 {
		return false
	}
	for _, m := range s.members {
		if m.haver != nil && !m.complete && !m.partial && m.due.IsZero() && m.empty == 0 {
			return true
		}
	}
	return false
}

// leaves reports whether m, who has all, is better not asked for f yet, as f is
// what another of those who get the same asks for first, and nobody else has it:
// soon it can be had from that one. s.mu is held.
func (s *Swarm) leaves(f *flight, m *member, now time.Time) bool {
	if !f.patient() || !s.shuffle || m.partial {
		return false
	}
	if now.Before(s.grace) && s.unasked() {
		s.wake(s.grace, now)
		return true
	}
	n := s.rivals(m, now)
	if n == 0 || s.owns(f) || f.lack < n || !now.Before(m.later) {
		return false
	}
	s.wake(m.later, now)
	return true
}
