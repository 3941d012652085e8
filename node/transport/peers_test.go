package transport

import (
	"strings"
	"testing"
)

const (
	id1 = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	id2 = "12D3KooWPjceQrSwdWXPyLLeABRXmuqt69Rg3sBYbU1Nft9HyQ6X"
)

func TestPeersAreMergedByIDAndKeepTheirOrder(t *testing.T) {
	got, err := ParsePeers([]string{
		"/ip4/10.0.0.1/tcp/1/p2p/" + id2,
		" /ip4/10.0.0.2/tcp/2/p2p/" + id1 + "\n",
		"/dns4/example.org/tcp/3/p2p/" + id2,
		"/ip4/10.0.0.1/tcp/1/p2p/" + id2,
		"/ip6/::1/tcp/1/ipfs/" + id1,
		"/ip6zone/eth0/ip6/fe80::1/tcp/1/p2p/" + id1,
		"/dnsaddr/example.org/p2p/" + id1,
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || got[0].ID.String() != id2 || len(got[0].Addrs) != 2 || got[1].ID.String() != id1 || len(got[1].Addrs) != 4 {
		t.Fatalf("got %v", got)
	}
	if got[0].Addrs[1].String() != "/dns4/example.org/tcp/3" {
		t.Errorf("got %v: the id belongs to the peer, not to the address", got[0].Addrs)
	}
}

func TestNoPeersAreNoError(t *testing.T) {
	if got, err := ParsePeers(nil); err != nil || len(got) != 0 {
		t.Fatalf("got %v, %v", got, err)
	}
}

func TestBadPeerAddressesAreQuotedWithAnExample(t *testing.T) {
	for arg, want := range map[string]string{
		"":                                 "empty",
		"192.168.1.5:4001":                 "slash",
		"/ip4/192.168.1.5/tcp/4001":        "/p2p/",
		"/ip4/300.1.1.1/tcp/1/p2p/" + id1:  "300.1.1.1",
		"/ip4/10.0.0.1/tcp/1/p2p/nonsense": "nonsense",
		"/p2p/" + id1:                      "no address",
		"/ip4/10.0.0.1/p2p/" + id1:         "TCP",
		"/nonsense/1":                      "nonsense",
	} {
		_, err := ParsePeers([]string{arg})
		if err == nil {
			t.Errorf("%q was accepted", arg)
			continue
		}
		for _, part := range []string{want, peerExample} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q: %q does not say %q", arg, err, part)
			}
		}
	}
	if _, err := ParsePeers([]string{peerExample}); err != nil {
		t.Errorf("the example itself: %v", err)
	}
}

func FuzzParsePeers(f *testing.F) {
	f.Add(peerExample)
	f.Add("/dnsaddr/example.org/p2p/" + id1)
	f.Add("/p2p/" + id1)
	f.Fuzz(func(t *testing.T, arg string) {
		got, err := ParsePeers([]string{arg})
		if err != nil {
			return
		}
		if len(got) != 1 || len(got[0].Addrs) != 1 {
			t.Fatalf("%q gave %v", arg, got)
		}
		again, err := ParsePeers([]string{got[0].Addrs[0].String() + "/p2p/" + got[0].ID.String()})
		if err != nil || again[0].ID != got[0].ID || !again[0].Addrs[0].Equal(got[0].Addrs[0]) {
			t.Fatalf("%q does not come back: %v, %v", arg, again, err)
		}
	})
}
