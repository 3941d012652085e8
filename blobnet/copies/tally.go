package copies

import "slices"

// Holder is what one peer has of the blobs that were asked about.
type Holder struct {
	Peer    string
	Network string // see Network; two of one network are not independent
	Has     []bool // what it said, in their order
	Proved  bool   // what was really asked for it gave
}

// Count says how many have how much.
type Count struct {
	All      int // holders that have every blob
	Proved   int // of these, proved
	Networks int // of these, distinct networks

	// Least is the blob that fewest have, by peers and then by networks, at its
	// place in the order in which they were asked about; -1 if there is none.
	Least         int
	LeastCopies   int
	LeastNetworks int

	// Copies is how many blobs have how many holders: blobs by copies.
	Copies map[int]int
}

// Tally counts copies of n blobs. A holder whose Has is shorter has not the rest.
func Tally(n int, holders []Holder) Count {
	c := Count{Least: -1, Copies: map[int]int{}}
	all := map[string]bool{}
	for _, h := range holders {
		if n == 0 || len(h.Has) < n || slices.Contains(h.Has[:n], false) {
			continue
		}
		c.All++
		all[h.Network] = true
		if h.Proved {
			c.Proved++
		}
	}
	c.Networks = len(all)
	for i := range n {
		copies, nets := 0, map[string]bool{}
		for _, h := range holders {
			if i < len(h.Has) && h.Has[i] {
				copies++
				nets[h.Network] = true
			}
		}
		c.Copies[copies]++
		if c.Least < 0 || copies < c.LeastCopies || copies == c.LeastCopies && len(nets) < c.LeastNetworks {
			c.Least, c.LeastCopies, c.LeastNetworks = i, copies, len(nets)
		}
	}
	return c
}
