package transport

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// announcer decides which of a host's addresses others are told.
type announcer struct {
	named   []string // IP addresses that the user listens on by name
	extra   []ma.Multiaddr
	outside bool // the user asked to be reached from anywhere

	bridges func() map[netip.Addr]bool // addresses of this machine's virtual bridges
}

func newAnnouncer(listen, extra []ma.Multiaddr, outside bool) *announcer {
	a := &announcer{extra: extra, outside: outside, bridges: new(bridgeAddrs).get}
	for _, l := range listen {
		if ip, err := manet.ToIP(l); err == nil && !ip.IsUnspecified() {
			a.named = append(a.named, ip.String())
		}
	}
	return a
}

// addrs is the libp2p AddrsFactory. Of all addresses of all interfaces it
// keeps those that make sense to others:
//   - local networks' ones, but those of virtual bridges (containers' and
//     virtual machines') only if nothing else is left;
//   - loopback only if nothing but this machine can reach the host at all;
//   - public ones only if the user listens on just that address, or asked to
//     be reached from anywhere: then what peers observed and what was not
//     found unreachable stays (libp2p takes out the rest before it asks);
//   - those through relays as they are, and what the user wants announced.
func (an *announcer) addrs(all []ma.Multiaddr) []ma.Multiaddr {
	var loopback, bridged []ma.Multiaddr
	out := make([]ma.Multiaddr, 0, len(all)+len(an.extra))
	bridges := an.bridges()
	for _, a := range all {
		if isCircuit(a) {
			if an.outside && len(a) > 1 { // a bare /p2p-circuit leads nowhere
				out = append(out, a)
			}
			continue
		}
		ip, err := manet.ToIP(a)
		if err != nil || ip.IsUnspecified() {
			continue
		}
		known, _ := netip.AddrFromSlice(ip)
		switch {
		case ip.IsLoopback():
			loopback = append(loopback, a)
		case slices.Contains(an.named, ip.String()):
			out = append(out, a)
		case isLinkLocal(a), isPublic(a) && !an.outside:
		case bridges[known.Unmap()]:
			bridged = append(bridged, a)
		default:
			out = append(out, a)
		}
	}
	if len(out) == 0 {
		out = append(out, bridged...)
	}
	if len(out) == 0 {
		out = append(out, loopback...)
	}
	return append(out, an.extra...)
}

// bridgeAddrs finds the addresses of interfaces that exist for containers and
// virtual machines on this machine only. The list is made anew at most once a
// minute, since libp2p asks often. Safe for use by several goroutines.
type bridgeAddrs struct {
	mu    sync.Mutex
	until time.Time
	addrs map[netip.Addr]bool
}

func (b *bridgeAddrs) get() map[netip.Addr]bool {
	b.mu.Lock()
	defer b.mu.Unlock() // the I/O below is one question to the kernel
	if now := time.Now(); now.After(b.until) {
		b.until = now.Add(time.Minute)
		b.addrs = listBridges()
	}
	return b.addrs
}

func listBridges() map[netip.Addr]bool {
	out := make(map[netip.Addr]bool)
	list, err := net.Interfaces()
	if err != nil {
		return out
	}
	for _, i := range list {
		if !isBridge(i.Name) {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue
		}
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil {
				out[p.Addr().Unmap()] = true
			}
		}
	}
	return out
}

// isBridge knows the names that container engines and hypervisors give their
// interfaces on the host's side.
func isBridge(name string) bool {
	for _, prefix := range []string{"docker", "br-", "veth", "virbr", "vmnet", "vboxnet", "cni", "flannel", "cali", "podman", "lxcbr", "lxdbr", "incusbr"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
