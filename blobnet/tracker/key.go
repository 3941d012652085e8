package tracker

import (
	"encoding/hex"
	"fmt"

	"github.com/ipfs/go-cid"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	mh "github.com/multiformats/go-multihash"
)

// Key is what peers are looked up by: 32 bytes that look random, such as a
// channel's discovery key, a topic's key or a blob's id. It says nothing about
// what it stands for.
type Key [32]byte

// String returns the key as 64 lower-case hex digits.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// multihash is the key as the DHT wants it; a blob's id gives the
// multihash of its IPFS name.
func (k Key) multihash() mh.Multihash {
	return append(mh.Multihash{mh.SHA2_256, byte(len(k))}, k[:]...)
}

func (k Key) cid() cid.Cid { return cid.NewCidV1(cid.Raw, k.multihash()) }

// Kind says what an Event tells.
type Kind string

// The kinds of events.
const (
	// Connected: a static peer was reached, at first or after an outage.
	Connected Kind = "connected"
	// Unreachable: a static peer could not be reached, for Err. Told once an
	// outage; the attempts go on.
	Unreachable Kind = "unreachable"
	// Found: Peer at Addrs appeared on the local network.
	Found Kind = "found"
	// NoLAN: the local network cannot be searched, for Err. The attempts go on.
	NoLAN Kind = "no-lan"
	// Announced: Key is stored with Count peers.
	Announced Kind = "announced"
	// Late: Count keys are an hour or more behind with being announced, so
	// that their records may expire. Told at most once an hour.
	Late Kind = "late"
)

// Event is something that happened. Fields that its Kind does not name are
// zero, but Peer and Addrs are set wherever one peer is meant.
type Event struct {
	Kind  Kind
	Peer  peer.ID
	Addrs []ma.Multiaddr
	Key   Key
	Count int
	Err   error
}

// String is the event in words, for logs.
func (e Event) String() string {
	switch e.Kind {
	case Connected:
		return fmt.Sprintf("connected to %s at %s", e.Peer, e.Addrs)
	case Unreachable:
		return fmt.Sprintf("cannot reach %s at %s: %v", e.Peer, e.Addrs, e.Err)
	case Found:
		return fmt.Sprintf("found %s on the local network at %s", e.Peer, e.Addrs)
	case NoLAN:
		return fmt.Sprintf("cannot search the local network: %v", e.Err)
	case Announced:
		return fmt.Sprintf("announced %s to %d peers", e.Key, e.Count)
	case Late:
		return fmt.Sprintf("%d keys are late in being announced", e.Count)
	}
	return string(e.Kind)
}
