package copies

import "net/netip"

// Class says what is known of where a peer is.
type Class string

// The classes of addresses.
const (
	Loopback Class = "loopback" // this machine
	LAN      Class = "lan"      // a private network
	Public   Class = "public"
	Unknown  Class = "unknown" // its address is not known: it is reached through a relay
)

// Network names the network of an address, which is what few people can have many
// of: the first 24 bits of an IPv4 address, the first 48 of an IPv6 address. Peers
// on this machine are counted each by itself, for whoever tries things out; those
// without an address all as one, since nobody knows.
func Network(ip netip.Addr, peer string) (string, Class) {
	ip = ip.Unmap().WithZone("")
	switch {
	case !ip.IsValid():
		return "unknown", Unknown
	case ip.IsLoopback():
		return "loopback " + peer, Loopback
	}
	bits := 48
	if ip.Is4() {
		bits = 24
	}
	class := Public
	if ip.IsPrivate() || ip.IsLinkLocalUnicast() {
		class = LAN
	}
	p, err := ip.Prefix(bits)
	if err != nil {
		return "unknown", Unknown
	}
	return p.String(), class
}
