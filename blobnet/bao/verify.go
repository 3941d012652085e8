package bao

import (
	"encoding/binary"
	"fmt"
	"slices"

	"lukechampine.com/blake3/guts"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Verify checks a proof of r and appends exactly the r.Length bytes from
// r.Offset on to dst, which grows at most once and may not overlap proof. A
// proof that is not one of these bytes of a blob of r.Size bytes with the hash
// r.Tree, to the last bit and without anything behind it, gives an error that
// wraps blobnet.ErrCorrupt. A range that is empty or not within r.Size is an
// error, too, and the caller's fault. On error dst is returned as it was.
func Verify(dst, proof []byte, r blobnet.Range) ([]byte, error) {
	if err := check(r.Size, r.Offset, r.Length); err != nil {
		return dst, fmt.Errorf("checking proof: %w", err)
	}
	if want := ProofSize(r.Size, r.Offset, r.Length); len(proof) != want {
		return dst, fmt.Errorf("checking proof: it has %d bytes, want %d: %w", len(proof), want, blobnet.ErrCorrupt)
	}
	if size := binary.LittleEndian.Uint64(proof); size != uint64(r.Size) {
		return dst, fmt.Errorf("checking proof: it is of a blob of %d bytes, want %d: %w", size, r.Size, blobnet.ErrCorrupt)
	}
	v := verifier{rest: proof[headerSize:], out: slices.Grow(dst, r.Length), start: r.Offset, end: r.Offset + r.Length}
	if !v.subtree(getCV(r.Tree[:]), 0, r.Size, guts.FlagRoot) {
		return dst, fmt.Errorf("checking proof: %w", blobnet.ErrCorrupt)
	}
	return v.out, nil
}

// verifier checks one proof, whose length is right.
type verifier struct {
	rest       []byte
	out        []byte
	start, end int // of the range
}

// subtree reports whether the next bytes of the proof belong to a subtree of n
// bytes from pos on that hashes to want, and appends what was asked for of it.
func (v *verifier) subtree(want cv, pos, n int, flags uint32) bool {
	switch {
	case !within(pos, n, v.start, v.end):
		return true
	case n <= group:
		b := v.take(n)
		if leaf(b, pos, flags) != want {
			return false
		}
		v.out = append(v.out, b[max(v.start-pos, 0):min(v.end-pos, n)]...)
		return true
	}
	b := v.take(parentSize)
	l, r := getCV(b), getCV(b[parentSize/2:])
	left := leftOf(n)
	return guts.ChainingValue(guts.ParentNode(l, r, &guts.IV, flags)) == want &&
		v.subtree(l, pos, left, 0) && v.subtree(r, pos+left, n-left, 0)
}

func (v *verifier) take(n int) []byte {
	b := v.rest[:n]
	v.rest = v.rest[n:]
	return b
}
