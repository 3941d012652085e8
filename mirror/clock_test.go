package mirror

import (
	"testing"
	"time"
)

// All of NATS is away for a while. Members come back one after the other, each after a
// pause that has grown with the cut: nobody takes those that come later for dead.
func TestACutMakesNobodyDeadAlsoWhenOthersComeBackLater(t *testing.T) {
	t.Parallel()
	const ttl, step = 30 * time.Second, 5 * time.Second
	for _, cut := range []time.Duration{step, 20 * time.Second, 2 * time.Minute, time.Hour} {
		wall := time.UnixMilli(1_800_000_000_000)
		c, m := NewClock(step), NewMembers(ttl)
		ticks := func(d time.Duration, answer bool) {
			for range d / step {
				wall = wall.Add(step)
				c.Tick(wall, answer)
			}
		}
		hear := func(peer string) {
			t.Helper()
			if _, err := m.Heard(beat(peer, wall), wall, c.Now()); err != nil {
				t.Fatal(err)
			}
		}
		alive := func(want int, when string) {
			t.Helper()
			if live := In(m.Live(c.Now()), "c"); len(live) != want {
				t.Errorf("a cut of %v, %s: alive are %v, want %d", cut, when, live, want)
			}
		}
		ticks(time.Minute, true)
		hear("late")
		hear("dead")
		ticks(cut, false)
		alive(2, "in it")
		ticks(min(cut, 30*time.Second), true) // as long as another may pause, at most
		alive(2, "at its end")
		hear("late")
		ticks(MaxHold+ttl, true)
		hear("late")
		alive(1, "long after it")
	}
}

func TestTheClockOfMembersMovesNoFurtherThanOneLooks(t *testing.T) {
	t.Parallel()
	wall, c := time.UnixMilli(1_800_000_000_000), NewClock(5*time.Second)
	for _, s := range []struct {
		after   time.Duration
		answer  bool
		changed bool
		run     time.Duration
		what    string
	}{
		{0, true, false, 0, "the first look"},
		{5 * time.Second, true, false, 5 * time.Second, "a step"},
		{time.Hour, true, false, 15 * time.Second, "this process stood still"},
		{5 * time.Second, false, true, 15 * time.Second, "a cut"},
		{5 * time.Second, false, false, 15 * time.Second, "it lasts"},
		{5 * time.Second, true, true, 15 * time.Second, "it ends, 15 s after the last answer"},
		{10 * time.Second, true, false, 15 * time.Second, "as long again is not over"},
		{10 * time.Second, true, false, 20 * time.Second, "it is, since 5 s"},
	} {
		wall = wall.Add(s.after)
		if changed := c.Tick(wall, s.answer); changed != s.changed || c.Run() != s.run {
			t.Fatalf("%s: changed %v, has run for %v; want %v, %v", s.what, changed, c.Run(), s.changed, s.run)
		}
	}
}
