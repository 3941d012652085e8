package tracker

import (
	"context"
	"math"
	"sync"
	"time"
)

const (
	lookTime  = 10 * time.Second // for one look-up of the peers close to a key
	storeTime = 2 * time.Minute  // for storing a batch with all its peers
	lateEvery = time.Hour        // at most one Late event in this time
	lateCheck = time.Minute

	// batch is how many keys are stored at a time: a message each, so that one
	// batch is some 130 KB to each peer.
	batch = 1024

	// fewKeys is up to how many keys of a region are looked up one by one:
	// exploring the region takes more look-ups.
	fewKeys = 4

	// sleepMin is by how much more the clock on the wall must have gone on
	// than the one that is not set, before that is taken for a sleep.
	sleepMin = time.Minute
)

// announcer carries a schedule out: the clock, the lock and the goroutines
// around it.
type announcer struct {
	onEvent  func(Event)
	wake     chan struct{}    // holds one: the schedule changed
	lookTime time.Duration    // tests shorten it
	wall     func() time.Time // with a reading of the clock on the wall; tests set it

	mu       sync.Mutex
	schedule *schedule // guarded by mu
	pace     pace      // guarded by mu
	told     uint64    // guarded by mu: announcements that succeeded
	failed   uint64    // guarded by mu
	lookups  uint64    // guarded by mu: jobs
	last     time.Time // guarded by mu: when a job ended
}

// spreader tells peers of keys. Its methods return early when ctx ends.
type spreader interface {
	// look finds the peers closest to key.
	look(ctx context.Context, key Key) region

	// explore completes what look found, so that it is right for all keys of
	// the region.
	explore(ctx context.Context, r *region)

	// store stores the records of keys of a region, and returns with how many
	// peers it did so for each.
	store(ctx context.Context, r *region, keys []Key) []int
}

func newAnnouncer(s *schedule, onEvent func(Event)) *announcer {
	return &announcer{onEvent: onEvent, wake: make(chan struct{}, 1), lookTime: lookTime, wall: time.Now, schedule: s}
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

// keys returns all keys.
func (a *announcer) keys() []Key {
	a.mu.Lock()
	defer a.mu.Unlock()
	out := make([]Key, 0, len(a.schedule.items))
	for k, it := range a.schedule.items {
		if !it.removed {
			out = append(out, k)
		}
	}
	return out
}

func (a *announcer) counts() tally {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.schedule.counts(time.Now())
}

func (a *announcer) stats() Stats {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	t := a.schedule.counts(now)
	return Stats{
		Keys: t.keys, Unheard: t.unheard, Due: t.due, Late: t.late, Next: t.next,
		Jobs: a.schedule.jobs, Last: a.last, Rate: a.pace.at(now),
		Announced: a.told, Failed: a.failed, Lookups: a.lookups,
	}
}

func (a *announcer) kick() {
	select {
	case a.wake <- struct{}{}:
	default: // a wake-up is pending already
	}
}

// run announces until ctx ends, and returns nil once every started
// announcement has ended.
func (a *announcer) run(ctx context.Context, to spreader) error {
	var workers sync.WaitGroup
	defer workers.Wait()

	var lastLate time.Time
	late := time.NewTicker(lateCheck)
	defer late.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	began, wallBegan := time.Now(), a.wall().Round(0)
	for {
		if ctx.Err() != nil {
			return nil
		}
		a.mu.Lock()
		seed, ok, wait := a.schedule.next(time.Now())
		a.mu.Unlock()
		if ok {
			workers.Go(func() { a.job(ctx, seed, to) })
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
			// A clock that was set back, or forth by little, is of no
			// interest; where it goes on from is.
			now, wall := time.Now(), a.wall().Round(0)
			slept := wall.Sub(wallBegan) - now.Sub(began)
			began, wallBegan = now, wall
			if slept >= sleepMin {
				a.mu.Lock()
				a.schedule.slept(now, slept)
				a.mu.Unlock()
			}
			if n := a.counts().late; n > 0 && (lastLate.IsZero() || now.Sub(lastLate) >= lateEvery) {
				lastLate = now
				a.onEvent(Event{Kind: Late, Count: n})
			}
		}
	}
}

// job announces a key, and the keys close to it that are due too.
func (a *announcer) job(ctx context.Context, seed Key, to spreader) {
	look := func(key Key) region {
		ctx, cancel := context.WithTimeout(ctx, a.lookTime)
		defer cancel()
		return to.look(ctx, key)
	}
	r := look(seed)
	a.mu.Lock()
	a.lookups++
	keys := []Key{seed}
	if len(r.peers) > 0 {
		keys = append(keys, a.schedule.claim(time.Now(), seed, r.bits)...)
	}
	jitter := a.schedule.jitter()
	a.mu.Unlock()
	a.kick()

	switch {
	case r.complete || len(keys) == 1:
		a.batches(ctx, &r, keys, jitter, to)
	case len(keys) <= fewKeys:
		a.batches(ctx, &r, keys[:1], jitter, to)
		for _, k := range keys[1:] {
			r := look(k)
			a.batches(ctx, &r, []Key{k}, jitter, to)
		}
	default:
		explore, cancel := context.WithTimeout(ctx, 6*a.lookTime)
		to.explore(explore, &r)
		cancel()
		a.batches(ctx, &r, keys, jitter, to)
	}
	a.mu.Lock()
	a.schedule.end(seed)
	a.last = time.Now()
	a.mu.Unlock()
	a.kick()
}

// batches stores keys of a region.
func (a *announcer) batches(ctx context.Context, r *region, keys []Key, jitter float64, to spreader) {
	for len(keys) > 0 {
		some := keys[:min(batch, len(keys))]
		keys = keys[len(some):]
		copies := make([]int, len(some))
		if len(r.peers) > 0 && ctx.Err() == nil {
			ctx, cancel := context.WithTimeout(ctx, storeTime)
			copies = to.store(ctx, r, some)
			cancel()
		}
		a.mu.Lock()
		now, stored := time.Now(), 0
		for i, k := range some {
			a.schedule.done(now, k, copies[i], jitter)
			if copies[i] > 0 {
				stored++
			}
		}
		a.told += uint64(stored)
		a.failed += uint64(len(some) - stored)
		a.pace.count(now, stored)
		a.mu.Unlock()
		for i, k := range some {
			if copies[i] > 0 {
				a.onEvent(Event{Kind: Announced, Key: k, Count: copies[i]})
			}
		}
	}
}

// pace is a rate over the last minute or so. Its owner locks.
type pace struct {
	rate float64 // per second
	last time.Time
}

// paceTime is after how long a rate has fallen to 1/e.
const paceTime = time.Minute

func (p *pace) at(now time.Time) float64 {
	return p.rate * math.Exp(-now.Sub(p.last).Seconds()/paceTime.Seconds())
}

func (p *pace) count(now time.Time, n int) {
	p.rate, p.last = p.at(now)+float64(n)/paceTime.Seconds(), now
}
