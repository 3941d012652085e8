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
	// quicHeadStart is how many steps TCP is behind QUIC where holes are to be
	// punched: more than one, for with the first relay reached by TCP alone
	// nobody would know this host's address for QUIC, and no hole be punched
	// to one who offers only that.
	quicHeadStart = 6
	// relayDelay gives the direct ways a chance before a relay is troubled.
	relayDelay = time.Duration(kinds) * farStep
)

// dialRanker returns the libp2p DialRanker of a host: it says after which delay
// each address of one peer is dialled. The first connection wins, so what is
// fast comes first: this machine, its local network, the Internet, a relay; and
// of the ways to one place TCP with TLS, then QUIC, then what exists for
// browsers. (libp2p's own prefers QUIC, which costs a Go program two to three
// times as much per byte.)
//
// A host that is to punch holes by QUIC dials the Internet by QUIC first: holes
// are made for UDP with more luck than for TCP, and peers have to see by which
// address its UDP comes. The punching itself has its own order and does not
// ask here.
func dialRanker(punch bool) network.DialRanker {
	return func(addrs []ma.Multiaddr) []network.AddrDelay {
		out := make([]network.AddrDelay, 0, len(addrs))
		direct := slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool { return !isCircuit(a) })
		for _, a := range addrs {
			out = append(out, network.AddrDelay{Addr: a, Delay: dialDelay(a, direct, punch)})
		}
		slices.SortStableFunc(out, func(a, b network.AddrDelay) int {
			if a.Delay != b.Delay {
				return int(a.Delay - b.Delay)
			}
			return rank(a.Addr) - rank(b.Addr)
		})
		return out
	}
}

// dialDelay is when a is dialled; direct says whether the peer has any address
// that needs no relay.
func dialDelay(a ma.Multiaddr, direct, punch bool) time.Duration {
	place := time.Duration(kindOf(a))
	if !isCircuit(a) && !isPublic(a) {
		if manet.IsIPLoopback(a) {
			return place * nearStep
		}
		return place*nearStep + nearStep/10
	}
	switch {
	case punch && isQUIC(a):
		place = 0
	case punch && kindOf(a) == kindTCP:
		place = quicHeadStart
	}
	switch {
	case isCircuit(a) && direct:
		return relayDelay + place*farStep
	case isCircuit(a):
		return place * farStep
	}
	return farHeadStart + place*farStep
}

func isQUIC(a ma.Multiaddr) bool { return kindOf(a) == kindQUIC }
