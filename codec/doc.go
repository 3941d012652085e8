// Package codec turns a file into sealed blobs and back: chunking, padding,
// sealing, the index tree, random access, and the inventory that lists a
// release's blobs in clear.
//
// The format is normative in docs/blobs.md; this package is its only
// implementation. Encode writes a file, NewReader reads one, Chunks and Blobs
// walk its tree without opening a chunk. All of them work in memory that does
// not grow with the file.
//
// The package must never touch the network, know where or how a blob is
// stored, name a file or a channel, or hand out plaintext that was not
// authenticated. Blobs, refs and indexes come from strangers: every size and
// count in them is checked before anything is allocated for it.
package codec
