package tracker

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fakeNet is a spreader that records when it was called. Look-ups and batches
// take a second each.
type fakeNet struct {
	copies   func(Key) int
	bits     int // of regions
	complete bool

	mu       sync.Mutex
	calls    map[Key][]time.Duration // guarded by mu: since begin
	begin    time.Time
	looks    int // guarded by mu
	explored int // guarded by mu
	now      int // guarded by mu: batches being stored
	most     int // guarded by mu
	largest  int // guarded by mu: batch
}

func (l *fakeNet) look(ctx context.Context, key Key) region {
	l.mu.Lock()
	l.looks++
	l.mu.Unlock()
	wait(ctx, time.Second)
	return region{point: key.point(), bits: l.bits, complete: l.complete, peers: []spot{{}}}
}

func (l *fakeNet) explore(_ context.Context, r *region) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.explored++
	r.complete = true
}

func (l *fakeNet) store(ctx context.Context, r *region, keys []Key) []int {
	l.mu.Lock()
	for _, k := range keys {
		l.calls[k] = append(l.calls[k], time.Since(l.begin).Round(10*time.Second))
	}
	l.now++
	l.most, l.largest = max(l.most, l.now), max(l.largest, len(keys))
	l.mu.Unlock()
	wait(ctx, time.Second)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now--
	out := make([]int, len(keys))
	for i, k := range keys {
		out[i] = l.copies(k)
	}
	return out
}

func wait(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// runAnnouncer starts an announcer in a synctest bubble; stop waits for its end.
func runAnnouncer(t *testing.T, net *fakeNet, onEvent func(Event)) (a *announcer, stop func()) {
	net.calls, net.begin = make(map[Key][]time.Duration), time.Now()
	a = newAnnouncer(newSchedule(22*time.Hour, 15*time.Minute, 8), onEvent)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, net) }()
	return a, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func always(n int) func(Key) int { return func(Key) int { return n } }

func testKeys(n int) []Key {
	keys := make([]Key, n)
	for i := range keys {
		keys[i] = testKey(i)
	}
	return keys
}

func TestAnnouncementsWaitForPeersAndRepeatWithinTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &fakeNet{copies: always(replicas), bits: 256}
		a, stop := runAnnouncer(t, log, func(Event) {})
		defer stop()
		if err := a.add(testKey(1)); err != nil {
			t.Fatal(err)
		}
		pass(time.Hour)
		if n := len(log.calls); n != 0 {
			t.Fatalf("%d keys announced to nobody", n)
		}
		a.online(true)
		pass(46 * time.Hour)
		calls := log.calls[testKey(1)]
		if len(calls) != 3 || calls[0] != time.Hour {
			t.Fatalf("announced at %v", calls)
		}
		for i := range 2 {
			if d := calls[i+1] - calls[i]; d < 19*time.Hour || d > 22*time.Hour+2*time.Second {
				t.Errorf("announced at %v", calls)
			}
		}
		if last, copies := a.announced(testKey(1)); copies != replicas || time.Since(last) > 22*time.Hour {
			t.Errorf("announced says %v, %d", last, copies)
		}
	})
}

func TestKeysOfARegionCostOneLookupTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := 0
		net := &fakeNet{copies: always(replicas), bits: 4}
		a, stop := runAnnouncer(t, net, func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == Announced && e.Count == replicas {
				told++
			}
		})
		defer stop()
		keys := testKeys(20_000) // 1,250 in each of 16 regions
		a.online(true)
		if err := a.add(keys...); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		mu.Lock()
		defer mu.Unlock()
		net.mu.Lock()
		if told != len(keys) || len(net.calls) != len(keys) || net.largest != batch {
			t.Errorf("%d of %d announced, %d told, batches of %d", len(net.calls), len(keys), told, net.largest)
		}
		// Jobs that begin at once may have seeds of the same region.
		if net.looks > 16*2*8 || net.explored < 16 || net.explored > 32 || net.most > 16 {
			t.Errorf("%d look-ups, %d explorations, %d at once", net.looks, net.explored, net.most)
		}
		if s := a.stats(); s.Keys != len(keys) || s.Announced != uint64(len(keys)) || s.Due != 0 || s.Late != 0 || s.Jobs != 0 ||
			s.Rate < 100 || s.Last.IsZero() || time.Until(s.Next) < 19*time.Hour {
			t.Errorf("%+v", s)
		}
		looks := net.looks
		net.mu.Unlock()
		mu.Unlock()
		pass(22 * time.Hour)
		mu.Lock()
		net.mu.Lock()
		defer net.mu.Unlock()
		for k, calls := range net.calls {
			if len(calls) != 2 || calls[1]-calls[0] < 17*time.Hour {
				t.Fatalf("%s announced at %v", k, calls)
			}
		}
		if n := net.looks - looks; n > 16*3 {
			t.Errorf("%d look-ups the second time", n)
		}
	})
}

func TestFewKeysOfARegionAreLookedUpOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &fakeNet{copies: always(replicas)}
		a, stop := runAnnouncer(t, net, func(Event) {})
		defer stop()
		if err := a.add(testKeys(fewKeys)...); err != nil {
			t.Fatal(err)
		}
		a.online(true)
		pass(time.Minute)
		if net.looks < fewKeys || net.explored != 0 || net.largest != 1 || len(net.calls) != fewKeys {
			t.Errorf("%d look-ups, %d explored, batches of %d, %d announced", net.looks, net.explored, net.largest, len(net.calls))
		}
	})
}

func TestNewKeyDoesNotWaitForASweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &fakeNet{copies: always(1), complete: true} // a small network
		a, stop := runAnnouncer(t, net, func(Event) {})
		defer stop()
		a.online(true)
		if err := a.add(testKeys(30_000)...); err != nil { // 30 s
			t.Fatal(err)
		}
		pass(10 * time.Second)
		fresh := Key{1, 2, 3}
		if err := a.add(fresh); err != nil {
			t.Fatal(err)
		}
		pass(3 * time.Second)
		if _, copies := a.announced(fresh); copies != 1 {
			t.Error("the new key has to wait")
		}
		if s := a.stats(); s.Due < 10_000 {
			t.Errorf("%d due: the sweep was over", s.Due)
		}
	})
}

func TestFallingBehindRaisesTheAlarmOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		alarms := 0
		// No two keys in a region: 16 in 2 s, and a round is due every 15 min.
		a, stop := runAnnouncer(t, &fakeNet{copies: always(1), bits: 256}, func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == Late {
				alarms++
			}
		})
		defer stop()
		a.online(true)
		if err := a.add(testKeys(40_000)...); err != nil {
			t.Fatal(err)
		}
		pass(2*time.Hour + 5*time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if alarms != 2 {
			t.Fatalf("%d alarms", alarms)
		}
		if s := a.stats(); s.Late == 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestStoppingEndsAnnouncementsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &fakeNet{copies: always(1)}
		a, stop := runAnnouncer(t, net, func(Event) {})
		a.online(true)
		if err := a.add(testKeys(5000)...); err != nil {
			t.Fatal(err)
		}
		pass(1500 * time.Millisecond)
		stop() // the bubble fails if anything is left running
		if net.now != 0 || a.schedule.jobs != 0 {
			t.Fatalf("%d batches, %d jobs still under way", net.now, a.schedule.jobs)
		}
	})
}

// A clock that is set has no influence; a computer that slept announces what
// it missed, but not all of it in the same moment.
func TestClockJumpsMakeItNeitherAnnounceEverythingAtOnceNorNever(t *testing.T) {
	for name, jump := range map[string]time.Duration{"back": -24 * 365 * time.Hour, "a little": time.Second, "forth": 24 * 365 * time.Hour, "a night": 10 * time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			net := &fakeNet{copies: always(replicas), bits: 4}
			var shift atomic.Int64
			net.calls, net.begin = make(map[Key][]time.Duration), time.Now()
			a := newAnnouncer(newSchedule(22*time.Hour, 15*time.Minute, 8), func(Event) {})
			a.wall = func() time.Time { return time.Now().Add(time.Duration(shift.Load())) }
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error, 1)
			go func() { ended <- a.run(ctx, net) }()
			defer func() { cancel(); <-ended }()
			keys := testKeys(3_000)
			if err := a.add(keys...); err != nil {
				t.Fatal(err)
			}
			a.online(true)
			pass(15 * time.Hour)
			shift.Store(int64(jump))
			before := len(keys)
			pass(5 * time.Minute)
			announced := func() (n int) {
				net.mu.Lock()
				defer net.mu.Unlock()
				for _, calls := range net.calls {
					n += len(calls)
				}
				return n
			}
			if n := announced() - before; n > len(keys)*3/4 {
				t.Errorf("%s: %d keys announced within 5 minutes", name, n)
			}
			pass(7 * time.Hour)
			if n := announced() - before; n < len(keys) || n > len(keys)*3/2 {
				t.Errorf("%s: %d announcements of %d keys after 7 hours", name, n, len(keys))
			}
		})
	}
}
