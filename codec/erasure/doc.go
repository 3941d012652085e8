// Package erasure protects the blobs of a file by Reed-Solomon parity: it makes
// parity while a file is encoded, gives blobs that are lost out of those that
// are not, and repairs a store.
//
// A Code is the codec.Eraser for codec.Config. A Source is a blobnet.Source that
// rebuilds what its own source has not. Repair puts back what a store lost. The
// format is in docs/blobs.md, its index in package codec.
//
// The package must never open a chunk, need more of a file's secrets than its
// root ref, or give out a blob that does not hash to its id.
package erasure
