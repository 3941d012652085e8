package blobnet

import "context"

// RangeAlign is the unit in bytes in which parts of a blob are verified: Bao
// with chunk groups of 16 KiB. A range that is not aligned to it costs the bytes
// up to the next boundary on each side.
const RangeAlign = 16 << 10

// Range is a part of a blob that can be verified without the rest: Length bytes
// from Offset on, of a blob of Size bytes whose BLAKE3 hash is Tree. Who asks
// knows Size and Tree from what refers to the blob.
type Range struct {
	Tree   [32]byte
	Size   int
	Offset int
	Length int
}

// Ranger is a Source that gives parts of blobs.
//
// GetRange appends the part r of the blob named id to dst and returns the
// extended slice, under the same rules as Source.Get, but that the bytes were
// checked against r.Tree instead of id. Bytes that do not fit r.Tree give an
// error that wraps ErrCorrupt; a Range that lies outside of the blob, or that
// is empty, is the caller's fault and an error of its own.
type Ranger interface {
	GetRange(ctx context.Context, id ID, r Range, dst []byte) ([]byte, error)
}

// Class is what bytes are moved for. Where capacity is short a lower Class goes
// first, and each Class can have a rate limit of its own.
type Class uint8

// The classes, the most urgent first.
const (
	Stream     Class = iota // a reader waits for these bytes
	Foreground              // a file is being fetched
	Prefetch                // somebody may want them soon
	Repair                  // copies are being kept
	Classes                 // how many there are
)

var classNames = [Classes]string{"stream", "foreground", "prefetch", "repair"}

// String returns the class as configuration files and reports spell it.
func (c Class) String() string {
	if c < Classes {
		return classNames[c]
	}
	return "unknown class"
}
