package httpmirror

import (
	"context"
	"sync"
	"time"
)

const (
	// wasteRate is how many bytes per second one visitor may make the node
	// read from the store that are not sent to it, after wasteBurst of them.
	wasteRate  = 8 << 20
	wasteBurst = 64 << 20
	// maxBudgets is how many visitors are told apart by what they wasted.
	maxBudgets = 4096
)

// budgets bound what is read for visitors in vain: a blob for a byte of it, for
// its length, for a body that is not taken.
type budgets struct {
	mu    sync.Mutex // guards what follows
	all   map[string]*budget
	swept time.Time
}

// budget is full after a while; who is below zero waits.
type budget struct {
	left float64 // bytes
	at   time.Time
}

func (b *budget) refill(now time.Time) {
	b.left = min(wasteBurst, b.left+now.Sub(b.at).Seconds()*wasteRate)
	b.at = now
}

// of returns a visitor's budget. mu is held.
func (b *budgets) of(visitor string, now time.Time) *budget {
	if x := b.all[visitor]; x != nil {
		x.refill(now)
		return x
	}
	if b.all == nil {
		b.all = make(map[string]*budget)
	}
	if len(b.all) >= maxBudgets && visitor != "" {
		if now.Sub(b.swept) < time.Second { // going through all has a price, too
			return b.of("", now)
		}
		b.swept = now
		for v, x := range b.all {
			if x.refill(now); x.left == wasteBurst {
				delete(b.all, v)
			}
		}
		if len(b.all) >= maxBudgets {
			return b.of("", now) // all others share one
		}
	}
	x := &budget{wasteBurst, now}
	b.all[visitor] = x
	return x
}

// take takes n bytes, or says how long to wait for that.
func (b *budgets) take(visitor string, n int) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.of(visitor, time.Now())
	if x.left < 0 {
		return time.Duration(-x.left/wasteRate*float64(time.Second)) + time.Millisecond
	}
	x.left -= float64(n)
	return 0
}

// give gives back what was not wasted.
func (b *budgets) give(visitor string, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.of(visitor, time.Now())
	x.left = min(wasteBurst, x.left+float64(n))
}

// await is take, for which it waits until ctx ends. If that is too long it says
// how long it would be.
func (b *budgets) await(ctx context.Context, visitor string, n int) (more time.Duration) {
	for {
		wait := b.take(visitor, n)
		if wait == 0 {
			return 0
		}
		if end, ok := ctx.Deadline(); ok && time.Until(end) < wait {
			return wait
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return wait
		}
	}
}
