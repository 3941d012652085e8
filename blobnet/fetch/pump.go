package fetch

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// A reader's bytes may be asked for beyond a peer's window by so much.
	streamExtra = 2 << 20
	// A peer that would take longer than tailEstimate for a blob is only asked
	// if the others would not be done with everything sooner.
	tailEstimate = 500 * time.Millisecond
	// tailCheck is how long such a peer waits until it is thought of again, if
	// nothing happens.
	tailCheck = 250 * time.Millisecond
)

// ask is one request to one member.
type ask struct {
	request
	f    *flight
	m    *member
	came atomic.Int64 // bytes, if m is metered and f is a whole blob
	risk int64        // bytes that may come twice because of it

	first, last time.Time // when came was first and last seen to have grown
	base, seen  int64     // and to what
}

// looked sees how much has come.
func (a *ask) looked(now time.Time) {
	came := a.came.Load()
	switch {
	case came == a.seen:
		return
	case a.first.IsZero():
		a.first, a.base = now, came
	}
	a.last, a.seen = now, came
}

// left is how long the rest will take, by how what there is of it has come: ok
// is false if that is not known.
func (a *ask) left(now time.Time) (left time.Duration, ok bool) {
	took := now.Sub(a.first)
	if a.seen <= a.base || took < raceSlack {
		return 0, false
	}
	rate := float64(a.seen-a.base) / took.Seconds()
	return seconds(float64(int64(a.f.size)-a.seen) / rate), true
}

// drips reports whether bytes of it come, however few.
func (a *ask) drips(now time.Time) bool { return !a.last.IsZero() && now.Sub(a.last) < leastStall }

// vain is how many bytes have come by now, as far as is known. s.mu is held.
func (a *ask) vain(now time.Time) int64 {
	m := a.m
	switch {
	case m.meter != nil && a.f.length == 0:
		return a.came.Load()
	case !m.measured():
		return 0
	}
	return int64(min(float64(a.f.size), m.speed(now, 0)*now.Sub(a.begun).Seconds()))
}

// pump gives members that can be asked to the flights that wait, and then what
// is slow to members that have nothing to do. s.mu is held.
func (s *Swarm) pump(now time.Time) {
	var able, free mask
	most := 0.0
	for _, m := range s.members {
		if m.measured() && m.rtt > 0 {
			most += 2 * m.rate * m.rtt.Seconds()
		}
	}
	s.most = int64(min(max(most, float64(s.cfg.LeastOutstanding)), float64(s.cfg.MaxOutstanding)))
	s.readLocal()
	for _, m := range s.members {
		if !m.ready(now) {
			continue
		}
		if m.stalled(now) {
			m.window = 1
			continue
		}
		able.set(m.slot)
		if m.free() {
			free.set(m.slot)
		}
	}
	guess := s.guess(now)
	for class := range s.queues {
		if s.queues[class].len > 0 && !able.empty() {
			free = s.serve(blobnet.Class(class), able, free, now, guess)
		}
	}
	s.race(able, free, now, guess)
}

// guess is the rate expected of a peer of which none is known. s.mu is held.
func (s *Swarm) guess(now time.Time) float64 {
	var sum float64
	n := 0
	for _, m := range s.members {
		if m.measured() {
			sum += m.rate
			n++
		}
	}
	if n == 0 {
		return likelyRate
	}
	return sum / float64(n)
}

// serve asks for what waits in one class, and returns who is free after that.
func (s *Swarm) serve(class blobnet.Class, able, free mask, now time.Time, guess float64) mask {
	q := &s.queues[class]
	open, held := free, mask{}
	able.each(func(slot int) bool {
		m := s.slots[slot]
		if class == blobnet.Stream && m.out < m.window+streamExtra {
			open.set(slot)
		}
		if m.held[class].After(now) {
			held.set(slot)
			open.clear(slot)
		}
		return true
	})
	for {
		n := q.first(open)
		if n == nil || !s.admits(n.f) {
			return free
		}
		f := n.f
		m := s.best(f, open.without(n.block), now, guess)
		if class == blobnet.Stream {
			b := s.best(f, able.without(n.block).without(held), now, guess)
			if !open.has(b.slot) && 2*b.estimate(f.size, now, guess) < m.estimate(f.size, now, guess) {
				return free // b will have room before m would be done
			}
		} else if s.leaves(f, m, now) {
			open.clear(m.slot)
			continue
		} else if !s.fit(m, f, able, now, guess) {
			open.clear(m.slot)
			s.wake(now.Add(tailCheck), now)
			continue
		}
		counted := f.charged > 0
		if !s.charge(f) {
			return free
		}
		if !s.may(m, f, now) {
			if !counted {
				s.uncharge(f)
			}
			open.clear(m.slot)
			held.set(m.slot)
			if !m.ready(now) {
				free.clear(m.slot)
			}
			continue
		}
		s.ask(f, m, now, guess)
		if !m.free() {
			free.clear(m.slot)
			if class != blobnet.Stream || m.out >= m.window+streamExtra {
				open.clear(m.slot)
			}
		}
	}
}

// may reports whether limiter and bans let m be asked for f now, and takes f's
// bytes from the limiter. s.mu is held.
func (s *Swarm) may(m *member, f *flight, now time.Time) bool {
	if s.cfg.Bans.Banned(m.name) { // by another swarm
		m.pause, m.busy, m.why = now.Add(maxPause), false, errBanned
		return false
	}
	if s.cfg.Download == nil {
		return true
	}
	wait := s.cfg.Download.Take(m.name, f.want.Class, f.size)
	if wait <= 0 {
		return true
	}
	m.held[f.want.Class] = now.Add(wait)
	s.wake(now.Add(wait), now)
	return false
}

