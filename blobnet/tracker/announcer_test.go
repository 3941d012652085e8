package tracker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// provideLog is a provide that records when it was called.
type provideLog struct {
	copies func(Key) int

	mu    sync.Mutex
	calls map[Key][]time.Duration // guarded by mu: since begin
	begin time.Time
	now   int // guarded by mu: running
	most  int // guarded by mu
}

func (l *provideLog) provide(ctx context.Context, key Key) int {
	l.mu.Lock()
	l.calls[key] = append(l.calls[key], time.Since(l.begin).Round(time.Second))
	l.now++
	l.most = max(l.most, l.now)
	l.mu.Unlock()
	select {
	case <-time.After(time.Second):
	case <-ctx.Done():
	}
	l.mu.Lock()
	l.now--
	l.mu.Unlock()
	return l.copies(key)
}

// run starts an announcer in a synctest bubble; stop waits for its end.
func runAnnouncer(t *testing.T, copies func(Key) int, onEvent func(Event)) (a *announcer, log *provideLog, stop func()) {
	log = &provideLog{copies: copies, calls: make(map[Key][]time.Duration), begin: time.Now()}
	a = newAnnouncer(newSchedule(22*time.Hour, 15*time.Minute, 8), onEvent)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.run(ctx, log.provide) }()
	return a, log, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestAnnouncementsWaitForPeersAndRepeatWithinTheirInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, log, stop := runAnnouncer(t, func(Key) int { return replicas }, func(Event) {})
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

func TestAThousandKeysAreAnnouncedEightAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := 0
		a, log, stop := runAnnouncer(t, func(Key) int { return 3 }, func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == Announced && e.Count == 3 {
				told++
			}
		})
		defer stop()
		keys := make([]Key, 1000)
		for i := range keys {
			keys[i] = testKey(i)
		}
		a.online(true)
		if err := a.add(keys...); err != nil {
			t.Fatal(err)
		}
		pass(126 * time.Second)
		if len(log.calls) != 1000 || log.most != 8 || told != 1000 {
			t.Fatalf("%d announced, %d told, %d at a time", len(log.calls), told, log.most)
		}
	})
}

func TestFallingBehindRaisesTheAlarmOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		alarms := 0
		a, _, stop := runAnnouncer(t, func(Key) int { return 1 }, func(e Event) {
			mu.Lock()
			defer mu.Unlock()
			if e.Kind == Late {
				alarms++
			}
		})
		defer stop()
		keys := make([]Key, 100_000) // 8 a second: 3.5 hours for a round that is due every 15 minutes
		for i := range keys {
			keys[i] = testKey(i)
		}
		a.online(true)
		if err := a.add(keys...); err != nil {
			t.Fatal(err)
		}
		pass(3*time.Hour - time.Minute)
		mu.Lock()
		defer mu.Unlock()
		if alarms != 2 {
			t.Fatalf("%d alarms", alarms)
		}
	})
}

func TestStoppingEndsAnnouncementsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, log, stop := runAnnouncer(t, func(Key) int { return 1 }, func(Event) {})
		a.online(true)
		for i := range 20 {
			if err := a.add(testKey(i)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		stop() // the bubble fails if anything is left running
		if log.now != 0 {
			t.Fatalf("%d still under way", log.now)
		}
	})
}
