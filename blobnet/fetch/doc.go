// Package fetch gets blobs from whoever has them: the local store first, then
// many peers at once.
//
// A Swarm is a blobnet.Source over a changing set of peers. It spreads
// requests over them within a window of bytes per peer, remembers who does not
// have what, moves a request on when a peer fails, is slow or lies, and stores
// what it gets, so that a second run asks only for what is missing. Each walks
// a sequence of blobs with many requests outstanding and bounded memory.
//
// The package must never open a blob, know how a peer is reached, choose which
// blobs are wanted, or deliver a byte that was not checked against its id. It
// starts no goroutine that outlives the calls that need it.
package fetch
