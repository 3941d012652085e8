package node

import (
	"math/rand/v2"
	"testing"
	"time"
)

func TestASetOfPositionsIsASet(t *testing.T) {
	t.Parallel()
	p, want := positions{}, map[int64]bool{}
	for range 10_000 {
		at := int64(rand.IntN(1000))
		if rand.IntN(10) == 0 {
			at <<= 40
		}
		if rand.IntN(2) == 0 {
			p.add(at)
			want[at] = true
		} else {
			p.remove(at)
			delete(want, at)
		}
		if p.has(at) != want[at] || p.count() != len(want) {
			t.Fatalf("%d: %v of %d, want %v of %d", at, p.has(at), p.count(), want[at], len(want))
		}
	}
	for at := range want {
		p.remove(at)
	}
	if len(p) != 0 {
		t.Errorf("an empty set keeps %d words", len(p))
	}
}

func TestWhatIsSparedIsAskedForAgain(t *testing.T) {
	t.Parallel()
	var p recentPositions
	now := time.UnixMilli(1_800_000_000_000)
	if p.has(7, now) {
		t.Error("an empty set has something")
	}
	p.add(7, now.Add(spareFor/2))
	for _, w := range []struct {
		after time.Duration
		has   bool
	}{{spareFor / 2, true}, {spareFor, true}, {spareFor * 3 / 2, true}, {spareFor * 5 / 2, false}} {
		if p.has(7, now.Add(w.after)) != w.has {
			t.Errorf("after %v: %v, want %v", w.after, !w.has, w.has)
		}
	}
	p.add(7, now.Add(10*spareFor))
	if p.has(7, now.Add(20*spareFor)) {
		t.Error("it stays for ever when nobody looks")
	}
}
