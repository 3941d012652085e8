package reconcile

import (
	"encoding/binary"
	"fmt"
)

// Answer answers a question of the other end, of which nothing was checked. The
// error wraps ErrQuestion.
func (s *Set) Answer(ranges []Range) ([]Told, error) {
	if err := Check(ranges); err != nil {
		return nil, err
	}
	out := make([]Told, len(ranges))
	for i, r := range ranges {
		var err error
		switch {
		case r.Split > 0:
			out[i] = s.divide(r)
		case len(r.Points) > 0:
			out[i] = s.among(r.Points)
		default:
			out[i], err = s.whole(r)
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (s *Set) divide(r Range) Told {
	out := make([]byte, 0, partSize<<r.Split)
	for i := range 1 << r.Split {
		p := s.part(s.bounds(r.child(i)))
		out = binary.BigEndian.AppendUint32(out, p.Count)
		out = append(out, p.Sum[:]...)
	}
	return Told{Parts: out}
}

func (s *Set) among(points []byte) Told {
	var out []byte
	for at := 0; at < len(points); at += pointSize {
		if i, ok := s.find([16]byte(points[at:])); ok {
			out = s.items[i].append(out)
		}
	}
	return Told{Items: out}
}

// whole tells all items of a range. The asker knows from what was told before how
// many they are.
func (s *Set) whole(r Range) (Told, error) {
	lo, hi := s.bounds(r)
	if hi-lo > MaxItems {
		return Told{}, fmt.Errorf("%w: all of a range of %d items", ErrQuestion, hi-lo)
	}
	out := make([]byte, 0, (hi-lo)*itemSize)
	for i := lo; i < hi; i++ {
		out = s.items[i].append(out)
	}
	return Told{Items: out}, nil
}

func (it *Item) append(out []byte) []byte {
	out = append(out, it.Point[:]...)
	return append(out, it.Value[:]...)
}
