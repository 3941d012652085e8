// Package public tells addresses of the Internet from those of this machine and its
// networks, for whatever follows an address that a stranger has given. It looks at the
// address that is about to be connected to, never at a name, which may be another one
// the next time. It must never be asked about addresses that a user has given.
package public

import "net/netip"

// special are the blocks of the IANA's registries of special purposes that net/netip
// does not tell from the Internet.
var special = [...]netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),       // this network
	netip.MustParsePrefix("100.64.0.0/10"),   // providers' own networks
	netip.MustParsePrefix("192.0.0.0/24"),    // protocols
	netip.MustParsePrefix("192.0.2.0/24"),    // documentation
	netip.MustParsePrefix("192.88.99.0/24"),  // relays of 6to4
	netip.MustParsePrefix("198.18.0.0/15"),   // benchmarks
	netip.MustParsePrefix("198.51.100.0/24"), // documentation
	netip.MustParsePrefix("203.0.113.0/24"),  // documentation
	netip.MustParsePrefix("240.0.0.0/4"),     // reserved
	netip.MustParsePrefix("::/96"),           // IPv4, long ago
	netip.MustParsePrefix("64:ff9b:1::/48"),  // NAT64 of a network of one's own
	netip.MustParsePrefix("100::/64"),        // discarded
	netip.MustParsePrefix("2001::/23"),       // protocols; Teredo, whose IPv4 addresses are behind NATs
	netip.MustParsePrefix("2001:db8::/32"),   // documentation
	netip.MustParsePrefix("3fff::/20"),       // documentation
	netip.MustParsePrefix("5f00::/16"),       // segment routing
	netip.MustParsePrefix("fec0::/10"),       // private, long ago
}

// Where an IPv4 address lies in an IPv6 address that leads to it.
var (
	nat64  = netip.MustParsePrefix("64:ff9b::/96")
	sixTo4 = netip.MustParsePrefix("2002::/16")
)

// Addr reports whether an address is one of the Internet, and so no business of this
// machine's networks. It goes by the registries of special-purpose addresses of the IANA
// (RFC 6890), and by the IPv4 address in one of NAT64 (RFC 6052) or 6to4 (RFC 3056).
func Addr(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if b := a.As16(); nat64.Contains(a) {
		a = netip.AddrFrom4([4]byte(b[12:]))
	} else if sixTo4.Contains(a) {
		a = netip.AddrFrom4([4]byte(b[2:6]))
	}
	for _, block := range special {
		if block.Contains(a) {
			return false
		}
	}
	return a.IsGlobalUnicast() && !a.IsPrivate()
}
