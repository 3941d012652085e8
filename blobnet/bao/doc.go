// Package bao makes and checks proofs that bytes are a part of a blob, without
// the rest of it: Bao slices over the BLAKE3 tree of the blob with chunk groups
// of 16 KiB (blobnet.RangeAlign). docs/exchange.md says how a proof is laid out.
//
// The package is pure: it must never do I/O, start a goroutine, look inside a
// blob, give out a byte before it was verified, or allocate more than the range
// that was asked for on the word of a proof. The hashing is that of
// lukechampine.com/blake3; a slice is the same as that of its package bao, but
// that is made for readers and writers and copies what it hashes.
package bao
