package subscriber

import "time"

// minProbe is how short a look for a replaced file may become.
const minProbe = 100 * time.Millisecond

// probe is how long is looked for a file that a later release replaces, before it is
// left out: the less, the more such looks were in vain. Who joins late may meet a name
// that was replaced every day for years, and is to have the newest soon.
type probe struct{ vain int }

// patience is that of the next look; full is that of the first.
func (p *probe) patience(full time.Duration) time.Duration {
	return max(min(minProbe, full), full>>min(p.vain, 30))
}

// ended says whether a look was in vain.
func (p *probe) ended(found bool) {
	if found {
		p.vain = 0
		return
	}
	p.vain++
}
