package fetch

import (
	"container/heap"
	"errors"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// maxExcused is how often a flight begins its stall timeout anew because the
// member that failed it gives other blobs.
const maxExcused = 5

// checks are the flights that wait, by when it is to be looked at whether to
// give up.
type checks []*flight

func (c checks) Len() int           { return len(c) }
func (c checks) Less(i, j int) bool { return c[i].check.Before(c[j].check) }
func (c checks) Swap(i, j int) {
	c[i], c[j] = c[j], c[i]
	c[i].checked, c[j].checked = i, j
}

// Push implements heap.Interface.
func (c *checks) Push(x any) {
	f := x.(*flight)
	f.checked = len(*c)
	*c = append(*c, f)
}

// Pop implements heap.Interface.
func (c *checks) Pop() any {
	last := len(*c) - 1
	f := (*c)[last]
	(*c)[last] = nil
	*c = (*c)[:last]
	f.checked = -1
	return f
}

func (c *checks) set(f *flight, at time.Time) {
	f.check = at
	if f.checked < 0 {
		heap.Push(c, f)
	} else {
		heap.Fix(c, f.checked)
	}
}

func (c *checks) drop(f *flight) {
	if f.checked >= 0 {
		heap.Remove(c, f.checked)
	}
}

// leastCheck is how often it is looked at, at most, whether nobody has a blob
// that somebody can do without.
const leastCheck = 250 * time.Millisecond

// patience fails f, which waits, if there has been nobody to ask for the stall
// timeout, or for f's own if nobody has it, and says so; else it sees to it that this is looked at again. s.mu
// is held.
func (s *Swarm) patience(f *flight, now time.Time) (waits bool) {
	able := mask{}
	s.taken.each(func(slot int) bool {
		if m := s.slots[slot]; m.ready(now) || m.willGive(now, s.cfg.StallTimeout) {
			able.set(slot)
		}
		return true
	})
	able = able.without(f.notFound).without(f.barred)
	if f.patient() {
		able = able.without(f.notHeld)
	}
	again := s.cfg.StallTimeout / 4
	if f.want.Patience > 0 {
		again = min(again, max(f.want.Patience, leastCheck))
	}
	switch {
	case !able.without(f.triedBy).empty():
		f.lost = time.Time{} // somebody new can be asked, if not at once
	case !able.empty(): // somebody has only too much to do now
	default:
		if f.lost.IsZero() {
			f.lost = now
		}
		timeout := s.cfg.StallTimeout
		if f.want.Patience > 0 && s.refused(f, now) {
			timeout = f.want.Patience
		}
		again = timeout - now.Sub(f.lost)
		if f.length > 0 && s.taken.without(f.barred).empty() {
			again = 0 // nobody gives parts of it: the whole can be had
		}
		if again <= 0 {
			s.finish(f, nil, false, s.gaveUp(f, now))
			return false
		}
	}
	s.checks.set(f, now.Add(max(again, time.Millisecond)))
	s.wake(f.check, now)
	return true
}

// refused reports whether every member that can be asked has said that it has
// not the blob of f, and there is one. s.mu is held.
func (s *Swarm) refused(f *flight, now time.Time) bool {
	no := f.notFound
	if f.patient() {
		no = no.or(f.notHeld)
	}
	some, all := false, true
	s.taken.without(f.barred).each(func(slot int) bool {
		m := s.slots[slot]
		switch {
		case no.has(slot), errors.Is(f.tried[m.name], blobnet.ErrNotFound):
			some = true
		case m.failures > 0 && !m.ready(now): // it cannot be asked
		default:
			all = false
		}
		return all
	})
	return some && all
}

// gaveUp is the error of a flight for which there is nobody left. It names also
// who could not be asked for it, and why. s.mu is held.
func (s *Swarm) gaveUp(f *flight, now time.Time) error {
	err := &NotFoundError{ID: f.id, After: now.Sub(f.lost)}
	err.tell(s.tried(f))
	return err
}

// wake makes tick be called at at, or before. s.mu is held.
func (s *Swarm) wake(at, now time.Time) {
	if !s.alarm.IsZero() && !at.Before(s.alarm) {
		return
	}
	s.alarm = at
	if d := at.Sub(now); s.timer == nil {
		s.timer = time.AfterFunc(d, s.tick)
	} else {
		s.timer.Reset(d)
	}
}

// tick does what is due by now.
func (s *Swarm) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.alarm = time.Time{}
	for _, m := range s.members {
		m.forget(now, func(id blobnet.ID) {
			if f := s.flights[flightID{id: id}]; f != nil {
				f.notFound.clear(m.slot)
				s.fix(f)
			}
		})
	}
	for len(s.checks) > 0 && !s.checks[0].check.After(now) {
		s.patience(s.checks[0], now)
	}
	s.pump(now)
	if len(s.flights) > 0 {
		s.rearm(now)
	}
}

// rearm sees to it that tick is called when something changes next. s.mu is
// held.
func (s *Swarm) rearm(now time.Time) {
	if len(s.checks) > 0 {
		s.wake(s.checks[0].check, now)
	}
	for _, m := range s.members {
		if at := m.next(now); !at.IsZero() {
			s.wake(at, now)
		}
	}
}
