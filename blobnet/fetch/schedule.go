package fetch

import (
	"errors"
	"iter"
	"maps"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// maxExcused is how often a flight begins its stall timeout anew because the
// member that failed it gives other blobs.
const maxExcused = 5

// grant is a member to ask, and the room taken in its window.
type grant struct {
	m    *member
	size int // bytes
}

// reserve waits for a member that can be asked for f's blob. It gives up when
// there has been nobody for the stall timeout, or nobody wants the blob.
func (s *Swarm) reserve(f *flight) (grant, error) {
	for {
		if err := f.ctx.Err(); err != nil {
			return grant{}, err
		}
		now := time.Now()
		s.mu.Lock()
		if m := s.pick(f, now, maps.Values(s.members)); m != nil {
			g := s.take(f, m)
			s.mu.Unlock()
			return g, nil
		}
		wait := s.patience(f, now)
		if wait <= 0 {
			err := f.notFound(now)
			s.mu.Unlock()
			return grant{}, err
		}
		s.queue(f)
		s.mu.Unlock()

		timer := time.NewTimer(wait)
		var g grant
		select {
		case g = <-f.grant:
		case <-timer.C:
			g = s.unqueue(f)
		case <-f.ctx.Done():
			g = s.unqueue(f)
		}
		timer.Stop()
		if g.m != nil {
			return g, nil
		}
	}
}

// queue makes f wait for a grant, before those that were wanted after it. s.mu
// is held.
func (s *Swarm) queue(f *flight) {
	e := s.waiting.Back()
	for e != nil && e.Value.(*flight).number > f.number {
		e = e.Prev()
	}
	if e == nil {
		f.place = s.waiting.PushFront(f)
	} else {
		f.place = s.waiting.InsertAfter(f, e)
	}
}

// unqueue makes f wait no more; it may have got a grant meanwhile.
func (s *Swarm) unqueue(f *flight) grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f.place == nil {
		return <-f.grant // sent before place became nil
	}
	s.waiting.Remove(f.place)
	f.place = nil
	return grant{}
}

// tryReserve is reserve without waiting; the grant's member may be nil.
func (s *Swarm) tryReserve(f *flight) grant {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.pick(f, time.Now(), maps.Values(s.members))
	if m == nil {
		return grant{}
	}
	return s.take(f, m)
}

// pick returns the best of members to ask for f's blob now: one that has not
// failed it yet, and among those the one with the emptiest window. s.mu is
// held.
func (s *Swarm) pick(f *flight, now time.Time, members iter.Seq[*member]) *member {
	var best *member
	for m := range members {
		if f.asking[m] || m.ready(f.id).After(now) || !m.free(s.size) {
			continue
		}
		if best == nil || s.better(f, m, best) {
			best = m
		}
	}
	return best
}

func (s *Swarm) better(f *flight, a, b *member) bool {
	if ta, tb := f.tried[a.name] != nil, f.tried[b.name] != nil; ta != tb {
		return tb
	}
	return int64(a.out)*int64(b.window) < int64(b.out)*int64(a.window)
}

// take takes room in m's window for f. s.mu is held.
func (s *Swarm) take(f *flight, m *member) grant {
	if f.tried[m.name] == nil {
		f.lost = time.Time{} // somebody new to ask
	}
	f.asking[m] = true
	m.out += s.size
	return grant{m, s.size}
}

// schedule gives members that have become free to the flights that wait, the
// first come first. With again, those that get none look again how long to
// wait, as a member is to be left alone for a while. s.mu is held.
func (s *Swarm) schedule(now time.Time, again bool) {
	if s.waiting.Len() == 0 {
		return
	}
	// Where many wait most members are full: look through these only once.
	s.free = s.free[:0]
	for _, m := range s.members {
		if !m.pause.After(now) && m.free(s.size) {
			s.free = append(s.free, m)
		}
	}
	defer func() { clear(s.free) }() // those that leave may be collected
	for e := s.waiting.Front(); e != nil; {
		next := e.Next()
		f := e.Value.(*flight)
		if len(s.free) == 0 && !again {
			return
		}
		m := s.pick(f, now, slices.Values(s.free))
		if m != nil || again {
			s.waiting.Remove(e)
			f.place = nil
			g := grant{}
			if m != nil {
				g = s.take(f, m)
				if !m.free(s.size) {
					i := slices.Index(s.free, m)
					s.free = slices.Delete(s.free, i, i+1)
				}
			}
			f.grant <- g // has room for one, and one is sent per queue
		}
		e = next
	}
}

// patience is how long f, for which there is no member now, waits until it
// looks again; nothing if it has waited long enough. s.mu is held.
func (s *Swarm) patience(f *flight, now time.Time) time.Duration {
	wait := s.cfg.StallTimeout
	busy := false
	for _, m := range s.members {
		if t := m.ready(f.id); t.After(now) {
			wait = min(wait, t.Sub(now))
			continue
		}
		busy = true // it has only too much to do now
		if f.tried[m.name] == nil {
			f.lost = time.Time{}
		}
	}
	if busy {
		return wait
	}
	if f.lost.IsZero() {
		f.lost = now
	}
	return min(wait, s.cfg.StallTimeout-now.Sub(f.lost))
}

// notFound is the error of a flight for which there is nobody left.
func (f *flight) notFound(now time.Time) error {
	err := &NotFoundError{ID: f.id, After: now.Sub(f.lost)}
	for _, name := range slices.Sorted(maps.Keys(f.tried)) {
		err.Tried = append(err.Tried, Tried{Peer: name, Err: f.tried[name]})
	}
	return err
}

// settle takes note of how an attempt ended and lets others have its room. If
// late, the flight is over and a failure means nothing.
func (s *Swarm) settle(f *flight, a attempt, late bool) {
	now := time.Now()
	m := a.m
	ev := Event{Peer: m.name, ID: f.id, Err: a.err}
	s.mu.Lock()
	m.out -= a.size
	delete(f.asking, m)
	switch gone := m.ctx.Err() != nil; {
	case a.err == nil:
		ev.Kind, ev.Bytes = KindFetched, int64(len(a.blob))
		m.success(f.id, a.begun, now)
		s.learn(len(a.blob))
	case misbehaved(a.err):
		if !gone {
			ev.Kind = KindDropped
			s.drop(m)
		}
		f.tried[m.name] = a.err
	case late || gone || f.ctx.Err() != nil:
	case errors.Is(a.err, blobnet.ErrNotFound):
		ev.Kind = KindNotFound
		m.hasNot(f.id, now, now.Add(s.cfg.NotFoundRetry))
		f.tried[m.name] = a.err
	case errors.Is(a.err, blobnet.ErrBusy):
		m.pause = now.Add(retryAfter(a.err))
		f.tried[m.name] = a.err
	default:
		ev.Kind = KindFailed
		m.failure(a.begun, now)
		if m.good.After(f.lost) && f.excused < maxExcused {
			f.excused++
			f.lost = time.Time{}
		}
		f.tried[m.name] = a.err
	}
	s.schedule(now, a.err != nil)
	s.mu.Unlock()
	if ev.Kind != 0 {
		s.event(ev)
	}
}

// drop takes m out of the swarm for good. s.mu is held.
func (s *Swarm) drop(m *member) {
	if s.members[m.name] == m {
		delete(s.members, m.name)
	}
	if len(s.dropped) >= maxDropped {
		clear(s.dropped)
	}
	s.dropped[m.name] = true
	m.leave()
}
