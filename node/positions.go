package node

import (
	"math/bits"
	"time"
)

// positions is a set of positions of releases. Of a channel whose releases came one after
// the other it takes a few bits for each.
type positions map[int64]uint64

func (p positions) has(at int64) bool { return p[at>>6]&(1<<(at&63)) != 0 }
func (p positions) add(at int64)      { p[at>>6] |= 1 << (at & 63) }

func (p positions) remove(at int64) {
	if left := p[at>>6] &^ (1 << (at & 63)); left != 0 {
		p[at>>6] = left
	} else {
		delete(p, at>>6)
	}
}

func (p positions) count() (n int) {
	for _, b := range p {
		n += bits.OnesCount64(b)
	}
	return n
}

// recentPositions is a set that forgets: what was added stays for spareFor, and for less
// than twice as long.
type recentPositions struct {
	now, before positions
	since       time.Time // that of now
}

func (p *recentPositions) turn(at time.Time) {
	switch age := at.Sub(p.since); {
	case age >= 2*spareFor:
		*p = recentPositions{positions{}, nil, at}
	case age >= spareFor:
		*p = recentPositions{positions{}, p.now, at}
	}
}

func (p *recentPositions) has(pos int64, at time.Time) bool {
	p.turn(at)
	return p.now.has(pos) || p.before.has(pos)
}

func (p *recentPositions) add(pos int64, at time.Time) {
	p.turn(at)
	p.now.add(pos)
}
