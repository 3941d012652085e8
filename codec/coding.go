package codec

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Bounds of a Coding.
const (
	MinData   = 2
	MaxData   = 64
	MaxParity = 32
)

// Coding says how the blobs of a file are protected: each run of Data refs of
// an index, a stripe, has Parity blobs more, and any Data of them all suffice to
// make the rest. The zero Coding is none.
type Coding struct{ Data, Parity int }

// IsZero reports whether there is no parity.
func (c Coding) IsZero() bool { return c == Coding{} }

// Validate reports whether the format allows c: Data from MinData to MaxData,
// Parity from 1 to MaxParity and at most twice Data; or none.
func (c Coding) Validate() error {
	if c.IsZero() || c.Data >= MinData && c.Data <= MaxData && c.Parity >= 1 && c.Parity <= min(MaxParity, 2*c.Data) {
		return nil
	}
	return fmt.Errorf("coding %v: want %d to %d data blobs, and 1 to %d parity blobs but no more than twice as many", c, MinData, MaxData, MaxParity)
}

// String returns "10+4".
func (c Coding) String() string { return fmt.Sprintf("%d+%d", c.Data, c.Parity) }

// stripes returns into how many stripes refs refs of one index fall.
func (c Coding) stripes(refs int) int { return (refs + c.Data - 1) / c.Data }

// Eraser computes parity; package codec/erasure has one. It must do what
// docs/blobs.md says under "Parity".
type Eraser interface {
	// Coding returns what the parity is for; never the zero Coding.
	Coding() Coding
	// Add adds the blob at a place in its stripe, from 0 to Coding().Data-1, to
	// the stripe's parity: as many slices as Coding().Parity, each as long as
	// blob, that were zero before the first blob was added. Blobs may come in
	// any order, and calls for different stripes at the same time.
	Add(parity [][]byte, place int, blob []byte) error
}

// copyKey is the key of the nth copy of a root index, n from 1. It is the only
// key that is derived: whoever has the root's ref finds the copies by it, though
// nothing lists them.
func copyKey(root Key, n int) (key Key) {
	mac := hmac.New(sha256.New, root[:])
	mac.Write([]byte("aml root copy"))
	mac.Write([]byte{byte(n)})
	mac.Sum(key[:0])
	return key
}

// rootCopies seals the copies of a root index, one after another into buf.
func rootCopies(root Key, plain, buf []byte, n int, yield func(blobnet.ID, []byte) error) error {
	for i := 1; i <= n; i++ {
		blob, err := Seal(buf[:0], plain, copyKey(root, i))
		if err != nil {
			return err
		}
		buf = blob
		if err := yield(blobnet.Sum(blob), blob); err != nil {
			return err
		}
	}
	return nil
}

// MaxIndexBlob is how many bytes an index blob, and a copy of one, has at most.
const MaxIndexBlob = maxCodedBlob

// RestoreRoot makes the root index blob of f again out of a copy of it, and
// reports whether blob is one. It tries every key that a copy may have, first on
// the few bytes that any root index of f begins with.
func RestoreRoot(f File, blob []byte) (root []byte, ok bool) {
	if len(blob) > maxCodedBlob || f.Depth == 0 {
		return nil, false
	}
	begins := []byte{0xa6, 1, codedFormat, 2, f.Depth, 3} // six pairs, format, level
	if len(blob) < len(begins)+Overhead {
		return nil, false
	}
	for n := 1; n <= MaxParity; n++ {
		ref := Ref{Key: copyKey(f.Root.Key, n), Size: MinPadded}
		if first, err := OpenRange(nil, blob[:len(begins)], ref, 0); err != nil || !bytes.Equal(first, begins) {
			continue
		}
		plain, err := openPadded(nil, blob, ref)
		if err != nil {
			continue
		}
		root, err := Seal(nil, plain, f.Root.Key)
		return root, err == nil && blobnet.Sum(root) == f.Root.ID
	}
	return nil, false
}
