// Package wsbridge speaks the WebSocket protocol of seed document 001 byte for
// byte, so that any client or node of that document exchanges blobs with aml.
// docs/mirrors.md is the normative text.
//
// A Server serves the blobs of one store; a Peer is one remote node as a
// blobnet.Source, over one connection on which many requests are outstanding.
// Both sides of a connection do the same: they greet, answer, and tell what
// they have.
//
// The package must never decide what to fetch, look inside a blob, trust a byte
// before its SHA-256 was checked against the id, read a message whose limit was
// not set before, wait for a peer without a deadline, or tell the user and query
// of a URL, which may be secrets, to anybody but the peer.
package wsbridge
