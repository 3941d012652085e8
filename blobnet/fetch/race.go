package fetch

import (
	"cmp"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// maxCopies is how many peers, the first included, are asked for one blob
	// at a time.
	maxCopies = 3
	// It is looked for what is slow every raceEvery while a peer has nothing
	// to do, every raceCheck otherwise.
	raceEvery, raceCheck = 10 * time.Millisecond, 250 * time.Millisecond
	// raceSlack is what has to be won, beside half of the time.
	raceSlack = 100 * time.Millisecond
	// Of what was of use and what is wanted, one byte in wasteShare may come
	// in vain, and leastWaste in any case; streamWaste where a reader waits.
	leastWaste, wasteShare = blobnet.RangeAlign, 64
	streamWaste            = blobnet.MaxBlobSize
)

// waste is what races cost. It is guarded by the Swarm's mutex.
type waste struct {
	useful   int64 // bytes that came and were the first of their blob
	spent    int64 // bytes that came in vain
	reserved int64 // bytes that may come in vain of what is asked for twice now
}

// mayWaste reports whether n bytes more may come in vain for a blob of that class.
// s.mu is held.
func (s *Swarm) mayWaste(n int64, class blobnet.Class) bool {
	least := int64(leastWaste)
	if class == blobnet.Stream {
		least = streamWaste
	}
	all := s.waste.useful
	for i := range s.queues {
		all += s.queues[i].size
	}
	for _, m := range s.members {
		all += int64(m.out)
	}
	return s.waste.spent+s.waste.reserved+n <= max(least, all/wasteShare)
}

// risk is how many bytes will have come in vain if who is asked now gives f after
// takes, before those who were asked already. s.mu is held.
func (f *flight) risk(takes time.Duration, now time.Time, guess float64) (n int64) {
	for _, a := range f.asks {
		came, took := float64(a.vain(now)), now.Sub(a.begun).Seconds()
		rate := a.m.speed(now, guess)
		if a.m.meter != nil && f.length == 0 {
			rate = came / max(took, 0.01)
		}
		n += int64(min(came+rate*takes.Seconds(), float64(f.size)))
	}
	return n
}

// late is a flight that will take remaining, as far as can be told.
type late struct {
	f         *flight
	remaining time.Duration
	took      time.Duration // since somebody was asked first
	stalled   bool          // all who were asked give nothing
}

// race asks more members for what will come later than from them: those that
// have nothing to do (free), for any blob; all that can be asked (able), for
// what a reader waits for and what is very slow. The last blobs of a file, where
// slow peers have them, are so taken over by the fast ones, in parts if possible.
// s.mu is held.
func (s *Swarm) race(able, free mask, now time.Time, guess float64) {
	if len(s.asking) == 0 || len(s.members) < 2 {
		return
	}
	every := raceCheck
	if !free.empty() {
		every = raceEvery
	}
	if next := s.raced.Add(every); now.Before(next) {
		s.wake(next, now)
		return
	}
	s.raced = now
	s.wake(now.Add(raceCheck), now)
	var all []late
	for _, f := range s.asking {
		if f.won || f.over || f.refs == 0 || len(f.asks) >= maxCopies || f.split {
			continue
		}
		if l := f.late(now); l.remaining > raceSlack {
			all = append(all, l)
		}
	}
	slices.SortFunc(all, func(a, b late) int { return cmp.Compare(b.remaining, a.remaining) })
	for _, l := range all {
		f := l.f
		_, block := s.place(f)
		from := free.without(block)
		if f.want.Class == blobnet.Stream || l.took >= s.cfg.SlowAfter {
			from = able.without(block)
		}
		if from.empty() {
			continue
		}
		if s.divide(f, from.and(free), l, now, guess) {
			free = s.stillFree(free)
			continue
		}
		m := s.best(f, from, now, guess)
		takes := m.estimate(f.size, now, guess)
		if 2*takes+raceSlack > l.remaining || !l.stalled && !s.mayWaste(f.risk(takes, now, guess), f.want.Class) || !s.may(m, f, now) {
			continue
		}
		s.ask(f, m, now, guess)
		free = s.stillFree(free)
	}
}

// late says how long f will take.
func (f *flight) late(now time.Time) late {
	l := late{f: f, stalled: true}
	for i, a := range f.asks {
		took := now.Sub(a.begun)
		a.looked(now)
		left, known := a.left(now)
		if !known {
			left = a.expected - took
		}
		switch {
		case left > 0, known:
		case took < a.expected+a.expected/2+raceSlack:
			left = raceSlack // any moment now
		default:
			left = took // as long again
		}
		if i == 0 || left < l.remaining {
			l.remaining = left
		}
		l.took = max(l.took, took)
		l.stalled = l.stalled && a.m.stalled(now) && !a.drips(now)
	}
	return l
}

func (s *Swarm) stillFree(free mask) mask {
	free.each(func(slot int) bool {
		if m := s.slots[slot]; m == nil || !m.free() {
			free.clear(slot)
		}
		return true
	})
	return free
}
