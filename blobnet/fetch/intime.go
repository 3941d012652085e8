package fetch

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// giveShare is the part of a blob that has to come from a Metered peer within each
// PeerTimeout.
const giveShare = 8

// errLate is the error of a peer that took too long for a blob.
var errLate = fmt.Errorf("it took too long: %w", context.DeadlineExceeded)

// inTime returns a context of a's flight that ends, with errLate, when too little of
// it came within limit, and the function that ends it sooner.
func (a *ask) inTime(limit time.Duration) (context.Context, context.CancelCauseFunc) {
	ctx, cancel := context.WithCancelCause(a.f.asked)
	least := max(int64(a.f.size)/giveShare, 1)
	var mu sync.Mutex // guards timer and seen
	var timer *time.Timer
	seen := int64(0)
	mu.Lock()
	defer mu.Unlock()
	timer = time.AfterFunc(limit, func() {
		mu.Lock()
		defer mu.Unlock()
		if ctx.Err() != nil {
			return
		}
		if came := a.came.Load(); came-seen >= least {
			seen = came
			timer.Reset(limit)
			return
		}
		cancel(errLate)
	})
	return ctx, func(cause error) {
		cancel(cause)
		mu.Lock()
		defer mu.Unlock()
		timer.Stop()
	}
}
