package transport

import (
	"errors"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

var everyKind = []string{
	"/ip4/127.0.0.1/tcp/0",
	"/ip4/127.0.0.1/tcp/0/ws",
	"/ip4/127.0.0.1/udp/0/quic-v1",
	"/ip4/127.0.0.1/udp/0/quic-v1/webtransport",
	"/ip4/127.0.0.1/udp/0/webrtc-direct",
}

func TestEachKindOfListenerIsReachedAndEncrypted(t *testing.T) {
	for _, want := range everyKind {
		t.Run(strings.ReplaceAll(want[len("/ip4/127.0.0.1/"):], "/", "-"), func(t *testing.T) {
			a := newHost(t, Config{Listen: addrs(want)})
			shown := Addrs(a)
			if len(shown) != 1 {
				t.Fatalf("shows %s", shown)
			}
			peers, err := ParsePeers([]string{shown[0].String()})
			if err != nil {
				t.Fatal(err)
			}
			b := newHost(t, Config{Peers: peers})
			if err := b.CheckPeers(peers); err != nil {
				t.Error(err)
			}
			if err := b.Connect(soon(t), peers[0]); err != nil {
				t.Fatal(err)
			}
			c := b.Network().ConnsToPeer(a.ID())[0]
			if kindOf(c.RemoteMultiaddr()) != kindOf(ma.StringCast(want)) {
				t.Errorf("connected by %s", c.RemoteMultiaddr())
			}
			state := c.ConnState()
			switch kindOf(c.RemoteMultiaddr()) {
			case kindTCP, kindWS:
				if state.Security != "/tls/1.0.0" {
					t.Errorf("security is %q", state.Security)
				}
			}
			if c.RemotePublicKey() == nil {
				t.Error("the peer is not authenticated")
			}
		})
	}
}

func TestListenErrorsNameTheAddressAndTheRemedy(t *testing.T) {
	for arg, remedy := range map[string]string{
		"/dns4/localhost/tcp/0":                            "0.0.0.0 for all",
		"/ip4/127.0.0.1":                                   "/tcp/4001",
		"/ip4/127.0.0.1/udp/1":                             "/udp/4001/quic-v1",
		"/ip4/127.0.0.1/udp/1/quic":                        "use /quic-v1",
		"/ip4/127.0.0.1/tcp/443/tls/ws":                    "listen on /ws",
		"/ip4/127.0.0.1/tcp/443/wss":                       "listen on /ws",
		"127.0.0.1:4001":                                   "/ip4/0.0.0.0/tcp/4001",
		"/ip4/127.0.0.1/tcp/4001/p2p/" + anyID:             "leave out /p2p/",
		"/ip4/9.9.9.9/tcp/1/p2p/" + anyID + "/p2p-circuit": "--set relays=",
	} {
		_, err := ParseListen([]string{arg})
		if err == nil || !strings.Contains(err.Error(), arg) || !strings.Contains(err.Error(), remedy) {
			t.Errorf("%s: got %v, want it to say %q", arg, err, remedy)
		}
	}
	if _, err := ParseListen(everyKind); err != nil {
		t.Error(err)
	}
}

const anyID = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"

func TestTakenPortIsNoticedWhereDialsShareIt(t *testing.T) {
	first := newHost(t, Config{Punch: true})
	_, err := New(Config{Identity: newKey(t), Punch: true, Listen: onLoopback(first)[:1]})
	if !errors.Is(err, ErrPortTaken) {
		t.Fatalf("got %v", err)
	}
}

func TestTakenUDPPortIsAClearError(t *testing.T) {
	first := newHost(t, Config{Listen: addrs("/ip4/127.0.0.1/udp/0/quic-v1")})
	_, err := New(Config{Identity: newKey(t), Listen: onLoopback(first)})
	if !errors.Is(err, ErrPortTaken) || !strings.Contains(err.Error(), "/udp/0/quic-v1") {
		t.Fatalf("got %v", err)
	}
}

func TestQUICAndWebTransportAndWebRTCShareOnePort(t *testing.T) {
	first := newHost(t, Config{Listen: addrs("/ip4/127.0.0.1/udp/0/quic-v1")})
	port, err := first.Addrs()[0].ValueForProtocol(ma.P_UDP)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	udp := "/ip4/127.0.0.1/udp/" + port
	h := newHost(t, Config{Listen: addrs(udp+"/quic-v1", udp+"/quic-v1/webtransport", udp+"/webrtc-direct")})
	for _, a := range Addrs(h) {
		peers, err := ParsePeers([]string{a.String()})
		if err != nil {
			t.Fatal(err)
		}
		if err := newHost(t, Config{Peers: peers}).Connect(soon(t), peers[0]); err != nil {
			t.Errorf("%s: %v", a, err)
		}
	}
}

func TestPeersThatCannotBeDialledAreRefused(t *testing.T) {
	id := "/p2p/" + anyID
	for arg, want := range map[string]string{
		"/ip4/1.2.3.4/udp/4/quic-v1/webtransport" + id: "certhash",
		"/ip4/1.2.3.4/udp/4/webrtc-direct" + id:        "certhash",
		"/ip4/1.2.3.4/udp/4" + id:                      "no kind",
		"/ip4/1.2.3.4/tcp/4/p2p-circuit" + id:          "relay's own",
		"/p2p/" + anyID + "/p2p-circuit" + id:          "relay's own",
		"/ip4/1.2.3.4/tcp/4" + id + "/p2p-circuit":     "peer id",
	} {
		if _, err := ParsePeers([]string{arg}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v", arg, err)
		}
	}
	for _, arg := range []string{
		"/ip4/1.2.3.4/tcp/4" + id + "/p2p-circuit" + id, "/dns4/example.org/tcp/443/tls/ws" + id, "/dns/example.org/tcp/443/wss" + id,
		"/ip4/1.2.3.4/udp/4/quic-v1" + id, "/ip6/2a00::1/tcp/1/ws" + id, "/dns4/example.org/udp/4/quic-v1" + id,
	} {
		if _, err := ParsePeers([]string{arg}); err != nil {
			t.Error(err)
		}
	}
}

func TestPeerBehindARelayNeedsPunch(t *testing.T) {
	behind, err := ParsePeers([]string{"/ip4/192.168.1.9/tcp/4/p2p/" + anyID + "/p2p-circuit/p2p/" + anyID})
	if err != nil {
		t.Fatal(err)
	}
	_, err = New(Config{Identity: newKey(t), Peers: behind})
	if err == nil || !strings.Contains(err.Error(), "--punch") {
		t.Errorf("got %v", err)
	}
	if err := newHost(t, Config{}).CheckPeers(behind); err == nil {
		t.Error("a host without relays accepted it")
	}
	if err := newHost(t, Config{Punch: true}).CheckPeers(behind); err != nil {
		t.Error(err)
	}
	if _, err := New(Config{Identity: newKey(t), Relays: []peer.AddrInfo{{}}}); err == nil || !strings.Contains(err.Error(), "--punch") {
		t.Errorf("got %v", err)
	}
}

func TestPeerOfATransportThatIsNotThereIsAClearError(t *testing.T) {
	h := newHost(t, Config{Listen: addrs("/ip4/127.0.0.1/udp/0/webrtc-direct")})
	peers, err := ParsePeers([]string{Addrs(h)[0].String()})
	if err != nil {
		t.Fatal(err)
	}
	if err := newHost(t, Config{}).CheckPeers(peers); err == nil || !strings.Contains(err.Error(), "--peer") {
		t.Errorf("got %v", err)
	}
}
