package tracker

import (
	"container/heap"
	"time"
)

// tally is what counts returns.
type tally struct {
	keys    int
	unheard int       // of these, never stored anywhere
	due     int       // of these, to be announced now, or being announced
	late    int       // of these, an hour or more behind, although there are peers
	next    time.Time // when the next one is due; zero if none
}

func (s *schedule) counts(now time.Time) (t tally) {
	for _, it := range s.items {
		if it.removed {
			continue
		}
		t.keys++
		if it.last.IsZero() {
			t.unheard++
		}
		if it.index < 0 || !it.due.After(now) {
			t.due++
		}
		since := it.due
		if it.fails > 0 {
			since = it.owed // each attempt puts off due
		}
		if s.isOnline && now.Sub(since) >= lateAfter {
			t.late++
		}
	}
	if len(s.due) > 0 {
		t.next = s.due[0].due
	}
	return t
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
