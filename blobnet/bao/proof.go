package bao

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"

	"lukechampine.com/blake3/guts"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	group      = blobnet.RangeAlign // bytes of a leaf of the tree
	headerSize = 8                  // the blob's size, little endian
	parentSize = 64                 // the two chaining values below a node
)

// cv is a chaining value: the hash of a subtree.
type cv = [8]uint32

// check says whether a range is a part of a blob of size bytes.
func check(size, offset, length int) error {
	switch {
	case size < 0 || size > blobnet.MaxBlobSize:
		return fmt.Errorf("range in a blob of %d bytes, which none has", size)
	case length <= 0:
		return fmt.Errorf("range of %d bytes", length)
	case offset < 0 || length > size || offset > size-length:
		return fmt.Errorf("range of %d bytes at %d in a blob of %d", length, offset, size)
	}
	return nil
}

// ProofSize is the number of bytes of a proof of that range, which is the same
// for all blobs of size bytes; 0 if such a range there cannot be. No proof is
// longer than the largest blob by more than 8,200 bytes.
func ProofSize(size, offset, length int) int {
	if check(size, offset, length) != nil {
		return 0
	}
	return headerSize + sliceSize(0, size, offset, offset+length)
}

// sliceSize is what of a subtree with n bytes from pos on belongs to a proof of
// the bytes from start to end.
func sliceSize(pos, n, start, end int) int {
	if !within(pos, n, start, end) {
		return 0
	}
	if n <= group {
		return n
	}
	left := leftOf(n)
	return parentSize + sliceSize(pos, left, start, end) + sliceSize(pos+left, n-left, start, end)
}

// within reports whether some of the n bytes from pos on are in the range.
func within(pos, n, start, end int) bool { return pos < end && start < pos+n }

// leftOf is how many of a subtree's n bytes are in its left half: the largest
// power of two that leaves something.
func leftOf(n int) int { return 1 << (bits.Len(uint(n-1)) - 1) }

// Proof appends a proof of length bytes of blob from offset on to dst and
// returns the extended slice. It holds these bytes, rounded outward to groups,
// and what has to be hashed with them to get the blob's BLAKE3 hash. The whole
// blob is hashed, at some GB per second. dst grows at most once and may not
// overlap blob. A range that is empty or not within the blob is an error.
func Proof(dst, blob []byte, offset, length int) ([]byte, error) {
	if err := check(len(blob), offset, length); err != nil {
		return dst, fmt.Errorf("making proof: %w", err)
	}
	dst = slices.Grow(dst, ProofSize(len(blob), offset, length))
	p := prover{blob: blob, start: offset, end: offset + length}
	p.out = binary.LittleEndian.AppendUint64(dst, uint64(len(blob)))
	if len(blob) <= group {
		return append(p.out, blob...), nil
	}
	p.parent(0, len(blob))
	return p.out, nil
}

// prover writes one proof.
type prover struct {
	blob       []byte
	start, end int // of the range
	out        []byte
}

// parent writes the proof's part of a subtree of more than one group, and
// returns what its halves hash to.
func (p *prover) parent(pos, n int) (l, r cv) {
	at, in := len(p.out), within(pos, n, p.start, p.end)
	if in {
		p.out = p.out[:at+parentSize]
	}
	left := leftOf(n)
	l = p.subtree(pos, left)
	r = p.subtree(pos+left, n-left)
	if in {
		putCV(p.out[at:], &l)
		putCV(p.out[at+parentSize/2:], &r)
	}
	return l, r
}

// subtree writes the proof's part of a subtree that is not the whole tree, and
// returns its hash.
func (p *prover) subtree(pos, n int) cv {
	if n > group {
		l, r := p.parent(pos, n)
		return guts.ChainingValue(guts.ParentNode(l, r, &guts.IV, 0))
	}
	if within(pos, n, p.start, p.end) {
		p.out = append(p.out, p.blob[pos:pos+n]...)
	}
	return leaf(p.blob[pos:pos+n], pos, 0)
}

// leaf is the hash of one group, which begins at pos in the blob.
func leaf(b []byte, pos int, flags uint32) cv {
	counter := uint64(pos / guts.ChunkSize)
	var node guts.Node
	if len(b) == group {
		node = guts.CompressBuffer((*[group]byte)(b), group, &guts.IV, counter, 0)
	} else {
		var padded [group]byte // the assembly reads all of it
		copy(padded[:], b)
		node = guts.CompressBuffer(&padded, len(b), &guts.IV, counter, 0)
	}
	node.Flags |= flags
	return guts.ChainingValue(node)
}

func putCV(b []byte, c *cv) {
	for i, w := range c {
		binary.LittleEndian.PutUint32(b[4*i:], w)
	}
}

func getCV(b []byte) (c cv) {
	_ = b[31]
	for i := range c {
		c[i] = binary.LittleEndian.Uint32(b[4*i:])
	}
	return c
}
