package erasure

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/klauspost/reedsolomon"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// ErrNotCoded: the file has no parity.
var ErrNotCoded = errors.New("file is not erasure-coded")

// Code computes parity for one coding. It may be used from many goroutines.
type Code struct {
	coding codec.Coding
	rs     reedsolomon.Encoder
}

var _ codec.Eraser = (*Code)(nil)

// New returns the Code of a coding. The error wraps codec.ErrCoding if the
// format does not allow it.
func New(coding codec.Coding) (*Code, error) {
	if err := coding.Validate(); err != nil || coding.IsZero() {
		return nil, fmt.Errorf("coding %v: %w", coding, errors.Join(codec.ErrCoding, err))
	}
	rs, err := reedsolomon.New(coding.Data, coding.Parity, reedsolomon.WithCauchyMatrix())
	if err != nil {
		return nil, fmt.Errorf("coding %v: %w", coding, err)
	}
	return &Code{coding, rs}, nil
}

// Parse reads "10+4": 10 data blobs and 4 parity blobs.
func Parse(s string) (codec.Coding, error) {
	data, parity, ok := strings.Cut(s, "+")
	k, err1 := strconv.Atoi(data)
	m, err2 := strconv.Atoi(parity)
	c := codec.Coding{Data: k, Parity: m}
	if !ok || err1 != nil || err2 != nil || c.IsZero() || c.String() != s {
		return codec.Coding{}, fmt.Errorf("%w: %q is not of the form 10+4", codec.ErrCoding, s)
	}
	if err := c.Validate(); err != nil {
		return codec.Coding{}, fmt.Errorf("%w: %w", codec.ErrCoding, err)
	}
	return c, nil
}

// Coding implements codec.Eraser.
func (c *Code) Coding() codec.Coding { return c.coding }

// Add implements codec.Eraser.
func (c *Code) Add(parity [][]byte, place int, blob []byte) error {
	return c.rs.EncodeIdx(blob, place, parity)
}

// LostError says that too many blobs of a stripe are lost. It wraps
// blobnet.ErrNotFound.
type LostError struct {
	Stripe codec.Stripe
	Here   int   // blobs of it that could be had
	Cause  error // why one of the others could not, if known
}

func (e *LostError) Error() string {
	s := e.Stripe
	what := "chunks"
	if s.Level > 0 {
		what = "index blobs"
	}
	text := fmt.Sprintf("stripe %d of the %s under index blob %s: %d of %d blobs are here, %d are needed",
		s.Number, what, s.Index.Short(), e.Here, len(s.Data)+len(s.Parity), len(s.Data))
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

// Unwrap returns blobnet.ErrNotFound.
func (e *LostError) Unwrap() error { return blobnet.ErrNotFound }

// members returns the blobs of s in the places that the code gives them; those
// that a short stripe lacks have no id.
func members(s codec.Stripe) []codec.Member {
	all := make([]codec.Member, s.Coding.Data, s.Coding.Data+s.Coding.Parity)
	copy(all, s.Data)
	return append(all, s.Parity...)
}

// solve makes the blobs at the places that lost names out of shards, one per
// place, nil where there is none. shards have their own lengths and are
// changed. What comes out was checked against its id.
func solve(s codec.Stripe, shards [][]byte, lost []int) (blobs map[int][]byte, err error) {
	code, err := New(s.Coding)
	if err != nil {
		return nil, err
	}
	all := members(s)
	longest := s.Parity[0].Size
	for i := range shards {
		if i >= len(s.Data) && i < s.Coding.Data {
			shards[i] = make([]byte, longest) // not there, and zero
		} else if shards[i] != nil {
			if len(shards[i]) != all[i].Size {
				return nil, fmt.Errorf("blob %s of a stripe has %d bytes, want %d: %w", all[i].ID.Short(), len(shards[i]), all[i].Size, codec.ErrIndex)
			}
			shards[i] = append(shards[i], make([]byte, longest-len(shards[i]))...)
		}
	}
	required := make([]bool, len(shards))
	for _, i := range lost {
		required[i] = true
		for j := range s.Coding.Data {
			required[j] = required[j] || i >= s.Coding.Data // parity is computed from all data
		}
	}
	if err := code.rs.ReconstructSome(shards, required); err != nil {
		return nil, fmt.Errorf("rebuilding: %w", err)
	}
	blobs = make(map[int][]byte, len(lost))
	for _, i := range lost {
		blob := shards[i][:all[i].Size]
		if blobnet.Sum(blob) != all[i].ID {
			return nil, fmt.Errorf("blob %s cannot be rebuilt: the parity is not that of the data: %w", all[i].ID.Short(), codec.ErrIndex)
		}
		blobs[i] = blob
	}
	return blobs, nil
}
