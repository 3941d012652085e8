package limit

import (
	"math"
	"time"
)

// burst is for how long a limit may have been left unused and be caught up
// with later.
const burst = 100 * time.Millisecond

// maxWait bounds every wait that is told or slept, so that a changed limit is
// soon seen.
const maxWait = time.Second

// bucket is a token bucket that may go into debt: whoever takes n bytes must
// only find the bucket without debt, and may leave it with one, however large n
// is. So what is taken over time never exceeds rate x time + burst + one n, and
// reaches the rate exactly where somebody always takes as soon as he may.
//
// Times must carry a monotonic reading, so that setting the clock does not
// fill or empty it. The zero bucket has rate 0: no limit. Its owner locks.
type bucket struct {
	rate   int64
	tokens float64   // bytes; below zero: debt
	at     time.Time // tokens were counted then
}

func (b *bucket) full() float64 { return float64(b.rate) * burst.Seconds() }

// set changes the rate. A debt stays, and is paid off at the new rate.
func (b *bucket) set(rate int64, now time.Time) {
	if rate == b.rate {
		return
	}
	if b.rate == 0 {
		b.rate, b.tokens, b.at = rate, 0, now
		b.tokens = b.full()
		return
	}
	b.fill(now)
	if b.rate = rate; rate == 0 {
		b.tokens = 0
	}
	b.tokens = min(b.tokens, b.full())
}

func (b *bucket) fill(now time.Time) {
	if d := now.Sub(b.at); d > 0 {
		b.tokens = min(b.tokens+float64(b.rate)*d.Seconds(), b.full())
		b.at = now
	}
}

// wait returns how long until something may be taken, 0 if now.
func (b *bucket) wait(now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	if b.fill(now); b.tokens >= 0 {
		return 0
	}
	seconds := -b.tokens / float64(b.rate)
	if seconds >= maxWait.Seconds() {
		return maxWait
	}
	return time.Duration(math.Ceil(seconds * float64(time.Second)))
}

// take takes n bytes, whatever is there.
func (b *bucket) take(n int) {
	if b.rate != 0 {
		b.tokens -= float64(n)
	}
}

// idle reports whether the bucket is as good as a new one.
func (b *bucket) idle(now time.Time) bool {
	b.fill(now)
	return b.tokens >= b.full()
}
