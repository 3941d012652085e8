// Package attack is where somebody who asks "what if a peer does this?" finds
// the answer: for each row of the threat model in CHANNELS.md a test of its
// name, in a file of its own. It has no code, only tests.
//
// In each of them honest nodes, made of the rooms that real ones are made of
// (gossip, catalogue, exchange, fetch, subscriber), meet an adversary over real
// connections. The adversary is one of three. An adversary has nothing but a
// libp2p host, and sends any bytes in any protocol (adversary_test.go); what it
// knows of the protocols is written from CHANNELS.md and docs, not from the
// code. A liar speaks sync and gossip as everybody does, but over a ledger that
// says what it likes (liar_test.go). A thief has somebody's key
// (world_test.go).
//
// A test shows two things: that the attack fails, or does what CHANNELS.md
// says it does and no more; and that the honest rest goes on, which means
// that a release published during or after the attack arrives, verified.
package attack
