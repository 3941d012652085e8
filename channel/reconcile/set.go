package reconcile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"
)

// Half is one end's part of a session's salt.
type Half [16]byte

// Salt is the salt of a session: what the asker drew, and what the answerer did.
type Salt struct{ Asker, Answerer Half }

// Item is a channel as one session speaks of it.
type Item struct {
	Point [16]byte // stands for the channel
	Value [16]byte // stands for the state of it
	At    int      // where the channel stands in the list of which the set was made
}

// Item returns the channel's item under the salt.
func (s Salt) Item(c Channel, at int) Item {
	it := Item{At: at}
	copy(it.Point[:], s.hash("aml-reconcile-point-v1", c.Key[:], nil))
	copy(it.Value[:], s.hash("aml-reconcile-value-v1", c.Key[:], c.Digest[:]))
	return it
}

func (s Salt) hash(what string, key, digest []byte) []byte {
	var buf [22 + 16 + 16 + 32 + 32]byte
	data := append(buf[:0], what...)
	data = append(data, s.Asker[:]...)
	data = append(data, s.Answerer[:]...)
	data = append(data, key...)
	data = append(data, digest...)
	sum := sha256.Sum256(data)
	return sum[:]
}

// block is how many items have one sum: the fingerprint of a range adds up no more
// than two blocks of single items, and a set takes little more than its items.
const block = 64

// sum is an integer modulo 2^256, the least significant word first.
type sum [4]uint64

func (s *sum) add(o sum) {
	var carry uint64
	for i := range s {
		s[i], carry = bits.Add64(s[i], o[i], carry)
	}
}

func (s *sum) sub(o sum) {
	var borrow uint64
	for i := range s {
		s[i], borrow = bits.Sub64(s[i], o[i], borrow)
	}
}

// number is the item as an integer, point and then value, big-endian.
func (it *Item) number() sum {
	return sum{
		binary.BigEndian.Uint64(it.Value[8:]), binary.BigEndian.Uint64(it.Value[:8]),
		binary.BigEndian.Uint64(it.Point[8:]), binary.BigEndian.Uint64(it.Point[:8]),
	}
}

// Set is the channels of one node under one salt, ascending by point. It does not
// change, so any number of goroutines may use it.
type Set struct {
	items []Item
	sums  []sum // of all items before number i*block
}

// NewSet salts channels.
func NewSet(salt Salt, all []Channel) *Set {
	items := make([]Item, len(all))
	for i, c := range all {
		items[i] = salt.Item(c, i)
	}
	return setOf(items)
}

func setOf(items []Item) *Set {
	slices.SortFunc(items, func(a, b Item) int { return bytes.Compare(a.Point[:], b.Point[:]) })
	items = slices.CompactFunc(items, func(a, b Item) bool { return a.Point == b.Point })
	s := &Set{items: items, sums: make([]sum, 0, len(items)/block+1)}
	var total sum
	for i := range items {
		if i%block == 0 {
			s.sums = append(s.sums, total)
		}
		total.add(items[i].number())
	}
	if len(items)%block == 0 {
		s.sums = append(s.sums, total)
	}
	return s
}

// Len is how many items there are.
func (s *Set) Len() int { return len(s.items) }

// before is the sum of the first n items.
func (s *Set) before(n int) sum {
	total := s.sums[n/block]
	for i := n / block * block; i < n; i++ {
		total.add(s.items[i].number())
	}
	return total
}

// part is the fingerprint of the items from number lo to before number hi.
func (s *Set) part(lo, hi int) Part {
	p := Part{Count: uint32(hi - lo)}
	if p.Count == 0 {
		return p
	}
	total := s.before(hi)
	total.sub(s.before(lo))
	var data [8 + 32]byte
	binary.BigEndian.PutUint64(data[:], uint64(p.Count))
	for i, word := range total {
		binary.BigEndian.PutUint64(data[8+8*(3-i):], word)
	}
	hash := sha256.Sum256(data[:])
	copy(p.Sum[:], hash[:])
	return p
}

// bounds are the numbers of the items that lie in a range: from lo to before hi.
func (s *Set) bounds(r Range) (lo, hi int) {
	least, most := r.span()
	lo = sort.Search(len(s.items), func(i int) bool { return s.items[i].lead() >= least })
	hi = lo + sort.Search(len(s.items)-lo, func(i int) bool { return s.items[lo+i].lead() > most })
	return lo, hi
}

// lead is the first 8 bytes of the point, which are what ranges are told by.
func (it *Item) lead() uint64 { return binary.BigEndian.Uint64(it.Point[:8]) }

// find returns the number of the item with the point.
func (s *Set) find(point [16]byte) (int, bool) {
	return slices.BinarySearchFunc(s.items, point, func(it Item, p [16]byte) int { return bytes.Compare(it.Point[:], p[:]) })
}
