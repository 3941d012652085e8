package tracker

import (
	"context"
	"sync"
	"time"
)

const (
	provideTime = 45 * time.Second // for one key, with the look-up
	lateEvery   = time.Hour        // at most one Late event in this time
	lateCheck   = 10 * time.Minute
)

// announcer carries a schedule out: the clock, the lock and the goroutines
// around it.
type announcer struct {
	onEvent func(Event)
	wake    chan struct{} // holds one: the schedule changed

	mu       sync.Mutex
	schedule *schedule // guarded by mu
}

func newAnnouncer(s *schedule, onEvent func(Event)) *announcer {
	return &announcer{onEvent: onEvent, wake: make(chan struct{}, 1), schedule: s}
}

func (a *announcer) add(keys ...Key) error {
	defer a.kick()
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	for _, k := range keys {
		if !a.schedule.add(now, k) {
			return ErrTooMany
		}
	}
	return nil
}

func (a *announcer) remove(keys ...Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range keys {
		a.schedule.remove(k)
	}
}

func (a *announcer) online(yes bool) {
	defer a.kick()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schedule.setOnline(yes)
}

func (a *announcer) joined() {
	defer a.kick()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.schedule.joined(time.Now())
}

func (a *announcer) announced(key Key) (time.Time, int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if it := a.schedule.items[key]; it != nil {
		return it.last, it.copies
	}
	return time.Time{}, 0
}

func (a *announcer) counts() (keys, unheard, late int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.schedule.counts(time.Now())
}

func (a *announcer) kick() {
	select {
	case a.wake <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// run announces until ctx ends, and returns nil once every started
// announcement has ended. provide stores a key with peers and returns with how
// many.
func (a *announcer) run(ctx context.Context, provide func(context.Context, Key) int) error {
	var workers sync.WaitGroup
	defer workers.Wait()

	var lastLate time.Time
	late := time.NewTicker(lateCheck)
	defer late.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if ctx.Err() != nil {
			return nil
		}
		a.mu.Lock()
		key, ok, wait := a.schedule.next(time.Now())
		a.mu.Unlock()
		if ok {
			workers.Go(func() { a.one(ctx, key, provide) })
			continue
		}
		var due <-chan time.Time
		if wait > 0 {
			timer.Reset(wait)
			due = timer.C
		}
		select {
		case <-ctx.Done():
			return nil
		case <-a.wake:
		case <-due:
		case <-late.C:
			if _, _, n := a.counts(); n > 0 && time.Since(lastLate) >= lateEvery {
				lastLate = time.Now()
				a.onEvent(Event{Kind: Late, Count: n})
			}
		}
	}
}

func (a *announcer) one(ctx context.Context, key Key, provide func(context.Context, Key) int) {
	ctx, cancel := context.WithTimeout(ctx, provideTime)
	defer cancel()
	copies := provide(ctx, key)
	a.mu.Lock()
	a.schedule.done(time.Now(), key, copies)
	a.mu.Unlock()
	a.kick()
	if copies > 0 {
		a.onEvent(Event{Kind: Announced, Key: key, Count: copies})
	}
}
