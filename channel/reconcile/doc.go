// Package reconcile finds where two nodes differ that carry many channels in
// common, without naming each: range-based set reconciliation (Aljoscha Meyer,
// 2022), in which one end asks and the other only answers. It is a room of pure
// steps: questions come out, answers go in, and channel/gossip carries them.
//
// A channel is an Item: a point that stands for its name and a value that stands
// for its state, both hashed with a salt to which both ends contribute. So who does
// not know a channel learns nothing of it but that there is one, and what was said
// in one session means nothing in the next. The asker compares fingerprints of
// ranges of points, divides those that differ, and has the few items in the rest
// told. A point that only one end has is of no interest to either, and is told as
// seldom as that can be had.
//
// It must never do I/O, look at a clock, draw salt, or believe an answer further
// than the peer's own view: who lies about a range makes us ask for too much of it,
// by no more than the asker's own channels there, or for too little of that peer.
package reconcile
