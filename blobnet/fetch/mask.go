package fetch

import "math/bits"

// mask is a set of members, each by its slot in the Swarm.
type mask [maxMembers / 64]uint64

func (m *mask) set(slot int)     { m[slot/64] |= 1 << (slot % 64) }
func (m *mask) clear(slot int)   { m[slot/64] &^= 1 << (slot % 64) }
func (m mask) has(slot int) bool { return m[slot/64]>>(slot%64)&1 != 0 }

func (m mask) or(o mask) mask {
	for i := range m {
		m[i] |= o[i]
	}
	return m
}

func (m mask) and(o mask) mask {
	for i := range m {
		m[i] &= o[i]
	}
	return m
}

func (m mask) without(o mask) mask {
	for i := range m {
		m[i] &^= o[i]
	}
	return m
}

func (m mask) empty() bool { return m == mask{} }

func (m mask) count() (n int) {
	for _, w := range m {
		n += bits.OnesCount64(w)
	}
	return n
}

// each calls do for every slot in m, in order, until it returns false.
func (m mask) each(do func(slot int) bool) {
	for i, w := range m {
		for ; w != 0; w &= w - 1 {
			if !do(i*64 + bits.TrailingZeros64(w)) {
				return
			}
		}
	}
}
