// Package gossip carries channels between nodes: it spreads what is new by
// gossipsub, and brings whoever comes late, or was away, to what it missed by
// the sync protocol, from any follower.
//
// Gossip is only a hint that there is something to fetch. Correctness never
// rests on it: a node that hears nothing but can reach one honest follower
// gets every release, in order, although the publisher may be gone. What may
// follow what is not decided here either; that is channel/feed, behind the
// Ledger.
//
// It must never accept something that the Ledger did not accept, pass on
// something that did not move the Ledger forward, punish a peer for what
// depends on this node's state or clock, answer for a channel that the Ledger
// does not know, fetch blobs, or keep anything that has to survive a restart.
// Whatever a peer sends is bounded in bytes, number and time before it is
// looked at.
package gossip