// admits reports whether this Swarm may hold f's bytes beside what it holds, which
// is no question where somebody waits for them. s.mu is held.
func (s *Swarm) admits(f *flight) bool {
	return !f.patient() || f.charged > 0 || s.held == 0 || s.held+int64(f.size) <= s.most
}

// charge counts f's bytes as held, if they are not, and the Budget has room for
// them. s.mu is held.
func (s *Swarm) charge(f *flight) bool {
	if f.charged > 0 {
		return true
	}
	n := max(f.size, 1)
	if !s.cfg.Budget.take(s, int64(n), f.patient()) {
		return false
	}
	f.charged = n
	s.held += int64(n)
	return true
}

// uncharge gives back what f holds. s.mu is held.
func (s *Swarm) uncharge(f *flight) {
	if f.charged > 0 {
		s.held -= int64(f.charged)
		s.cfg.Budget.correct(s, -int64(f.charged))
		f.charged = 0
	}
}

// best returns which of members, of which there is one at least, will deliver
// f soonest; one that has not failed it before one that has. s.mu is held.
func (s *Swarm) best(f *flight, members mask, now time.Time, guess float64) *member {
	if fresh := members.without(f.triedBy); !fresh.empty() {
		members = fresh
	}
	var best *member
	var least time.Duration
	members.each(func(slot int) bool {
		m := s.slots[slot]
		if e := m.estimate(f.size, now, guess); best == nil || e < least {
			best, least = m, e
		}
		return true
	})
	return best
}

// fit reports whether it makes sense to ask m for f: not if the others would be
// done with all that is wanted, and one of them with f, before m is with f
// alone. s.mu is held.
func (s *Swarm) fit(m *member, f *flight, able mask, now time.Time, guess float64) bool {
	takes := m.estimate(f.size, now, guess)
	if !m.measured() || takes < tailEstimate {
		return true
	}
	var rate float64
	rest := int64(f.size)
	soonest := time.Duration(-1)
	able.without(f.block).each(func(slot int) bool {
		if o := s.slots[slot]; o != m && o.measured() {
			rate += o.speed(now, guess)
			rest += int64(o.out)
			if e := o.estimate(f.size, now, guess); soonest < 0 || e < soonest {
				soonest = e
			}
		}
		return true
	})
	if rate == 0 {
		return true
	}
	for i := range s.queues {
		rest += s.queues[i].size
	}
	return takes <= max(soonest, seconds(float64(rest)/rate))
}

// ask asks m for f. s.mu is held.
func (s *Swarm) ask(f *flight, m *member, now time.Time, guess float64) {
	if !f.triedBy.has(m.slot) {
		f.lost = time.Time{} // somebody new to ask
	}
	s.dequeue(f)
	a := &ask{f: f, m: m}
	if len(f.asks) > 0 {
		a.risk = f.risk(m.estimate(f.size, now, guess), now, guess)
		s.waste.reserved += a.risk
	}
	a.request = m.pace.ask(f.size, now, guess)
	f.asks = append(f.asks, a)
	f.busy.set(m.slot)
	if f.place < 0 {
		f.place = len(s.asking)
		s.asking = append(s.asking, f)
	}
	f.running++
	go s.attempt(a)
}

// answered takes note that a is over. s.mu is held.
func (s *Swarm) answered(a *ask) {
	f, m := a.f, a.m
	m.over(a.request)
	s.waste.reserved -= a.risk
	for i, o := range f.asks {
		if o == a {
			f.asks = append(f.asks[:i], f.asks[i+1:]...)
			break
		}
	}
	if s.slots[m.slot] == m {
		f.busy.clear(m.slot)
	}
	if len(f.asks) == 0 {
		last := s.asking[len(s.asking)-1]
		s.asking[f.place], last.place = last, f.place
		s.asking[len(s.asking)-1] = nil
		s.asking = s.asking[:len(s.asking)-1]
		f.place = -1
	}
}

// attempt asks one member, and stores what it gives.
func (s *Swarm) attempt(a *ask) {
	f, m := a.f, a.m
	defer s.stopped(f)
	ctx, end := a.inTime(s.cfg.PeerTimeout)
	defer end(nil)
	defer context.AfterFunc(m.ctx, func() { end(nil) })()
	buf := s.getBuffer()
	var blob []byte
	var err error
	switch {
	case f.length == 0 && m.meter != nil:
		blob, err = m.meter.GetMetered(ctx, f.id, buf, &a.came)
	case f.length == 0:
		blob, err = m.peer.Get(ctx, f.id, buf)
	default:
		r := blobnet.Range{Tree: f.want.Tree, Size: f.want.Size, Offset: f.offset, Length: f.length}
		blob, err = m.ranger.GetRange(ctx, f.id, r, buf)
	}
	if err != nil {
		blob = buf
		if errors.Is(context.Cause(ctx), errLate) {
			err = errLate
		}
	}
	if !s.settle(a, blob, err) {
		s.putBuffer(blob)
		return
	}
	s.landed(f, blob)
}

// landed ends a flight that has won, after blob is stored.
func (s *Swarm) landed(f *flight, blob []byte) {
	err := s.keep(f, blob)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cfg.Store != nil && err == nil && f.length == 0 {
		s.landing.add(f.id)
		s.kept(f.id, time.Now())
	}
	s.finish(f, blob, false, err)
}
