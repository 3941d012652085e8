package transport

import (
	"net/netip"
	"slices"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

func announced(listen, extra []ma.Multiaddr, outside bool, all []ma.Multiaddr) []ma.Multiaddr {
	an := newAnnouncer(listen, extra, outside)
	an.bridges = func() map[netip.Addr]bool { return map[netip.Addr]bool{netip.MustParseAddr("172.17.0.1"): true} }
	return an.addrs(all)
}

func TestAnnouncedAddresses(t *testing.T) {
	const circuit = "/ip4/7.7.7.7/tcp/4/p2p/" + anyID + "/p2p-circuit"
	all := addrs("/ip4/127.0.0.1/tcp/4", "/ip4/192.168.1.5/tcp/4", "/ip4/10.1.1.1/tcp/4", "/ip4/172.17.0.1/tcp/4", "/ip4/169.254.3.3/tcp/4",
		"/ip4/8.8.8.8/tcp/4", "/ip4/9.9.9.9/udp/4/quic-v1", "/ip6/fd00::2/tcp/4", "/ip6/fe80::1/tcp/4", "/ip6/2a00::1/tcp/4", "/p2p-circuit",
		"/ip4/0.0.0.0/tcp/4", circuit)
	for _, c := range []struct {
		name          string
		listen, extra []ma.Multiaddr
		outside       bool
		all, want     []ma.Multiaddr
	}{
		{"one public address by name", addrs("/ip4/0.0.0.0/tcp/4", "/ip4/8.8.8.8/tcp/4"), addrs("/ip4/5.5.5.5/tcp/9"), false, all,
			addrs("/ip4/192.168.1.5/tcp/4", "/ip4/10.1.1.1/tcp/4", "/ip4/8.8.8.8/tcp/4", "/ip6/fd00::2/tcp/4", "/ip4/5.5.5.5/tcp/9")},
		{"default", nil, nil, false, all,
			addrs("/ip4/192.168.1.5/tcp/4", "/ip4/10.1.1.1/tcp/4", "/ip6/fd00::2/tcp/4")},
		{"to be reached from outside", nil, nil, true, all,
			addrs("/ip4/192.168.1.5/tcp/4", "/ip4/10.1.1.1/tcp/4", "/ip4/8.8.8.8/tcp/4", "/ip4/9.9.9.9/udp/4/quic-v1", "/ip6/fd00::2/tcp/4", "/ip6/2a00::1/tcp/4", circuit)},
		{"a bridge is all there is", nil, nil, false, all[3:4], all[3:4]},
		{"a bridge listened on by name", all[3:4], nil, false, all, addrs("/ip4/192.168.1.5/tcp/4", "/ip4/10.1.1.1/tcp/4", "/ip4/172.17.0.1/tcp/4", "/ip6/fd00::2/tcp/4")},
		{"loopback is all there is", nil, nil, false, all[:1], all[:1]},
	} {
		if got := announced(c.listen, c.extra, c.outside, c.all); !slices.EqualFunc(got, c.want, ma.Multiaddr.Equal) {
			t.Errorf("%s: announces %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestNamesOfContainerInterfaces(t *testing.T) {
	for name, want := range map[string]bool{"docker0": true, "br-1f2e3d": true, "virbr0": true, "vethab12": true, "eth0": false, "br0": false, "wlan0": false, "enp3s0": false, "tun0": false} {
		if isBridge(name) != want {
			t.Errorf("%s: got %v", name, !want)
		}
	}
}
