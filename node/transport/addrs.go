package transport

import (
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// isPublic reports whether a lies outside of the local networks: a globally
// routed IP address, or a name, since a name can resolve to anything. Ranges
// that nobody routes (documentation, benchmarks) count as local.
func isPublic(a ma.Multiaddr) bool {
	return isName(a) || manet.IsPublicAddr(a)
}

// isName reports whether a begins with a host name instead of an IP address.
func isName(a ma.Multiaddr) bool {
	if len(a) == 0 {
		return false
	}
	switch a[0].Protocol().Code {
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return true
	}
	return false
}

// isLinkLocal reports whether a means something on one link only, so that it
// cannot be told to others.
func isLinkLocal(a ma.Multiaddr) bool {
	ip, err := manet.ToIP(a)
	return err == nil && (ip.IsLinkLocalUnicast() || ip.IsMulticast())
}

// rank orders addresses for a reader: loopback, local network, public, through
// a relay; of each, what needs the least of a machine first.
func rank(a ma.Multiaddr) int {
	where := 2
	switch {
	case isCircuit(a):
		where = 3
	case manet.IsIPLoopback(a):
		where = 0
	case !isPublic(a):
		where = 1
	}
	return where*kinds + int(kindOf(a))
}

// isCircuit reports whether a leads through a relay.
func isCircuit(a ma.Multiaddr) bool {
	for _, c := range a {
		if c.Protocol().Code == ma.P_CIRCUIT {
			return true
		}
	}
	return false
}

// A kind is a way of carrying bytes, in the order in which they are preferred
// where all else is equal: TCP with TLS costs least, for the kernel does most
// of it.
type kind int

const (
	kindTCP kind = iota
	kindQUIC
	kindWS
	kindWebTransport
	kindWebRTC
	kindOther
	kinds = int(kindOther) + 1
)

// kindOf tells by the parts of a what would carry the bytes; of an address
// through a relay, what would carry them to that.
func kindOf(a ma.Multiaddr) kind {
	k := kindOther
	for _, c := range a {
		switch c.Protocol().Code {
		case ma.P_TCP:
			k = kindTCP
		case ma.P_WS, ma.P_WSS:
			k = kindWS
		case ma.P_QUIC_V1:
			k = kindQUIC
		case ma.P_WEBTRANSPORT:
			k = kindWebTransport
		case ma.P_WEBRTC_DIRECT:
			k = kindWebRTC
		case ma.P_CIRCUIT:
			return k
		}
	}
	return k
}

func isIP(code int) bool { return code == ma.P_IP4 || code == ma.P_IP6 }
