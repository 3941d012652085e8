package codec

import (
	"fmt"
	"math/bits"
)

// MaxRefs is the most refs that one index blob lists.
const MaxRefs = 1024

// Validate reports whether f could be a file at all: its depth is at most
// MaxDepth, its sizes agree, and a tree of that depth can hold that size. It
// wraps ErrIndex. It says nothing about the blobs. Depth 1 can hold any size
// that depth 0 can: if the index has parity, which only the blob tells.
func (f File) Validate() error { return f.validate(MaxRefs) }

func (f File) validate(maxRefs uint64) error {
	if f.Depth > MaxDepth {
		return fmt.Errorf("depth %d, limit %d: %w", f.Depth, MaxDepth, ErrIndex)
	}
	if f.Size != f.Root.Size {
		return fmt.Errorf("file of %d bytes has a root of %d: %w", f.Size, f.Root.Size, ErrIndex)
	}
	least := uint64(0)
	if f.Depth > 1 { // one byte more than a tree one level lower holds
		least = span(MinChunkSize, int(f.Depth)-1, maxRefs) + 1
	}
	if most := span(MaxChunkSize, int(f.Depth), maxRefs); f.Size < least || f.Size > most {
		return fmt.Errorf("%d bytes at depth %d, want %d to %d: %w", f.Size, f.Depth, least, most, ErrIndex)
	}
	return nil
}

// span returns how many file bytes lie below a full ref whose blob is level
// levels above the chunks. It cannot overflow: 2 MiB * 1,024^3 is 2^51.
func span(chunkSize uint64, level int, maxRefs uint64) uint64 {
	for range level {
		chunkSize *= maxRefs
	}
	return chunkSize
}

func validChunkSize(n uint64) bool {
	return n >= MinChunkSize && n <= MaxChunkSize && bits.OnesCount64(n) == 1
}
