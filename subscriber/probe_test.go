package subscriber

import (
	"testing"
	"time"
)

// A name that was replaced every day for a year, of which nobody has the old versions,
// keeps who joins waiting for a minute at most; where somebody has them, each is waited for.
func TestALateJoinerDoesNotWaitLongForEachReplacedVersion(t *testing.T) {
	const full = 10 * time.Second
	var p probe
	sum := time.Duration(0)
	for range 365 {
		sum += p.patience(full)
		p.ended(false)
	}
	if sum > time.Minute {
		t.Errorf("a year of versions takes %v", sum)
	}
	if got := p.patience(full); got != minProbe {
		t.Errorf("in the end a look takes %v", got)
	}
	if p.ended(true); p.patience(full) != full {
		t.Errorf("after one was found a look takes %v", p.patience(full))
	}
	if got := p.patience(time.Millisecond); got != time.Millisecond {
		t.Errorf("a short look takes %v", got)
	}
}
