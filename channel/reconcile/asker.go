package reconcile

import (
	"bytes"
	"fmt"
	"math/bits"
)

// leaf is how many items of either end may be in a range whose items are told
// instead of dividing it further: to divide costs 20 bytes for each part and a round
// trip, to tell 32 for each item.
const leaf = 48

// First is the question that opens a session of a set of n items.
func First(n int) Range { return Range{Split: split(n)} }

// split is by how many bits a range of n items is divided, so that its parts have
// half a leaf, or as much as a question may.
func split(n int) uint64 {
	return uint64(min(max(bits.Len(uint(max(n-1, 0)/(leaf/2))), 1), MaxSplit))
}

// What is known of one of the asker's items.
const (
	alone   = iota // the other end has it not, or has not said so
	same           // and in the same state
	differs        // it has it, in another state
)

// Asker is the asking end of one session. It is not safe for concurrent use.
//
// What it asks is bounded by its own set: a range in which it has nothing is not
// asked for, one in which it has few items is not divided, and it takes no more
// than twice its own items. Ranges of one depth do not overlap, and depth ends at
// MaxBits.
type Asker struct {
	set   *Set
	known []uint8 // by number of item
	todo  []job
	sent  [][]job // questions that wait for their answers
}

// job is a range to ask for.
type job struct {
	Range
	lo, hi int // our items in it
	theirs int // how many the other end says it has; -1 if it has not said
}

// NewAsker begins a session of which First(set.Len()) was asked and is to be
// answered first.
func NewAsker(set *Set) *Asker {
	return &Asker{
		set: set, known: make([]uint8, set.Len()),
		sent: [][]job{{{Range: First(set.Len()), hi: set.Len(), theirs: -1}}},
	}
}

// Next returns the next question, or nil if there is none now: everything is known
// once Done, and else the answers to earlier ones are waited for.
func (a *Asker) Next() []Range {
	var batch []job
	var out []Range
	points := 0
	for len(a.todo) > 0 && len(batch) < MaxRanges {
		points += len(a.todo[0].Points) / pointSize
		if points > MaxPoints {
			break
		}
		batch, out = append(batch, a.todo[0]), append(out, a.todo[0].Range)
		a.todo = a.todo[1:]
	}
	if batch != nil {
		a.sent = append(a.sent, batch)
	}
	return out
}

// Take takes the answer to the earliest question that has none. The error wraps
// ErrAnswer: no honest node answers so.
func (a *Asker) Take(told []Told) error {
	if len(a.sent) == 0 {
		return fmt.Errorf("%w: nothing was asked", ErrAnswer)
	}
	batch := a.sent[0]
	a.sent = a.sent[1:]
	if len(told) != len(batch) {
		return fmt.Errorf("%w: %d ranges of %d", ErrAnswer, len(told), len(batch))
	}
	for i, j := range batch {
		var err error
		if j.Split > 0 {
			err = a.divided(j, told[i])
		} else {
			err = a.listed(j, told[i])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// divided compares the parts of a range.
func (a *Asker) divided(j job, told Told) error {
	parts, err := j.parts(told)
	if err != nil {
		return err
	}
	total := 0
	for i, theirs := range parts {
		total += int(theirs.Count)
		child := job{Range: j.child(i), theirs: int(theirs.Count)}
		child.lo, child.hi = a.set.bounds(child.Range)
		switch {
		case child.lo == child.hi || theirs.Count == 0:
			// Nothing that both have.
		case int(theirs.Count) == child.hi-child.lo && theirs == a.set.part(child.lo, child.hi):
			a.mark(child, same)
		default:
			a.plan(child)
		}
	}
	if j.theirs >= 0 && total != j.theirs {
		return fmt.Errorf("%w: %d items in the parts of a range of %d", ErrAnswer, total, j.theirs)
	}
	return nil
}

// plan decides how to go on with a range in which both ends have something.
func (a *Asker) plan(j job) {
	ours := j.hi - j.lo
	few := min(ours, j.theirs)
	switch {
	case few > leaf && j.Bits+split(few) > MaxBits:
		a.mark(j, differs) // no hashes are like this: let the channels be compared one by one
		return
	case few > leaf:
		j.Split = split(few)
	case j.theirs > 2*ours: // it is cheaper to name ours
		for i := j.lo; i < j.hi; i++ {
			j.Points = append(j.Points, a.set.items[i].Point[:]...)
		}
	}
	a.todo = append(a.todo, j)
}

// listed compares the items of a range.
func (a *Asker) listed(j job, told Told) error {
	items, err := j.items(told)
	if err != nil {
		return err
	}
	named := len(j.Points) > 0
	if !named && len(items) != j.theirs {
		return fmt.Errorf("%w: %d items of a range of %d", ErrAnswer, len(items), j.theirs)
	}
	at := j.lo
	for _, it := range items {
		for at < j.hi && bytes.Compare(a.set.items[at].Point[:], it[:pointSize]) < 0 {
			at++
		}
		if at == j.hi || [16]byte(it[:pointSize]) != a.set.items[at].Point {
			if named {
				return fmt.Errorf("%w: an item that was not asked for", ErrAnswer)
			}
			continue
		}
		a.known[at] = differs
		if [16]byte(it[pointSize:]) == a.set.items[at].Value {
			a.known[at] = same
		}
	}
	return nil
}

func (a *Asker) mark(j job, what uint8) {
	for i := j.lo; i < j.hi; i++ {
		a.known[i] = what
	}
}

// Same returns which channels of the list that the set was made of the other end
// has in the same state, by its own account. Differ returns those that it has in
// another. Both are in the order of the points, which is a random one.
func (a *Asker) Same() []int { return a.which(same) }

// Differ: see Same.
func (a *Asker) Differ() []int { return a.which(differs) }

func (a *Asker) which(what uint8) []int {
	var out []int
	for i, k := range a.known {
		if k == what {
			out = append(out, a.set.items[i].At)
		}
	}
	return out
}
