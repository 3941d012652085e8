package transport

import (
	"fmt"
	"slices"

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

// rank orders addresses for a reader: loopback, local network, public.
func rank(a ma.Multiaddr) int {
	switch {
	case manet.IsIPLoopback(a):
		return 0
	case !isPublic(a):
		return 1
	}
	return 2
}

// announcer returns the libp2p AddrsFactory: of all addresses of all
// interfaces, those on loopback and local networks, and public ones only if
// the user listens on just that address. The extra ones are added as they are.
func announcer(listen, extra []ma.Multiaddr) func([]ma.Multiaddr) []ma.Multiaddr {
	var named []string // IP addresses that the user listens on by name
	for _, a := range listen {
		if ip, err := manet.ToIP(a); err == nil && !ip.IsUnspecified() {
			named = append(named, ip.String())
		}
	}
	return func(all []ma.Multiaddr) []ma.Multiaddr {
		out := make([]ma.Multiaddr, 0, len(all)+len(extra))
		for _, a := range all {
			ip, err := manet.ToIP(a)
			if err != nil {
				continue
			}
			if slices.Contains(named, ip.String()) || (!isPublic(a) && !isLinkLocal(a) && !ip.IsUnspecified()) {
				out = append(out, a)
			}
		}
		return append(out, extra...)
	}
}

// checkListen refuses what this host cannot listen on.
func checkListen(a ma.Multiaddr) error {
	if len(a) == 2 && isIP(a[0].Protocol().Code) && a[1].Protocol().Code == ma.P_TCP {
		return nil
	}
	return fmt.Errorf("cannot listen on %s: want an IP address and a TCP port, for example /ip4/127.0.0.1/tcp/4001, or /ip4/0.0.0.0/tcp/0 for all interfaces and any free port", a)
}

// checkDial refuses addresses that this host could never dial, so that the
// user hears of it at once.
func checkDial(a ma.Multiaddr) error {
	codes := make([]int, 0, len(a))
	for _, c := range a {
		if c.Protocol().Code != ma.P_IP6ZONE {
			codes = append(codes, c.Protocol().Code)
		}
	}
	switch {
	case slices.Contains(codes, ma.P_CIRCUIT):
		return fmt.Errorf("it leads through a relay, which this version does not use")
	case len(codes) == 1 && codes[0] == ma.P_DNSADDR:
		return nil
	case len(codes) == 2 && codes[1] == ma.P_TCP && (isIP(codes[0]) || isName(a)):
		return nil
	}
	return fmt.Errorf("only plain TCP addresses can be dialled")
}

func isIP(code int) bool { return code == ma.P_IP4 || code == ma.P_IP6 }

// withFreePort is a with port 0.
func withFreePort(a ma.Multiaddr) ma.Multiaddr {
	ip, _ := ma.SplitFirst(a)
	if ip == nil {
		return defaultListen()[0]
	}
	return ip.Multiaddr().Encapsulate(ma.StringCast("/tcp/0"))
}
