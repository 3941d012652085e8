package codec

import "errors"

// One sentinel per decision that a caller makes; test with errors.Is. Errors of
// a blobnet.Source or a Putter come through wrapped.
var (
	// ErrSealed: the key does not open these bytes. Either the ref is wrong,
	// or the bytes are: check them against the ref's ID to know whom to blame.
	ErrSealed = errors.New("sealed blob does not open")

	// ErrPadding: the blob opened, but its length or padding does not fit the
	// size that its ref states. Whoever sealed it lies about the size.
	ErrPadding = errors.New("padding of a sealed blob is wrong")

	// ErrIndex: a file's root or one of its index blobs is malformed, or
	// contradicts the sizes above it. The publisher's software is hostile or
	// broken; fetching again does not help.
	ErrIndex = errors.New("file index is malformed")

	// ErrHash: every blob opened, but the plaintext as a whole does not have
	// the SHA-256 that the File states.
	ErrHash = errors.New("plaintext does not have the stated SHA-256")

	// ErrInventory: an inventory blob is malformed, unsorted or inconsistent.
	ErrInventory = errors.New("inventory is malformed")

	// ErrCoding: the erasure coding is none that the format allows.
	ErrCoding = errors.New("erasure coding is not possible")

	// ErrTooLarge: more plaintext than the format can hold.
	ErrTooLarge = errors.New("too large")
)
