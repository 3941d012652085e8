// Package stream reads a file that is not here yet: at any offset, soon, and
// without fetching much more than is read.
//
// A File is what several Readers of one file share: its index, the chunks that
// were opened, and the requests under way. A Reader asks for just the 64 KiB
// that it needs first, verified by themselves, and widens as it goes on: to
// whole blobs, and to as many seconds ahead as Config.Ahead says. What is ahead
// is fetched while the caller uses what it has, but only because the caller
// reads: one who stops reading stops the fetching too, wherever he said that he
// wants to read to.
//
// The package must never give out a byte that was not authenticated by the
// file's root, fetch more ahead than its bounds, or let a goroutine outlive
// Close. Where blobs come from is its Source's matter (blobnet/fetch.Swarm is
// one). docs/stream.md says how it decides.
package stream
