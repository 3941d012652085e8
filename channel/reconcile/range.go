package reconcile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// Limits of questions and answers (CHANNELS.md).
const (
	MaxRanges = 64  // in one question
	MaxSplit  = 6   // bits by which a range is divided at once
	MaxBits   = 60  // of a prefix, the division counted
	MaxItems  = 96  // told of one range, and points named in one
	MaxPoints = 160 // named in one question, in all its ranges
)

const (
	pointSize = 16
	itemSize  = 32
	partSize  = 20
)

var (
	// ErrQuestion: a question breaks a rule.
	ErrQuestion = errors.New("question of reconciliation breaks a rule")

	// ErrAnswer: an answer breaks a rule, or contradicts another of the same peer.
	ErrAnswer = errors.New("answer of reconciliation breaks a rule")
)

// Range is what the asker wants to know of the points that begin with the Bits
// bits of Prefix: if Split is there, counts and fingerprints of the 2^Split ranges
// in it; if Points are, which of these there are, with their values; else all of
// its items.
type Range struct {
	Prefix uint64 `cbor:"1,keyasint"`
	Bits   uint64 `cbor:"2,keyasint"`
	Split  uint64 `cbor:"3,keyasint,omitempty"`
	Points []byte `cbor:"4,keyasint,omitempty"` // 16 bytes each, ascending
}

// span is the least and the greatest lead in the range.
func (r Range) span() (least, most uint64) {
	if r.Bits == 0 {
		return 0, ^uint64(0)
	}
	least = r.Prefix << (64 - r.Bits)
	return least, least | ^uint64(0)>>r.Bits
}

// child is number i of the 2^Split ranges that r is divided into.
func (r Range) child(i int) Range {
	return Range{Prefix: r.Prefix<<r.Split | uint64(i), Bits: r.Bits + r.Split}
}

// holds reports whether a point begins as the range's do.
func (r Range) holds(point []byte) bool {
	least, most := r.span()
	lead := binary.BigEndian.Uint64(point)
	return least <= lead && lead <= most
}

// Check holds a question's ranges to the rules. The error wraps ErrQuestion.
func Check(ranges []Range) error {
	if len(ranges) == 0 || len(ranges) > MaxRanges {
		return fmt.Errorf("%w: %d ranges", ErrQuestion, len(ranges))
	}
	points := 0
	for _, r := range ranges {
		if r.Bits > MaxBits || r.Prefix>>r.Bits != 0 || r.Split > MaxSplit || r.Bits+r.Split > MaxBits {
			return fmt.Errorf("%w: a range that cannot be", ErrQuestion)
		}
		if len(r.Points) == 0 {
			continue
		}
		if r.Split > 0 || len(r.Points) > MaxItems*pointSize || !r.ascend(r.Points, pointSize) {
			return fmt.Errorf("%w: points out of order or place", ErrQuestion)
		}
		points += len(r.Points) / pointSize
	}
	if points > MaxPoints {
		return fmt.Errorf("%w: %d points", ErrQuestion, points)
	}
	return nil
}

// ascend reports whether data are whole records of a size, that begin with points
// of the range, ascending strictly.
func (r Range) ascend(data []byte, size int) bool {
	if len(data)%size != 0 {
		return false
	}
	for at := 0; at < len(data); at += size {
		point := data[at : at+pointSize]
		if !r.holds(point) || at > 0 && bytes.Compare(data[at-size:at-size+pointSize], point) >= 0 {
			return false
		}
	}
	return true
}

// Told is the answer to one Range: Parts, of the ranges in it, if it was divided;
// else Items.
type Told struct {
	Parts []byte `cbor:"1,keyasint,omitempty"` // 20 bytes each: count (4, big-endian) and fingerprint
	Items []byte `cbor:"2,keyasint,omitempty"` // 32 bytes each: point and value, ascending
}

// Part says which items are in a range: how many, and their fingerprint, all zero
// where there are none.
type Part struct {
	Count uint32
	Sum   [16]byte
}

// parts reads the answer to a range that was divided.
func (r Range) parts(t Told) ([]Part, error) {
	if len(t.Items) > 0 || len(t.Parts) != partSize<<r.Split {
		return nil, fmt.Errorf("%w: %d bytes of parts for %d ranges", ErrAnswer, len(t.Parts), 1<<r.Split)
	}
	out := make([]Part, 1<<r.Split)
	for i := range out {
		record := t.Parts[i*partSize:][:partSize]
		out[i].Count = binary.BigEndian.Uint32(record)
		copy(out[i].Sum[:], record[4:])
		if out[i].Count == 0 && out[i].Sum != [16]byte{} {
			return nil, fmt.Errorf("%w: a fingerprint of nothing", ErrAnswer)
		}
	}
	return out, nil
}

// items reads the answer to a range that was not divided. They may be used as long
// as t is not changed.
func (r Range) items(t Told) ([][]byte, error) {
	if len(t.Parts) > 0 || len(t.Items) > MaxItems*itemSize || !r.ascend(t.Items, itemSize) {
		return nil, fmt.Errorf("%w: items out of order or place", ErrAnswer)
	}
	var out [][]byte
	for at := 0; at < len(t.Items); at += itemSize {
		out = append(out, t.Items[at:at+itemSize])
	}
	return out, nil
}

// Check holds an answer to the rules that do not depend on what was asked. The error
// wraps ErrAnswer.
func (t Told) Check() error {
	if len(t.Parts) > 0 && len(t.Items) > 0 || len(t.Parts)%partSize != 0 || len(t.Parts) > partSize<<MaxSplit ||
		len(t.Items)%itemSize != 0 || len(t.Items) > MaxItems*itemSize {
		return fmt.Errorf("%w: %d bytes of parts, %d of items", ErrAnswer, len(t.Parts), len(t.Items))
	}
	return nil
}
