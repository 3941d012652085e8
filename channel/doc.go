// Package channel is the vocabulary and the formats of channels: what a root,
// a manifest, a head, a file entry, an envelope, a key, a name, a topic and an
// address are, how each is written as bytes, and when each is well formed and
// rightly signed. CHANNELS.md is the normative text of what is here.
//
// It is for every package that makes or reads something signed. Everything in
// it is a pure function of its arguments: it must never read a clock, touch
// the network, a file or a store, start a goroutine, or decide what may follow
// what (that is channel/feed).
//
// Whatever a decoder of this package returns without an error satisfies every
// limit and rule of CHANNELS.md, and encodes to the very bytes it came from.
// All values are safe for concurrent reading.
package channel
