// Package fetch gets blobs from whoever has them: the local store first, then
// many peers at once.
//
// A Swarm is a blobnet.Source over a changing set of peers. It keeps what is
// wanted in one queue per class, from which a peer that has become free takes
// the first blob that it can give (queue.go); it measures how fast each peer is
// and asks it for as much as that calls for (window.go); it finds out who has
// what (haves.go), so that fetchers of one source exchange what they have
// (rivals.go); it asks another peer for what is slow (race.go), in parts where
// peers give them (ranges.go); it moves a request on when a peer fails and bans
// who lies (settle.go, bans.go); and it stores what it gets, so that a second
// run asks only for what is missing. Each walks a sequence of blobs with many
// requests outstanding and bounded memory.
//
// The package must never open a blob, know how a peer is reached, choose which
// blobs are wanted, or deliver a byte that was not checked against its id or
// tree. It starts no goroutine that outlives the calls that need it.
package fetch
