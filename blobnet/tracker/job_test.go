package tracker

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestJobsAreBoundedAndSomeAreKeptForNewKeys(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	for i := range 6 {
		s.add(s.now.Add(time.Duration(i)), testKey(i))
	}
	s.passes(time.Second)
	s.takes(testKey(0))
	s.takes(testKey(1))
	s.takes(testKey(5)) // the newest first
	s.takes(testKey(4))
	s.waits(0)
	s.done(s.now, testKey(1), 1)
	s.takes(testKey(3))
	s.waits(0)

	// Keys to be announced again, even if late, leave these jobs alone.
	s = newStepper(t)
	s.setOnline(true)
	for i := range 5 {
		s.add(s.now, testKey(i))
	}
	for range 5 {
		k, ok, _ := s.next(s.now)
		if !ok {
			t.Fatal("no key")
		}
		s.done(s.now, k, 1)
	}
	s.passes(time.Hour)
	for range 2 {
		if _, ok, _ := s.next(s.now); !ok {
			t.Fatal("no key")
		}
	}
	s.waits(0)
	s.add(s.now, testKey(9))
	s.takes(testKey(9))
}

func TestJobTakesAlongWhatIsDueSoonNearby(t *testing.T) {
	s := newStepper(t)
	s.setOnline(true)
	all := map[Key]bool{}
	for i := range 1000 {
		s.add(s.now, testKey(i))
		all[testKey(i)] = true
	}
	seed, _, _ := s.next(s.now)
	for _, bits := range []int{13, 5, 1} {
		for _, k := range s.claim(s.now, seed, bits) {
			if !all[k] || k == seed || seed.point().shared(k.point()) < bits {
				t.Fatalf("%d bits: %s", bits, k)
			}
			delete(all, k)
			s.schedule.done(s.now, k, replicas, 0)
		}
	}
	for k := range all {
		if k != seed && seed.point().shared(k.point()) >= 1 {
			t.Fatalf("%s was left out", k)
		}
	}
	s.done(s.now, seed, replicas)
	s.passes(s.interval * 8 / 10)
	if keys := s.claim(s.now, seed, 1); len(keys) != 0 {
		t.Fatalf("%d keys much too early", len(keys))
	}
	s.passes(s.interval / 10)
	if keys := s.claim(s.now, seed, 1); len(keys)+len(all) != 1001 {
		t.Fatalf("%d keys, want all but those %d that were never announced", len(keys), len(all)-1)
	}
}

func TestPlacesOfKeysAreFoundByTheirBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var b places
		items := map[*item]bool{}
		for i := range rapid.IntRange(0, 50).Draw(t, "n") {
			it := &item{key: testKey(i), point: testKey(i).point()}
			b.add(it)
			items[it] = true
		}
		for it := range items {
			if rapid.Bool().Draw(t, "remove") {
				b.remove(it)
				delete(items, it)
			}
		}
		p, n := testKey(rapid.IntRange(0, 50).Draw(t, "key")).point(), rapid.IntRange(0, 256).Draw(t, "bits")
		want := 0
		for it := range items {
			if p.shared(it.point) >= n {
				want++
			}
		}
		for it := range b.near(p, n) {
			if want--; !items[it] || p.shared(it.point) < n {
				t.Fatalf("%s is not there", it.key)
			}
		}
		if want != 0 {
			t.Fatalf("%d left out", want)
		}
	})
}
