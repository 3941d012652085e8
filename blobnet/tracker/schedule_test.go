package tracker

import (
	"encoding/binary"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func testKey(n int) Key {
	var k Key
	binary.BigEndian.PutUint64(k[:], uint64(n))
	return k
}

// stepper drives a schedule without jitter.
type stepper struct {
	*testing.T
	*schedule
	now time.Time
}

func newStepper(t *testing.T) *stepper {
	s := newSchedule(22*time.Hour, 15*time.Minute, 2)
	s.jitter = func() float64 { return 0 }
	return &stepper{t, s, time.Unix(1e9, 0)}
}

// takes wants key to be handed out now.
func (s *stepper) takes(want Key) {
	s.Helper()
	if key, ok, wait := s.next(s.now); !ok || key != want {
		s.Fatalf("got %s, %v (wait %v), want %s", key, ok, wait, want)
	}
}

// waits wants no key now, and the next one after the given time; 0: unknown.
func (s *stepper) waits(want time.Duration) {
	s.Helper()
	if key, ok, wait := s.next(s.now); ok || wait != want {
		s.Fatalf("got %s, %v (wait %v), want to wait %v", key, ok, wait, want)
	}
}

// done ends a job of one key.
func (s *stepper) done(now time.Time, key Key, copies int) {
	s.schedule.done(now, key, copies, 0)
	s.end(key)
}

func (s *stepper) passes(d time.Duration) { s.now = s.now.Add(d) }

func TestKeyIsAnnouncedAtOnceThenByInterval(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	s.takes(testKey(1))
	s.done(s.now, testKey(1), replicas)
	s.waits(22 * time.Hour)
	s.passes(22 * time.Hour)
	s.takes(testKey(1))
}

func TestKeyOnFewPeersIsAnnouncedMoreOften(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	s.takes(testKey(1))
	s.done(s.now, testKey(1), replicas-1)
	s.waits(15 * time.Minute)
}

func TestNothingIsAnnouncedBeforeThereArePeersAndAllOfItThen(t *testing.T) {
	s := newStepper(t)
	s.add(s.now, testKey(1))
	s.add(s.now.Add(time.Second), testKey(2))
	s.waits(0)
	s.passes(time.Hour)
	s.waits(0)
	s.setOnline(true)
	s.takes(testKey(1))
	s.takes(testKey(2))
}

func TestFailuresAreRetriedWithGrowingPausesAndAtOnceWhenSomebodyComes(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	for _, want := range []time.Duration{5, 10, 20, 40, 80, 160, 320, 640, 900, 900} {
		s.takes(testKey(1))
		s.done(s.now, testKey(1), 0)
		s.waits(want * time.Second / 2) // jitter 0: half
		s.passes(want * time.Second / 2)
	}
	s.takes(testKey(1))
	s.done(s.now, testKey(1), 0)
	s.joined(s.now)
	s.takes(testKey(1))
	s.done(s.now, testKey(1), 1)
	s.waits(15 * time.Minute)
}

func TestNewPeerIsToldSparseKeysSoon(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	s.takes(testKey(1))
	s.done(s.now, testKey(1), 1)
	s.passes(time.Second)
	s.joined(s.now)
	s.waits(minGap - time.Second) // since the last announcement
	s.passes(minGap)
	s.takes(testKey(1))
	s.joined(s.now) // while it is being announced
	s.done(s.now, testKey(1), 2)
	s.waits(minGap)
	s.passes(minGap)
	s.takes(testKey(1))
	s.done(s.now, testKey(1), replicas)
	s.passes(time.Hour)
	s.joined(s.now)
	s.waits(21 * time.Hour) // it is on as many peers as can be
}

func TestPeerThatIsThereAtTheTimeOfTheAnnouncementIsToldOnlyOnce(t *testing.T) {
	s := newStepper(t)
	s.add(s.now, testKey(1))
	s.setOnline(true)
	s.joined(s.now)
	s.takes(testKey(1))
	s.done(s.now, testKey(1), 1)
	s.waits(15 * time.Minute)
}

func TestPeerThatComesAndGoesAllTheTimeDoesNotKeepUsBusy(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	announced := 0
	for range 3600 {
		s.joined(s.now)
		for {
			key, ok, _ := s.next(s.now)
			if !ok {
				break
			}
			s.done(s.now, key, 1)
			announced++
		}
		s.passes(time.Second)
	}
	if announced < 8 || announced > 16 {
		t.Fatalf("announced %d times in an hour", announced)
	}
	s.passes(15 * time.Minute) // of quiet
	s.next(s.now)
	s.done(s.now, testKey(1), 1)
	s.passes(15 * time.Minute)
	s.next(s.now)
	s.done(s.now, testKey(1), 1)
	s.joined(s.now)
	s.waits(minGap)
}

func TestAnnouncingAgainSoonChangesNothing(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	s.takes(testKey(1))
	s.add(s.now, testKey(1)) // while running
	s.done(s.now, testKey(1), 1)
	s.passes(freshFor - 1)
	s.add(s.now, testKey(1))
	s.waits(15*time.Minute - freshFor + 1)
	s.passes(1)
	s.add(s.now, testKey(1))
	s.takes(testKey(1))
}

func TestKeyAskedForAgainOvertakesThoseThatAreDueLater(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	s.takes(testKey(1))
	s.done(s.now, testKey(1), 1)
	s.add(s.now, testKey(2))
	s.takes(testKey(2))
	s.done(s.now, testKey(2), replicas)
	s.passes(freshFor)
	s.add(s.now, testKey(2))
	s.takes(testKey(2))
}

func TestRemovedKeyIsNotAnnounced(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	s.add(s.now, testKey(2))
	s.remove(testKey(1))
	s.remove(testKey(3))
	s.takes(testKey(2))
	s.remove(testKey(2)) // while running
	s.done(s.now, testKey(2), 1)
	s.waits(0)
	if n := s.counts(s.now); n.keys != 0 || len(s.items) != 0 {
		t.Fatalf("%d keys left", n.keys)
	}
}

func TestKeyRemovedAndAddedWhileAnnouncedIsAnnouncedAgain(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	s.takes(testKey(1))
	s.remove(testKey(1))
	s.add(s.now, testKey(1))
	s.done(s.now, testKey(1), 0)
	s.takes(testKey(1))
}

func TestFallingBehindIsCounted(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	for i := range 5 {
		s.add(s.now, testKey(i))
	}
	s.takes(testKey(0))
	s.passes(lateAfter - 1)
	if n := s.counts(s.now); n.late != 0 {
		t.Fatalf("%d late too early", n.late)
	}
	s.passes(1)
	// What is being announced for an hour is late, too.
	if n := s.counts(s.now); n.keys != 5 || n.unheard != 5 || n.late != 5 || n.due != 5 {
		t.Fatalf("%+v", n)
	}
	s.setOnline(false) // then it is not our fault
	if n := s.counts(s.now); n.late != 0 {
		t.Fatalf("%d late without peers", n.late)
	}
}

func TestKeyThatNobodyTakesIsLateAlthoughItIsTriedAgain(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	s.add(s.now, testKey(1))
	begun := s.now
	for s.now.Sub(begun) < lateAfter {
		if n := s.counts(s.now); n.late != 0 {
			t.Fatalf("late after %v", s.now.Sub(begun))
		}
		s.takes(testKey(1))
		s.done(s.now, testKey(1), 0)
		s.passes(s.items[testKey(1)].due.Sub(s.now))
	}
	if n := s.counts(s.now); n.late != 1 {
		t.Fatalf("%+v", n)
	}
	s.takes(testKey(1))
	s.done(s.now, testKey(1), 1)
	if n := s.counts(s.now); n.late != 0 {
		t.Fatalf("%+v after it was taken", n)
	}
}

func TestBackoffStaysWithinItsBounds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fails := rapid.IntRange(0, 1<<20).Draw(t, "fails")
		jitter := rapid.Float64Range(0, 0.999).Draw(t, "jitter")
		if d := backoff(fails, time.Second, time.Minute, jitter); d < time.Second/2 || d > time.Minute {
			t.Fatalf("%v", d)
		}
	})
}

