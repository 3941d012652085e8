package codec

import (
	"bytes"
	"math/bits"
)

// Bounds of a chunk, in bytes of plaintext. Chunk sizes are powers of two, so
// that a full chunk needs no padding.
const (
	MinChunkSize     = 64 << 10
	DefaultChunkSize = 1 << 20
	MaxChunkSize     = 2 << 20
)

// MinPadded is the least number of bytes that are ever sealed: Padme hides
// nothing of lengths that small.
const MinPadded = 512

// Padme returns the least length that is at least n and whose binary form has
// no more than log2(log2 n)+1 significant bits: at most 12 % over n, and so few
// values that a length tells O(log log n) bits (Nikitin et al., "Reducing
// Metadata Leakage from Encrypted Files and Communication with PURBs", 2019).
// Lengths under 2 are returned as they are; n must not be negative.
func Padme(n int) int {
	if n < 2 {
		return n
	}
	exponent := bits.Len(uint(n)) - 1
	significant := bits.Len(uint(exponent))
	mask := 1<<max(exponent-significant, 0) - 1
	return (n + mask) &^ mask
}

// PaddedSize returns how many bytes are sealed for n bytes of plaintext: Padme,
// but at least MinPadded. The blob is Overhead bytes longer.
func PaddedSize(n int) int { return max(Padme(n), MinPadded) }

var zeros [4096]byte // never written

func allZero(b []byte) bool {
	for len(b) > len(zeros) {
		if !bytes.Equal(b[:len(zeros)], zeros[:]) {
			return false
		}
		b = b[len(zeros):]
	}
	return bytes.Equal(b, zeros[:len(b)])
}
