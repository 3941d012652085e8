// Package exchange moves blobs between two peers: the protocol /aml/blob/1 on
// libp2p streams, both ends of it. docs/exchange.md is the
// normative text.
//
// An Exchange serves the blobs of one store and hands out Peers, each of which
// is a blobnet.Source for what one remote peer has. Few long-lived streams
// carry all requests to a peer; responses come in frames of at most 64 KiB, so
// that a cancelled request stops within one frame and many requests share a
// stream.
//
// The package must never decide what to fetch or from whom (that is
// blobnet/fetch), look inside a blob, trust a byte before its SHA-256 was
// checked against the id, allocate on a peer's word before a limit was
// checked, or wait for a peer without a deadline.
package exchange

import "github.com/libp2p/go-libp2p/core/protocol"

// Protocol is the libp2p protocol id of this package.
const Protocol protocol.ID = "/aml/blob/1"
