package transport

import (
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Delays of dials behind the first one. As soon as all dials under way have
// failed, the next begins at once, so that a delay costs time only where an
// address does not answer.
const (
	// nearStep is between the ways to one place on this machine or its local
	// network, where an answer comes within milliseconds.
	nearStep = 50 * time.Millisecond
	// farStep is the same for the Internet: a round trip (RFC 8305).
	farStep = 250 * time.Millisecond
	// farHeadStart is what addresses on this machine or its network have
	// before those outside.
	farHeadStart = 10 * time.Millisecond
	// relayDelay gives the direct ways a chance before a relay is troubled.
	relayDelay = time.Duration(kinds) * farStep
)

// rankDials is the libp2p DialRanker of a host: it says after which delay each
// address of one peer is dialled. The first connection wins, so what is fast
// comes first: this machine, its local network, the Internet, a relay; and of
// the ways to one place TCP with TLS, then QUIC, then what exists for
// browsers. (libp2p's own prefers QUIC, which costs a Go program two to three
// times as much per byte.) Hole punching has its own order and does not ask.
func rankDials(addrs []ma.Multiaddr) []network.AddrDelay {
	out := make([]network.AddrDelay, 0, len(addrs))
	var direct bool
	for _, a := range addrs {
		direct = direct || !isCircuit(a)
	}
	for _, a := range addrs {
		out = append(out, network.AddrDelay{Addr: a, Delay: dialDelay(a, direct)})
	}
	slices.SortStableFunc(out, func(a, b network.AddrDelay) int {
		if a.Delay != b.Delay {
			return int(a.Delay - b.Delay)
		}
		return rank(a.Addr) - rank(b.Addr)
	})
	return out
}

// dialDelay is when a is dialled; direct says whether the peer has any address
// that needs no relay.
func dialDelay(a ma.Multiaddr, direct bool) time.Duration {
	place := time.Duration(kindOf(a))
	switch {
	case isCircuit(a) && direct:
		return relayDelay + place*farStep
	case isCircuit(a):
		return place * farStep
	case manet.IsIPLoopback(a):
		return place * nearStep
	case !isPublic(a):
		return place*nearStep + nearStep/10
	}
	return farHeadStart + place*farStep
}
