package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func maddrs(list ...string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, s := range list {
		out = append(out, ma.StringCast(s))
	}
	return out
}

func TestOnlyAddressesOnTheLocalNetworkAreKept(t *testing.T) {
	got := lanAddrs(maddrs(
		"/ip4/192.168.1.5/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/fd00::1/tcp/1", "/ip4/169.254.1.1/tcp/1",
		"/ip4/8.8.8.8/tcp/1", "/ip6/2a00::1/tcp/1", // the Internet
		"/ip4/127.0.0.1/tcp/1", "/ip6/::1/tcp/1", "/ip4/0.0.0.0/tcp/1", // the victim's own machine
		"/dns4/victim.example/tcp/1", "/dns4/printer.local/tcp/1", "/dnsaddr/victim.example", // a name server
		"/ip4/224.0.0.251/tcp/1",
		"/ip4/10.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN/p2p-circuit",
	))
	want := maddrs("/ip4/192.168.1.5/tcp/1", "/ip4/10.0.0.1/tcp/1", "/ip6/fd00::1/tcp/1", "/ip4/169.254.1.1/tcp/1")
	if !slices.EqualFunc(got, want, ma.Multiaddr.Equal) {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func testLAN(t *testing.T) (*lan, *eventLog) {
	log := &eventLog{}
	return newLAN(newTestHost(t), "_test._udp", log.add), log
}

func TestPeerOnTheLANIsToldOnceAndListed(t *testing.T) {
	l, log := testLAN(t)
	for _, p := range []peer.AddrInfo{
		{ID: peerA, Addrs: maddrs("/ip4/10.0.0.1/tcp/1", "/ip4/8.8.8.8/tcp/1")},
		{ID: peerA, Addrs: maddrs("/ip4/10.0.0.2/tcp/1")},
		{ID: peerB, Addrs: maddrs("/ip4/8.8.8.8/tcp/1")},
		{ID: l.host.ID(), Addrs: maddrs("/ip4/10.0.0.1/tcp/1")},
		{ID: "", Addrs: maddrs("/ip4/10.0.0.1/tcp/1")},
	} {
		l.heard(p)
	}
	log.want(t, Found)
	got := l.list()
	if len(got) != 1 || got[0].ID != peerA || !slices.EqualFunc(got[0].Addrs, maddrs("/ip4/10.0.0.2/tcp/1"), ma.Multiaddr.Equal) {
		t.Fatalf("peers %v", got)
	}
}

func TestFloodOfLANPeersIsBoundedAndDoesNotPushOutTheFirst(t *testing.T) {
	l, log := testLAN(t)
	for i := range 4 * maxLAN {
		l.heard(peer.AddrInfo{ID: peer.ID(fmt.Sprint("peer", i)), Addrs: maddrs("/ip4/10.0.0.1/tcp/1")})
	}
	if n := len(l.list()); n != maxLAN || len(log.kinds()) != maxLAN {
		t.Fatalf("%d peers, %d events", n, len(log.kinds()))
	}
	if l.peers["peer0"] == nil {
		t.Fatal("the first one went")
	}
	l.expire(time.Now().Add(lanMemory - time.Second))
	if n := len(l.list()); n != maxLAN {
		t.Fatalf("%d peers left too early", n)
	}
	l.expire(time.Now().Add(lanMemory))
	if n := len(l.list()); n != 0 {
		t.Fatalf("%d peers left", n)
	}
}

func TestLANPeersAreDialledWithPauses(t *testing.T) {
	l, _ := testLAN(t)
	now := time.Now()
	l.heard(peer.AddrInfo{ID: peerA, Addrs: maddrs("/ip4/10.0.0.1/tcp/1")})
	if p, ok := l.nextDial(now); !ok || p.ID != peerA {
		t.Fatalf("got %v, %v", p, ok)
	}
	if p, ok := l.nextDial(now.Add(lanRetry - 1)); ok {
		t.Fatalf("dials %v again", p)
	}
	if _, ok := l.nextDial(now.Add(lanRetry)); !ok {
		t.Fatal("given up")
	}
	l.heard(peer.AddrInfo{ID: peerA, Addrs: maddrs("/ip4/10.0.0.1/tcp/1")}) // it is there again
	if _, ok := l.nextDial(now.Add(lanRetry)); !ok {
		t.Fatal("not dialled although it was heard")
	}
}

// fakeSearch is a start that sends nothing.
type fakeSearch struct {
	started chan []ma.Multiaddr
	closed  chan struct{}
	err     error
	heard   func(peer.AddrInfo)
}

func (f *fakeSearch) start(addrs []ma.Multiaddr, heard func(peer.AddrInfo), _ func(error)) (io.Closer, error) {
	f.heard = heard
	f.started <- addrs
	if f.err != nil {
		return nil, f.err
	}
	return f, nil
}

func (f *fakeSearch) Close() error { f.closed <- struct{}{}; return nil }

// lanFactory makes a host on loopback claim an address on a local network.
func lanFactory(own []ma.Multiaddr) []ma.Multiaddr {
	return append(own, ma.StringCast("/ip4/10.1.2.3/tcp/1"))
}

func startLAN(t *testing.T, l *lan) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- l.run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestSearchTellsLANAddressesOnlyAndEndsWithRun(t *testing.T) {
	log := &eventLog{}
	l := newLAN(newTestHost(t, libp2p.AddrsFactory(lanFactory)), "_test._udp", log.add)
	f := &fakeSearch{started: make(chan []ma.Multiaddr, 9), closed: make(chan struct{}, 9)}
	l.start = f.start
	stop := startLAN(t, l)
	if got := <-f.started; len(got) != 1 || got[0].String() != "/ip4/10.1.2.3/tcp/1" {
		t.Errorf("tells %s", got)
	}
	stop()
	if len(f.closed) != 1 || len(f.started) != 0 {
		t.Errorf("%d closed, %d started more", len(f.closed), len(f.started))
	}
}

func TestHeardPeerIsConnected(t *testing.T) {
	log := &eventLog{}
	l := newLAN(newTestHost(t, libp2p.AddrsFactory(lanFactory)), "_test._udp", log.add)
	f := &fakeSearch{started: make(chan []ma.Multiaddr, 9), closed: make(chan struct{}, 9)}
	l.start = f.start
	defer startLAN(t, l)()
	<-f.started
	other := newTestHost(t)
	// Its true address is on loopback, which is not taken from the air, so
	// the host has to know it already.
	l.host.Peerstore().AddAddrs(other.ID(), other.Addrs(), time.Hour)
	f.heard(peer.AddrInfo{ID: other.ID(), Addrs: maddrs("/ip4/10.255.255.1/tcp/1")})
	eventually(t, "connected", func() bool { return l.connected(other.ID()) })
}

func TestSearchThatCannotStartIsToldOnce(t *testing.T) {
	log := &eventLog{}
	l := newLAN(newTestHost(t, libp2p.AddrsFactory(lanFactory)), "_test._udp", log.add)
	f := &fakeSearch{started: make(chan []ma.Multiaddr, 9), err: errors.New("no multicast")}
	l.start = f.start
	stop := startLAN(t, l)
	<-f.started
	for range 10 {
		kick(l.wake)
	}
	stop()
	log.want(t, NoLAN)
	if len(f.started) != 0 {
		t.Errorf("started %d more times at once", len(f.started))
	}
}

func TestHostOnLoopbackSaysNothingOnTheLAN(t *testing.T) {
	l, log := testLAN(t)
	f := &fakeSearch{started: make(chan []ma.Multiaddr, 9)}
	l.start = f.start
	startLAN(t, l)()
	if len(f.started) != 0 || len(log.kinds()) != 0 {
		t.Error("searched")
	}
}

func TestTextRecordsAreReadAndGarbageIsNot(t *testing.T) {
	const id = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"
	got := parseMDNS([]string{"", "hello", "dnsaddr=", "dnsaddr=/nonsense", "dnsaddr=/ip4/10.0.0.1/tcp/1", "dnsaddr=/p2p/" + id,
		"dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/" + id, "dnsaddr=/ip4/10.0.0.2/tcp/1/p2p/" + id})
	if len(got) != 1 || got[0].ID.String() != id || len(got[0].Addrs) != 2 {
		t.Errorf("got %v", got)
	}
	many := make([]string, 10_000)
	for i := range many {
		many[i] = fmt.Sprintf("dnsaddr=/ip4/10.0.0.1/tcp/%d/p2p/%s", i, id)
	}
	if got := parseMDNS(many); len(got) != 1 || len(got[0].Addrs) > mdnsTexts {
		t.Errorf("%d addresses taken", len(got[0].Addrs))
	}
}

func FuzzParseMDNS(f *testing.F) {
	f.Add("dnsaddr=/ip4/10.0.0.1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")
	f.Add("dnsaddr=/ip6zone/eth0/ip6/fe80::1/tcp/1/p2p/12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN")
	f.Fuzz(func(t *testing.T, text string) {
		for _, p := range parseMDNS([]string{text, text}) {
			if p.ID == "" || len(p.Addrs) == 0 {
				t.Fatalf("got %v", p)
			}
			lanAddrs(p.Addrs)
		}
	})
}
