package tracker

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

const (
	// replicas is how many peers a record is stored with where the network
	// has as many: kad-dht's bucket size.
	replicas = 20

	minGap    = 10 * time.Second // at least between two sweeps because peers came; see joined
	freshFor  = time.Minute      // for which asking again to announce a key changes nothing
	retryMin  = 5 * time.Second
	retryMax  = 15 * time.Minute
	lateAfter = time.Hour
)

// schedule decides which key is announced when. It is stepped: it has no clock
// of its own, no goroutine and no lock, and every decision is a function of the
// calls made so far, but for the jitter.
type schedule struct {
	interval, sparse time.Duration
	parallel         int
	gap              time.Duration  // minGap; tests shorten it
	jitter           func() float64 // in [0, 1)

	items    map[Key]*item
	due      dueHeap // items that are not running
	running  int
	isOnline bool

	swept   time.Time     // the last sweep
	sweepAt time.Time     // the next one; zero if nobody came since
	pause   time.Duration // between the two
}

// item is one announced key.
type item struct {
	key     Key
	due     time.Time
	last    time.Time // of the last success; zero if none
	copies  int       // stored then
	fails   int       // in a row, since
	index   int       // in the heap; -1 while running
	again   bool      // asked for while running: due as soon as that ends
	removed bool      // while running
}

func newSchedule(interval, sparse time.Duration, parallel int) *schedule {
	return &schedule{
		interval: interval,
		sparse:   min(sparse, interval),
		parallel: parallel,
		gap:      minGap,
		jitter:   rand.Float64,
		items:    make(map[Key]*item),
	}
}

// add makes key due now, unless it was announced a moment ago. It reports
// false at MaxKeys.
func (s *schedule) add(now time.Time, key Key) bool {
	it := s.items[key]
	switch {
	case it == nil:
		if len(s.items) >= MaxKeys {
			return false
		}
		it = &item{key: key, due: now}
		s.items[key] = it
		heap.Push(&s.due, it)
	case it.removed:
		it.removed, it.again = false, true
	case it.index < 0:
		// Being announced right now.
	case it.last.IsZero() || now.Sub(it.last) >= freshFor:
		s.hasten(it, now)
	}
	return true
}

// remove forgets key.
func (s *schedule) remove(key Key) {
	it := s.items[key]
	switch {
	case it == nil:
	case it.index < 0:
		it.removed, it.again = true, false
	default:
		heap.Remove(&s.due, it.index)
		delete(s.items, key)
	}
}

// setOnline says whether there is anybody to announce to. Nothing is handed out
// while there is not; what became due meanwhile waits.
func (s *schedule) setOnline(online bool) { s.isOnline = online }

// joined says that a peer came, or came back. Keys that few peers hold, and
// keys whose last attempts failed, are swept up: due soon, for the new peer
// lacks them. The more often peers come, the rarer the sweeps, down to one in
// the sparse interval: somebody who comes and goes all the time does not keep
// this node busy.
func (s *schedule) joined(now time.Time) {
	if !s.sweepAt.IsZero() {
		return
	}
	if s.swept.IsZero() || now.Sub(s.swept) >= s.sparse {
		s.pause = s.gap
	}
	s.sweepAt = now
	if soonest := s.swept.Add(s.pause); !s.swept.IsZero() && soonest.After(now) {
		s.sweepAt = soonest
		s.pause = min(2*s.pause, s.sparse)
	}
}

// sweep does what joined promised.
func (s *schedule) sweep(now time.Time) {
	s.swept, s.sweepAt = now, time.Time{}
	for _, it := range s.items {
		switch {
		case it.index < 0:
			it.again = true
		case it.copies < replicas || it.fails > 0:
			at := now
			if soonest := it.last.Add(s.gap); !it.last.IsZero() && soonest.After(now) {
				at = soonest
			}
			s.hasten(it, at)
		}
	}
}

// next hands out a key to announce; report the result with done. Without one,
// wait is how long until there may be one, if nothing else happens; 0 means
// that only another call can change that.
func (s *schedule) next(now time.Time) (key Key, ok bool, wait time.Duration) {
	if !s.sweepAt.IsZero() && !s.sweepAt.After(now) {
		s.sweep(now)
	}
	if !s.isOnline || s.running >= s.parallel || len(s.due) == 0 {
		return Key{}, false, 0
	}
	it := s.due[0]
	if wait = it.due.Sub(now); wait > 0 {
		if !s.sweepAt.IsZero() {
			wait = min(wait, s.sweepAt.Sub(now))
		}
		return Key{}, false, wait
	}
	heap.Pop(&s.due)
	s.running++
	return it.key, true, 0
}

// done takes the result of announcing key: how many peers stored it. None is a
// failure.
func (s *schedule) done(now time.Time, key Key, copies int) {
	it := s.items[key]
	s.running--
	if it.removed {
		delete(s.items, key)
		return
	}
	if copies > 0 {
		it.last, it.copies, it.fails = now, copies, 0
		every := s.interval
		if copies < replicas {
			every = s.sparse
		}
		// Up to a tenth early, so that keys announced together spread out.
		it.due = now.Add(every - time.Duration(s.jitter()*float64(every)/10))
	} else {
		it.fails++
		it.due = now.Add(backoff(it.fails, retryMin, retryMax, s.jitter()))
	}
	if it.again {
		it.again = false
		it.due = now
		if copies > 0 {
			it.due = now.Add(s.gap)
		}
	}
	heap.Push(&s.due, it)
}

// counts returns the keys, those never stored anywhere, and those late: due an
// hour ago or more although there are peers.
func (s *schedule) counts(now time.Time) (keys, unheard, late int) {
	for _, it := range s.items {
		if it.removed {
			continue
		}
		keys++
		if it.last.IsZero() {
			unheard++
		}
		if s.isOnline && it.index >= 0 && now.Sub(it.due) >= lateAfter {
			late++
		}
	}
	return keys, unheard, late
}

// hasten makes a waiting item due at the given time, never later than it was.
func (s *schedule) hasten(it *item, at time.Time) {
	if at.Before(it.due) {
		it.due = at
		heap.Fix(&s.due, it.index)
	}
}

// backoff returns the time to wait after the given number of failures in a
// row: lo, doubled with each, at most hi; and of that between half and all, by
// jitter in [0, 1), so that many who failed together do not return together.
func backoff(fails int, lo, hi time.Duration, jitter float64) time.Duration {
	d := lo
	for i := 1; i < fails && d < hi; i++ {
		d *= 2
	}
	d = min(d, hi)
	return d/2 + time.Duration(jitter*float64(d)/2)
}

// dueHeap orders items by when they are due.
type dueHeap []*item

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *dueHeap) Push(x any) {
	it := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}
func (h *dueHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.index = -1
	return it
}
