package tracker

import (
	"container/heap"
	"encoding/binary"
	"math/rand/v2"
	"slices"
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
// calls made so far, but for the jitter. Its times carry a monotonic reading, so
// that setting the clock changes nothing; see slept.
//
// It hands out jobs: a seed, which is a key that is due, and with it, once it is
// known which peers are close to the seed, all other keys that the same peers
// are to be told of.
type schedule struct {
	interval, sparse time.Duration
	parallel         int            // jobs at once; and as many again for fresh keys
	gap              time.Duration  // minGap; tests shorten it
	jitter           func() float64 // in [0, 1)

	items    map[Key]*item
	places   places        // of the same items
	due      dueHeap       // items that are not running
	fresh    []*item       // those never tried, the newest last; and others, to be skipped
	jobs     int           // under way
	looking  map[Key]point // their seeds, before claim
	bits     int           // of the region claimed last: a guess for the next ones
	isOnline bool

	swept   time.Time     // the last sweep because peers came
	sweepAt time.Time     // the next one; zero if nobody came since
	pause   time.Duration // between the two
}

// item is one announced key.
type item struct {
	key     Key
	point   point
	place   int // in its bucket of places
	due     time.Time
	last    time.Time // of the last success; zero if none
	copies  int       // stored then
	fails   int       // in a row, since
	owed    time.Time // when it was due before the first of these
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
		looking:  make(map[Key]point),
		bits:     8 * len(point{}),
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
		it = &item{key: key, point: key.point(), due: now}
		s.items[key] = it
		s.places.add(it)
		heap.Push(&s.due, it)
		s.fresh = append(s.fresh, it)
		if len(s.fresh) > 2*len(s.items)+1024 {
			s.fresh = slices.DeleteFunc(s.fresh, func(it *item) bool { return !s.isFresh(it) })
		}
	case it.removed:
		it.removed, it.again = false, true
	case it.index < 0:
		// Being announced right now.
	case it.last.IsZero() || now.Sub(it.last) >= freshFor:
		s.hasten(it, now)
	}
	return true
}

// isFresh reports whether it was never tried.
func (s *schedule) isFresh(it *item) bool {
	return it.last.IsZero() && it.fails == 0 && it.index >= 0 && s.items[it.key] == it
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
		s.drop(it)
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

// next hands out a seed. Report with end that the job is over, and with done
// what became of each of its keys. Without a seed, wait is how long until there
// may be one, if nothing else happens; 0 means that only another call can
// change that.
//
// While the peers close to one seed are looked for, no other seed is handed out
// that the first job will likely claim.
//
// A key that was never announced does not wait behind many that are to be
// announced again: some jobs are kept for those, the newest first.
func (s *schedule) next(now time.Time) (seed Key, ok bool, wait time.Duration) {
	if !s.sweepAt.IsZero() && !s.sweepAt.After(now) {
		s.sweep(now)
	}
	if !s.isOnline || len(s.due) == 0 || s.jobs >= 2*s.parallel {
		return Key{}, false, 0
	}
	it := s.due[0]
	if s.jobs >= s.parallel {
		if it = s.newest(); it == nil {
			return Key{}, false, 0
		}
	}
	if wait = it.due.Sub(now); wait > 0 {
		if !s.sweepAt.IsZero() {
			wait = min(wait, s.sweepAt.Sub(now))
		}
		return Key{}, false, wait
	}
	for _, p := range s.looking {
		if p.shared(it.point) >= s.bits {
			return Key{}, false, 0
		}
	}
	heap.Remove(&s.due, it.index)
	s.jobs++
	s.looking[it.key] = it.point
	return it.key, true, 0
}

// newest returns the key that was added last of those never tried.
func (s *schedule) newest() *item {
	for n := len(s.fresh); n > 0; n-- {
		if it := s.fresh[n-1]; s.isFresh(it) {
			return it
		}
		s.fresh = s.fresh[:n-1]
	}
	return nil
}

// claim hands out more keys of a job: those that share the first bits of their
// points with the seed, and are due, or will be so soon that another look-up
// for them were a waste.
func (s *schedule) claim(now time.Time, seed Key, bits int) (keys []Key) {
	delete(s.looking, seed)
	s.bits = bits
	if !s.isOnline {
		return nil
	}
	for it := range s.places.near(seed.point(), bits) {
		if it.index < 0 || it.due.Add(-s.every(it.copies)/10).After(now) || !it.last.IsZero() && now.Sub(it.last) < s.gap {
			continue
		}
		heap.Remove(&s.due, it.index)
		keys = append(keys, it.key)
	}
	return keys
}

// every is how often a key is announced that has so many copies.
func (s *schedule) every(copies int) time.Duration {
	if copies < replicas {
		return s.sparse
	}
	return s.interval
}

// end takes back a job.
func (s *schedule) end(seed Key) {
	delete(s.looking, seed)
	s.jobs--
}

// done takes the result of announcing key: how many peers stored it. None is a
// failure. Keys that were announced together have the same jitter in [0, 1), and
// will be announced together again.
func (s *schedule) done(now time.Time, key Key, copies int, jitter float64) {
	it := s.items[key]
	if it.removed {
		s.drop(it)
		return
	}
	if copies > 0 {
		it.last, it.copies, it.fails = now, copies, 0
		// Up to a tenth early, so that not all keys come at once.
		every := s.every(copies)
		it.due = now.Add(every - time.Duration(jitter*float64(every)/10))
	} else {
		if it.fails++; it.fails == 1 {
			it.owed = it.due
		}
		it.due = now.Add(backoff(it.fails, retryMin, retryMax, jitter))
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

// drop forgets an item that is in no heap.
func (s *schedule) drop(it *item) {
	s.places.remove(it)
	delete(s.items, it.key)
}

// slept says that for that long the clock that times are taken from stood
// still, as it does while a computer sleeps. What should have been announced
// meanwhile is due again, spread over the next tenth of its interval, one part
// of the DHT's space after the other.
func (s *schedule) slept(now time.Time, d time.Duration) {
	for _, it := range s.due {
		if it.last.IsZero() || it.fails > 0 {
			continue
		}
		part := float64(binary.BigEndian.Uint16(it.point[:])) / (1 << 16)
		soonest := now.Add(time.Duration(part * float64(s.every(it.copies)) / 10))
		if at := it.due.Add(-min(d, s.interval)); at.After(soonest) {
			it.due = at
		} else if soonest.Before(it.due) {
			it.due = soonest
		}
	}
	heap.Init(&s.due)
}
