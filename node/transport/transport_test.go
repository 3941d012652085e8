package transport

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"runtime/pprof"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

func newKey(t testing.TB) crypto.PrivKey {
	t.Helper()
	key, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// newHost listens on loopback only, unless cfg says otherwise.
func newHost(t testing.TB, cfg Config) *Host {
	t.Helper()
	if cfg.Identity == nil {
		cfg.Identity = newKey(t)
	}
	if cfg.Listen == nil {
		cfg.Listen = addrs("/ip4/127.0.0.1/tcp/0")
	}
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func addrs(list ...string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, s := range list {
		out = append(out, ma.StringCast(s))
	}
	return out
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func info(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func TestTwoHostsSpeakTLSAndYamuxOverTCP(t *testing.T) {
	a, b := newHost(t, Config{}), newHost(t, Config{})
	if err := a.Connect(soon(t), info(b)); err != nil {
		t.Fatal(err)
	}
	state := a.Network().ConnsToPeer(b.ID())[0].ConnState()
	if state.Security != "/tls/1.0.0" || state.StreamMultiplexer != "/yamux/1.0.0" || state.Transport != "tcp" {
		t.Fatalf("connection is %+v", state)
	}
}

func TestPeerThatSpeaksNoiseOnlyCanConnect(t *testing.T) {
	a := newHost(t, Config{})
	b, err := libp2p.New(libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.Connect(soon(t), info(a)); err != nil {
		t.Fatal(err)
	}
	if s := b.Network().ConnsToPeer(a.ID())[0].ConnState().Security; s != noise.ID {
		t.Fatalf("security is %s", s)
	}
}

func TestHostOffersNothingBeyondIdentifyAndPing(t *testing.T) {
	h := newHost(t, Config{})
	for _, p := range h.Mux().Protocols() {
		if !strings.HasPrefix(string(p), "/ipfs/id/") && !strings.HasPrefix(string(p), "/ipfs/ping/") {
			t.Errorf("host speaks %s", p)
		}
	}
}

func TestHostTellsNeitherVersionNorObservedAddresses(t *testing.T) {
	a, b := newHost(t, Config{}), newHost(t, Config{})
	sub, err := b.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	if err := b.Connect(soon(t), info(a)); err != nil {
		t.Fatal(err)
	}
	seen := (<-sub.Out()).(event.EvtPeerIdentificationCompleted)
	if seen.AgentVersion != "aml" || seen.ProtocolVersion != "/aml/1" {
		t.Errorf("host says it is %q %q", seen.AgentVersion, seen.ProtocolVersion)
	}
	if len(seen.ListenAddrs) != 1 || !seen.ListenAddrs[0].Equal(a.Addrs()[0]) {
		t.Errorf("host tells of %s, it listens on %s", seen.ListenAddrs, a.Addrs())
	}
}

func TestDefaultListensOnLoopbackAndAnnouncesNothingPublic(t *testing.T) {
	h, err := New(Config{Identity: newKey(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	all := Addrs(h)
	if len(all) == 0 || !strings.HasPrefix(all[0].String(), "/ip4/127.0.0.1/tcp/") ||
		!strings.HasSuffix(all[0].String(), "/p2p/"+h.ID().String()) {
		t.Fatalf("addresses %s: want loopback first, with the peer id", all)
	}
	for _, a := range h.Addrs() {
		if isPublic(a) || isLinkLocal(a) {
			t.Errorf("announces %s", a)
		}
	}
	parsed, err := ParsePeers([]string{all[0].String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := newHost(t, Config{}).Connect(soon(t), parsed[0]); err != nil {
		t.Fatal(err)
	}
}

func TestTakenPortNamesAddressAndRemedy(t *testing.T) {
	first := newHost(t, Config{})
	taken := first.Addrs()[0]
	_, err := New(Config{Identity: newKey(t), Listen: []ma.Multiaddr{taken}})
	if !errors.Is(err, ErrPortTaken) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{taken.String(), "--listen /ip4/127.0.0.1/tcp/0"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not say %q", err, want)
		}
	}
}

func TestOneTakenAddressOfTwoIsAnErrorToo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_, err = New(Config{Identity: newKey(t), Listen: addrs("/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/tcp/"+port)})
	if !errors.Is(err, ErrPortTaken) {
		t.Fatalf("got %v", err)
	}
}

func TestAddressOfAnotherMachineIsAClearError(t *testing.T) {
	_, err := New(Config{Identity: newKey(t), Listen: addrs("/ip4/198.51.100.77/tcp/0")})
	if err == nil || !strings.Contains(err.Error(), "no interface of this machine") {
		t.Fatalf("got %v", err)
	}
}

func TestConfigWithoutIdentityOrWithAbsurdLimitsIsRefused(t *testing.T) {
	for _, cfg := range []Config{{}, {Identity: newKey(t), MaxConns: -1}, {Identity: newKey(t), MaxConns: 3}, {Identity: newKey(t), MaxMemory: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestPublicAddressesAreNotDialledUntilTheUserNamesOne(t *testing.T) {
	reach := new(Reach)
	h := newHost(t, Config{Reach: reach})
	stranger := peer.AddrInfo{ID: must(peer.IDFromPrivateKey(newKey(t))), Addrs: addrs("/ip4/8.8.8.8/tcp/4001")}
	err := h.Connect(soon(t), stranger)
	if err == nil || !strings.Contains(err.Error(), "gater") {
		t.Fatalf("got %v", err)
	}
	reach.Permit(stranger)
	if !reach.Allows(stranger.Addrs[0]) || !reach.Outside() {
		t.Fatal("a peer that the user named is not allowed")
	}
}

func TestNameThatAPeerToldIsNotResolved(t *testing.T) {
	h := newHost(t, Config{})
	id := must(peer.IDFromPrivateKey(newKey(t)))
	for _, a := range []string{"/dns4/tracker.invalid/tcp/4001", "/dnsaddr/tracker.invalid"} {
		if err := h.Connect(soon(t), peer.AddrInfo{ID: id, Addrs: addrs(a)}); err == nil {
			t.Errorf("%s was dialled", a)
		}
	}
	dns := &countingDNS{}
	r := &resolver{reach: new(Reach), dns: dns}
	name := ma.StringCast("/dns4/Mirror.example.org/tcp/4001")
	if _, err := r.ResolveDNSComponent(t.Context(), name, 5); !errors.Is(err, errNameNotAllowed) {
		t.Errorf("got %v", err)
	}
	if _, err := r.ResolveDNSAddr(t.Context(), id, ma.StringCast("/dnsaddr/example.org"), 5, 5); !errors.Is(err, errNameNotAllowed) {
		t.Errorf("got %v", err)
	}
	r.reach.AllowOutside() // the Internet, but no names
	if _, err := r.ResolveDNSComponent(t.Context(), name, 5); !errors.Is(err, errNameNotAllowed) {
		t.Errorf("got %v", err)
	}
	if dns.asked != 0 {
		t.Errorf("the name server was asked %d times", dns.asked)
	}
}

func TestNamesThatTheUserGaveAreResolvedAndWhatTheyLeadTo(t *testing.T) {
	dns := &countingDNS{answer: addrs("/dns4/node1.example.net/tcp/1", "/ip4/127.0.0.1/tcp/2")}
	r := &resolver{reach: new(Reach), dns: dns}
	id := must(peer.IDFromPrivateKey(newKey(t)))
	r.reach.Permit(peer.AddrInfo{ID: id, Addrs: addrs("/dnsaddr/example.org")})
	if _, err := r.ResolveDNSAddr(t.Context(), id, ma.StringCast("/dnsaddr/EXAMPLE.org"), 5, 5); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ResolveDNSComponent(t.Context(), ma.StringCast("/dns4/node1.example.net/tcp/1"), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ResolveDNSComponent(t.Context(), ma.StringCast("/dns4/other.example.net/tcp/1"), 5); !errors.Is(err, errNameNotAllowed) {
		t.Fatalf("got %v", err)
	}
}

type countingDNS struct {
	asked  int
	answer []ma.Multiaddr
}

func (d *countingDNS) ResolveDNSAddr(context.Context, peer.ID, ma.Multiaddr, int, int) ([]ma.Multiaddr, error) {
	d.asked++
	return d.answer, nil
}

func (d *countingDNS) ResolveDNSComponent(context.Context, ma.Multiaddr, int) ([]ma.Multiaddr, error) {
	d.asked++
	return d.answer, nil
}

type ends struct{ local, remote string }

func (e ends) LocalMultiaddr() ma.Multiaddr  { return ma.StringCast(e.local) }
func (e ends) RemoteMultiaddr() ma.Multiaddr { return ma.StringCast(e.remote) }

var _ network.ConnMultiaddrs = ends{}

func TestDefaultRefusesConnectionsFromAndToPublicAddresses(t *testing.T) {
	const lan, public = "/ip4/192.168.1.5/tcp/1", "/ip4/8.8.8.8/tcp/1"
	for _, c := range []struct {
		localOnly bool
		ends      ends
		want      bool
	}{
		{true, ends{lan, lan}, true},
		{true, ends{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2"}, true},
		{true, ends{public, lan}, false},
		{true, ends{lan, public}, false},
		{false, ends{public, public}, true},
	} {
		g := &gater{reach: new(Reach), localOnly: c.localOnly}
		if got := g.InterceptAccept(c.ends); got != c.want {
			t.Errorf("localOnly %v, %v: got %v", c.localOnly, c.ends, got)
		}
	}
}

func TestListeningOnAPublicAddressAllowsTheOutside(t *testing.T) {
	for _, cfg := range []Config{{Listen: addrs("/ip4/8.8.8.8/tcp/1")}, {Announce: addrs("/ip4/8.8.8.8/tcp/1")}} {
		cfg.Identity = newKey(t)
		if err := cfg.validate(); err != nil {
			t.Fatal(err)
		}
		if !cfg.Reach.Outside() {
			t.Errorf("%+v: the outside is not allowed", cfg)
		}
	}
}

func TestThirtyNodesOnOneMachineReachOneHost(t *testing.T) {
	hub := newHost(t, Config{})
	for range 30 {
		if err := newHost(t, Config{}).Connect(soon(t), info(hub)); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(hub.Network().Peers()); n != 30 {
		t.Fatalf("%d peers", n)
	}
}

func TestFloodOfConnectionsIsCapped(t *testing.T) {
	hub := newHost(t, Config{MaxConns: 16})
	for range 20 {
		newHost(t, Config{}).Connect(soon(t), info(hub)) // some fail: that is the point
	}
	if n := len(hub.Network().Conns()); n > 12 {
		t.Fatalf("%d inbound connections, the cap is 12", n)
	}
}

func TestPeerWithAnotherIdentityIsRefused(t *testing.T) {
	a, b := newHost(t, Config{}), newHost(t, Config{})
	wrong := peer.AddrInfo{ID: must(peer.IDFromPrivateKey(newKey(t))), Addrs: b.Addrs()}
	if err := a.Connect(soon(t), wrong); err == nil || !strings.Contains(err.Error(), "peer id mismatch") {
		t.Fatalf("got %v", err)
	}
}

func TestCloseEndsEverything(t *testing.T) {
	a, err := New(Config{Identity: newKey(t), Listen: addrs("/ip4/127.0.0.1/tcp/0")})
	if err != nil {
		t.Fatal(err)
	}
	b, err := New(Config{Identity: newKey(t), Listen: addrs("/ip4/127.0.0.1/tcp/0")})
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Connect(soon(t), info(b)); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(a.Close(), b.Close()); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx := soon(t); ; {
		var stacks strings.Builder
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		if !strings.Contains(stacks.String(), "p2p/net/swarm") && !strings.Contains(stacks.String(), "yamux") {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("still running:\n%s", stacks.String())
		}
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
