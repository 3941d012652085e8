package tracker

import (
	"crypto/sha256"
	"iter"
	"math/bits"

	"github.com/libp2p/go-libp2p/core/peer"
)

// point is where a key or a peer lies in the space in which the DHT measures
// distances: the SHA-256 of what it is called there.
type point [sha256.Size]byte

func (k Key) point() point { return sha256.Sum256(k.multihash()) }

func peerPoint(p peer.ID) point { return sha256.Sum256([]byte(p)) }

// shared returns how many of their first bits two points share.
func (p point) shared(q point) int {
	for i := range p {
		if d := p[i] ^ q[i]; d != 0 {
			return 8*i + bits.LeadingZeros8(d)
		}
	}
	return 8 * len(p)
}

// closer reports whether a is closer to p than b is.
func (p point) closer(a, b point) bool {
	for i := range p {
		if x, y := a[i]^p[i], b[i]^p[i]; x != y {
			return x < y
		}
	}
	return false
}

// flip returns p with another bit at i.
func (p point) flip(i int) point {
	p[i/8] ^= 0x80 >> (i % 8)
	return p
}

// placeBits is how many bits of a point choose its bucket of places.
const placeBits = 12

// places finds items by the first bits of their points.
type places [1 << placeBits][]*item

func bucketOf(p point) int { return int(p[0])<<4 | int(p[1])>>4 }

func (b *places) add(it *item) {
	list := &b[bucketOf(it.point)]
	it.place = len(*list)
	*list = append(*list, it)
}

func (b *places) remove(it *item) {
	list := &b[bucketOf(it.point)]
	last := len(*list) - 1
	moved := (*list)[last]
	(*list)[it.place], moved.place = moved, it.place
	(*list)[last] = nil
	*list = (*list)[:last]
}

// near yields the items that share the first n bits with p, in no order. None
// may be added or removed meanwhile.
func (b *places) near(p point, n int) iter.Seq[*item] {
	return func(yield func(*item) bool) {
		width := max(placeBits-n, 0)
		first := bucketOf(p) >> width << width
		for _, list := range b[first : first+1<<width] {
			for _, it := range list {
				if it.point.shared(p) >= n && !yield(it) {
					return
				}
			}
		}
	}
}

// dueHeap orders items by when they are due.
type dueHeap []*item

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *dueHeap) Push(x any) {
	it := x.(*item)
	it.index = len(*h)
	*h = append(*h, it)
}
func (h *dueHeap) Pop() any {
	old := *h
	it := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	it.index = -1
	return it
}
