package fetch

import (
	"errors"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// settle takes note of how a ended and lets others have its room. It reports
// whether the blob is the one that f waits for; then the caller stores it and
// finishes f.
func (s *Swarm) settle(a *ask, blob []byte, err error) (won bool) {
	now := time.Now()
	f, m := a.f, a.m
	var events []Event
	s.mu.Lock()
	defer func() {
		s.mu.Unlock()
		for _, ev := range events {
			s.event(ev)
		}
	}()
	tell := func(kind Kind, bytes int64) {
		events = append(events, Event{Kind: kind, Peer: m.name, ID: f.id, Bytes: bytes, Err: err})
	}
	late := f.won || f.over || f.refs == 0
	sent := a.vain(now)
	s.answered(a)
	gone := s.slots[m.slot] != m
	switch {
	case err == nil:
		if m.pinged != nil {
			if rtt := m.pinged.RTT(); rtt > 0 {
				m.answered(rtt)
			}
		}
		m.came(a.request, len(blob), now, s.rivals(m, now))
		m.later = now.Add(now.Sub(a.begun) * 3 / 2)
		m.success(now)
		delete(m.missing, f.id)
		if f.length == 0 {
			s.learn(len(blob))
		} else {
			m.noRanges = 0
		}
		if late && f.won {
			s.duplicate(m.name, int64(len(blob)))
			tell(KindDuplicate, int64(len(blob)))
			break
		}
		if late {
			s.count(m.name).Wasted += int64(len(blob)) // nobody wants it any more
			break
		}
		won, f.won, f.from = true, true, m.name
		f.enough()
		s.useful(m.name, int64(len(blob)))
		tell(KindFetched, int64(len(blob)))
		for _, liar := range f.accused {
			if s.slots[liar.slot] != liar {
				continue
			}
			liar.lies(f.id)
			if s.cfg.Bans.strike(liar.name) {
				s.lied(liar.name, f.tried[liar.name])
				s.part(liar)
				events = append(events, Event{Kind: KindDropped, Peer: liar.name, ID: f.id, Err: f.tried[liar.name]})
			}
		}
		f.accused = nil
	case misbehaved(err) && f.length > 0 && errors.Is(err, blobnet.ErrCorrupt):
		// The publisher may have told a wrong tree. Who is to blame shows if
		// another peer gives what fits it.
		s.count(m.name).Wasted += int64(f.size)
		f.try(m, err)
		if !gone {
			f.barred.set(m.slot)
			f.accused = append(f.accused, m)
		}
		tell(KindWrong, int64(f.size))
	case misbehaved(err):
		if gone {
			break
		}
		f.try(m, err)
		s.count(m.name).Wasted += int64(f.size)
		if s.offended(a, err, now) {
			tell(KindDropped, 0)
		} else {
			tell(KindWrong, int64(f.size))
		}
	case late:
		m.lost(a.request, now)
		if !f.won {
			s.count(m.name).Wasted += sent
			break
		}
		s.duplicate(m.name, sent)
		if sent > 0 {
			tell(KindDuplicate, sent)
		}
	case gone:
	case errors.Is(err, blobnet.ErrNotFound):
		m.answered(now.Sub(a.begun))
		s.said = now
		m.hasNot(f.id, now, now.Add(s.cfg.NotFoundRetry))
		s.wake(now.Add(s.cfg.NotFoundRetry), now)
		m.lacks()
		f.notFound.set(m.slot)
		f.try(m, err)
		tell(KindNotFound, 0)
	case errors.Is(err, blobnet.ErrBusy):
		m.occupied(now.Add(retryAfter(err)), err)
		s.wake(m.pause, now)
		f.try(m, err)
	default:
		s.count(m.name).Wasted += sent
		if f.length > 0 && errors.Is(err, errors.ErrUnsupported) {
			m.noRanges = maxRangeFailures
			s.rangeFailed(m, now)
			f.try(m, err)
			break
		}
		if f.length > 0 && a.begun.After(m.failed) { // those that fail together count once
			s.rangeFailed(m, now)
		}
		m.failure(a.begun, now, err)
		s.wake(m.pause, now)
		if m.good.After(f.lost) && f.excused < maxExcused {
			f.excused++
			f.lost = time.Time{}
		}
		f.try(m, err)
		tell(KindFailed, 0)
	}
	if !won && !late && len(f.asks) == 0 && !f.split {
		s.uncharge(f) // nothing of it is under way
		s.enqueue(f, now)
	}
	s.pump(now)
	return won
}

// try remembers what m answered to a request for f.
func (f *flight) try(m *member, err error) {
	if f.tried == nil {
		f.tried = make(map[string]error)
	}
	f.tried[m.name] = err
	f.triedBy.set(m.slot)
}

// rangeFailed takes note that m did not give a part of a blob. A peer that
// never does is not asked for parts for a while. s.mu is held.
func (s *Swarm) rangeFailed(m *member, now time.Time) {
	m.noRanges++
	if m.noRanges < maxRangeFailures {
		return
	}
	m.parts = now.Add(partsPause)
	for _, f := range s.flights {
		if f.length > 0 {
			f.barred.set(m.slot)
			s.fix(f)
		}
	}
}

// offended takes note of misbehaviour and reports whether m was banned and put
// out. Wrong bytes once cost it only the blob. What was asked for before they
// came and breaks with it, as when the connection is reset, is the same offence.
// s.mu is held.
func (s *Swarm) offended(a *ask, err error, now time.Time) (banned bool) {
	f, m := a.f, a.m
	wrong := errors.Is(err, blobnet.ErrCorrupt)
	s.lied(m.name, err)
	if m.struck.IsZero() || !a.begun.Before(m.struck) {
		if !wrong {
			s.cfg.Bans.Ban(m.name)
		}
		if !wrong || s.cfg.Bans.strike(m.name) {
			s.part(m)
			s.reorder()
			return true
		}
		m.struck = now
	}
	if wrong {
		m.lies(f.id)
		f.barred.set(m.slot)
	}
	return false
}

// Counts is what came from one peer, in bytes of blobs.
type Counts struct {
	Useful    int64 // delivered
	Duplicate int64 // given by another sooner; an estimate of peers that are not Metered
	Wasted    int64 // wrong, not wanted any more, or of requests that failed; the same
}

// maxCounts is how many peers are counted.
const maxCounts = 4096

// Counts returns what came from every peer, by name.
func (s *Swarm) Counts() map[string]Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make(map[string]Counts, len(s.counts))
	for name, c := range s.counts {
		out[name] = *c
	}
	return out
}

// count returns the counts of the peer of that name. s.mu is held.
func (s *Swarm) count(name string) *Counts {
	c := s.counts[name]
	if c == nil {
		if len(s.counts) >= maxCounts {
			clear(s.counts)
		}
		c = new(Counts)
		s.counts[name] = c
	}
	return c
}

func (s *Swarm) useful(name string, n int64) {
	s.count(name).Useful += n
	s.waste.useful += n
}

func (s *Swarm) duplicate(name string, n int64) {
	s.count(name).Duplicate += n
	s.waste.spent += n
}