// Whatever the order of calls, the schedule keeps its promises: never more
// than parallel at once, never a removed key, every key either waiting or
// running, and every added key handed out in the end.
func TestScheduleKeepsItsPromisesInAnyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSchedule(time.Hour, time.Minute, 3)
		now := time.Unix(1e9, 0)
		wanted, running := map[Key]bool{}, map[Key]bool{}
		jobs := 0
		key := rapid.Map(rapid.IntRange(0, 5), testKey)
		t.Repeat(map[string]func(*rapid.T){
			"add":    func(t *rapid.T) { k := key.Draw(t, "key"); s.add(now, k); wanted[k] = true },
			"remove": func(t *rapid.T) { k := key.Draw(t, "key"); s.remove(k); delete(wanted, k) },
			"joined": func(t *rapid.T) { s.joined(now) },
			"online": func(t *rapid.T) { s.setOnline(rapid.Bool().Draw(t, "yes")) },
			"pass":   func(t *rapid.T) { now = now.Add(time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "d"))) },
			"next": func(t *rapid.T) {
				k, ok, _ := s.next(now)
				if !ok {
					return
				}
				jobs++
				for _, k := range append(s.claim(now, k, rapid.IntRange(0, 8).Draw(t, "bits")), k) {
					if running[k] || !wanted[k] || !s.isOnline {
						t.Fatalf("%s handed out: running %v, wanted %v, online %v", k, running[k], wanted[k], s.isOnline)
					}
					running[k] = true
				}
			},
			"done": func(t *rapid.T) {
				for k := range running {
					s.done(now, k, rapid.IntRange(0, replicas).Draw(t, "copies"), rapid.Float64Range(0, 0.999).Draw(t, "jitter"))
					delete(running, k)
					return
				}
			},
			"end": func(t *rapid.T) {
				if jobs > 0 {
					jobs--
					s.end(Key{})
				}
			},
			"slept": func(t *rapid.T) { s.slept(now, time.Duration(rapid.Int64Range(0, int64(100*time.Hour)).Draw(t, "d"))) },
			"": func(t *rapid.T) {
				if jobs > 6 || s.jobs != jobs {
					t.Fatalf("%d jobs, the schedule says %d", jobs, s.jobs)
				}
				for k := range wanted {
					it := s.items[k]
					if it == nil || it.removed || (it.index >= 0) == running[k] {
						t.Fatalf("%s: %+v, running %v", k, it, running[k])
					}
					if it.index >= 0 && s.due[it.index] != it {
						t.Fatalf("%s is not where it says", k)
					}
				}
				for i := 1; i < len(s.due); i++ {
					if s.due.Less(i, (i-1)/2) {
						t.Fatalf("the heap is out of order at %d", i)
					}
				}
				if len(s.due)+len(running) != len(s.items) {
					t.Fatalf("%d waiting, %d running, %d items", len(s.due), len(running), len(s.items))
				}
			},
		})
		for k := range running {
			s.done(now, k, replicas, 0)
		}
		for range jobs {
			s.end(Key{})
		}
		s.setOnline(true)
		now = now.Add(2 * time.Hour)
		left := make(map[Key]bool)
		for k := range wanted {
			left[k] = true
		}
		for range len(wanted) {
			k, ok, _ := s.next(now)
			if !ok {
				break
			}
			delete(left, k)
			s.done(now, k, replicas, 0)
			s.end(k)
		}
		if len(left) > 0 {
			t.Fatalf("%d keys were forgotten", len(left))
		}
	})
}
