package mirror

import "time"

// MaxHold bounds how long a Clock stands still after a cut: whoever tries again does so
// at least twice in that time.
const MaxHold = time.Minute

// Clock is the time by which members are dead. It moves while they can be heard: from
// one answer of what carries their beats to the next. When there is none it stands, and
// then for as long again as there was none, up to MaxHold: others, who were cut off as
// well, try again after pauses that have grown with the cut. It is owned by one
// goroutine, or guarded by whoever has it.
type Clock struct {
	most time.Duration // that it moves at once: this process may have stood still
	now  time.Time
	last time.Time // when was looked
	cut  time.Time // since when there is no answer; zero: there is one
	hold time.Time // until when it stands
}

// NewClock is a clock that is looked at in steps of about so long.
func NewClock(step time.Duration) *Clock { return &Clock{most: 2 * step, now: time.Unix(0, 0)} }

// Now is its time.
func (c *Clock) Now() time.Time { return c.now }

// Run is how long it has been running in all.
func (c *Clock) Run() time.Duration { return c.now.Sub(time.Unix(0, 0)) }

// Tick says whether there was an answer at a time, and reports whether that has
// changed.
func (c *Clock) Tick(at time.Time, answer bool) (changed bool) {
	passed := at.Sub(c.last)
	if c.last.IsZero() {
		passed = 0
	}
	since := c.last
	c.last = at
	switch {
	case !answer && c.cut.IsZero():
		if c.cut = since; since.IsZero() {
			c.cut = at
		}
		return true
	case !answer:
		return false
	case !c.cut.IsZero():
		c.hold, c.cut = at.Add(min(at.Sub(c.cut), MaxHold)), time.Time{}
		return true
	case at.After(c.hold):
		c.now = c.now.Add(max(0, min(passed, at.Sub(c.hold), c.most)))
	}
	return false
}
