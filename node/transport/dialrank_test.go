package transport

import (
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func TestDialOrder(t *testing.T) {
	const circuit = "/ip4/7.7.7.7/tcp/4/p2p/" + anyID + "/p2p-circuit"
	want := addrs(
		"/ip4/127.0.0.1/tcp/1", "/ip4/192.168.1.5/tcp/1", "/ip4/8.8.8.8/tcp/1", "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/192.168.1.5/udp/1/quic-v1",
		"/ip4/127.0.0.1/tcp/2/ws", "/ip4/8.8.8.8/udp/1/quic-v1", "/ip4/8.8.8.8/tcp/2/ws", "/ip4/8.8.8.8/udp/1/quic-v1/webtransport", "/ip4/8.8.8.8/udp/1/webrtc-direct", circuit)
	mixed := slices.Clone(want)
	slices.Reverse(mixed)
	ranked := dialRanker(false)(mixed)
	for i, r := range ranked {
		if !r.Addr.Equal(want[i]) {
			t.Errorf("place %d has %s after %v, want %s", i, r.Addr, r.Delay, want[i])
		}
	}
	if ranked[0].Delay != 0 || ranked[2].Delay != farHeadStart {
		t.Errorf("the first ones wait for %v and %v", ranked[0].Delay, ranked[2].Delay)
	}
	if alone := dialRanker(false)(addrs(circuit)); alone[0].Delay != 0 {
		t.Errorf("a peer that is only behind a relay waits for %v", alone[0].Delay)
	}
	punching := dialRanker(true)(addrs("/ip4/8.8.8.8/tcp/1", "/ip4/8.8.8.8/udp/1/quic-v1", "/ip4/192.168.1.5/tcp/1", "/ip4/192.168.1.5/udp/1/quic-v1"))
	for i, want := range addrs("/ip4/192.168.1.5/tcp/1", "/ip4/8.8.8.8/udp/1/quic-v1", "/ip4/192.168.1.5/udp/1/quic-v1", "/ip4/8.8.8.8/tcp/1") {
		if !punching[i].Addr.Equal(want) {
			t.Errorf("a host that punches holes dials %s in place %d, want %s", punching[i].Addr, i, want)
		}
	}
}

func TestOfAllTransportsLoopbackUsesTCPWithTLS(t *testing.T) {
	a, b := newHost(t, Config{Listen: addrs(everyKind...)}), newHost(t, Config{})
	if len(a.Addrs()) != len(everyKind) {
		t.Fatalf("listens on %s", a.Addrs())
	}
	mixed := slices.Clone(a.Addrs())
	slices.SortFunc(mixed, func(x, y ma.Multiaddr) int { return rank(y) - rank(x) })
	if err := b.Connect(soon(t), peer.AddrInfo{ID: a.ID(), Addrs: mixed}); err != nil {
		t.Fatal(err)
	}
	conns := b.Network().ConnsToPeer(a.ID())
	if len(conns) != 1 || kindOf(conns[0].RemoteMultiaddr()) != kindTCP || conns[0].ConnState().Security != "/tls/1.0.0" {
		t.Fatalf("connected by %v", conns)
	}
}

func TestWhereTCPIsRefusedTheNextTransportIsTriedAtOnce(t *testing.T) {
	a, b := newHost(t, Config{Listen: addrs("/ip4/127.0.0.1/udp/0/quic-v1")}), newHost(t, Config{})
	closed := newHost(t, Config{})
	refused := closed.Addrs()
	if err := closed.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Connect(soon(t), peer.AddrInfo{ID: a.ID(), Addrs: append(refused, a.Addrs()...)}); err != nil {
		t.Fatal(err)
	}
}
