package transport

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"syscall"

	"github.com/libp2p/go-libp2p/core/host"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// listenExamples name what can be listened on.
const listenExamples = "/ip4/0.0.0.0/tcp/4001, /ip4/0.0.0.0/udp/4001/quic-v1, /ip4/0.0.0.0/tcp/4002/ws, " +
	"/ip4/0.0.0.0/udp/4001/quic-v1/webtransport or /ip4/0.0.0.0/udp/4001/webrtc-direct"

// listenable are the shapes of addresses behind the IP address.
var listenable = [][]int{
	{ma.P_TCP},
	{ma.P_TCP, ma.P_WS},
	{ma.P_UDP, ma.P_QUIC_V1},
	{ma.P_UDP, ma.P_QUIC_V1, ma.P_WEBTRANSPORT},
	{ma.P_UDP, ma.P_WEBRTC_DIRECT},
}

// diallable are the shapes of addresses behind the IP address or the name,
// certificate hashes and the name for TLS aside.
var diallable = append([][]int{
	{ma.P_TCP, ma.P_WSS},
	{ma.P_TCP, ma.P_TLS, ma.P_WS},
}, listenable...)

// ParseListen reads multiaddrs to listen on. Errors quote the argument and
// show what would do. Nothing is opened.
func ParseListen(args []string) ([]ma.Multiaddr, error) {
	out := make([]ma.Multiaddr, len(args))
	for i, s := range args {
		a, err := ma.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("cannot listen on %q: %w; want for example %s", s, err, listenExamples)
		}
		if err := checkListen(a); err != nil {
			return nil, err
		}
		out[i] = a
	}
	return out, nil
}

// checkListen refuses what this host cannot listen on.
func checkListen(a ma.Multiaddr) error {
	codes := shape(a)
	remedy := "want an IP address and a port, for example " + listenExamples
	switch {
	case len(codes) > 0 && isIP(codes[0]) && slices.ContainsFunc(listenable, func(s []int) bool { return slices.Equal(s, codes[1:]) }):
		return nil
	case isName(a):
		remedy = "names cannot be listened on; give the IP address of one of this machine's interfaces, or 0.0.0.0 for all"
	case slices.Contains(codes, ma.P_WSS) || slices.Contains(codes, ma.P_TLS):
		remedy = "a certificate for it belongs to a web server in front; listen on /ws and let the server pass connections on (what runs inside is encrypted either way)"
	case slices.Contains(codes, ma.P_CIRCUIT):
		remedy = "a relay is not listened on, it is named: --set relays=ADDRESS, and --punch"
	case slices.Contains(codes, ma.P_QUIC):
		remedy = "/quic is an old draft; use /quic-v1"
	case slices.Contains(codes, ma.P_P2P):
		remedy = "leave out /p2p/ and what follows: this node's id comes from its key"
	}
	return fmt.Errorf("cannot listen on %s: %s", a, remedy)
}

// checkDial refuses addresses that this host could never dial, so that the
// user hears of it at once.
func checkDial(a ma.Multiaddr) error {
	codes := shape(a)
	if i := slices.Index(codes, ma.P_CIRCUIT); i >= 0 {
		if i < 2 || codes[i-1] != ma.P_P2P || i != len(codes)-1 {
			return errors.New("an address through a relay is the relay's own with its /p2p/ and id, then /p2p-circuit, then /p2p/ and the peer's id")
		}
		codes = codes[:i-1]
	}
	switch {
	case len(codes) == 1 && codes[0] == ma.P_DNSADDR:
		return nil
	case len(codes) > 1 && (isIP(codes[0]) || isName(a)) && slices.ContainsFunc(diallable, func(s []int) bool { return slices.Equal(s, codes[1:]) }):
		if k := kindOf(a); (k == kindWebTransport || k == kindWebRTC) && !hasCertHash(a) {
			return errors.New("it lacks the /certhash/ that the other node shows behind it")
		}
		return nil
	}
	return errors.New("it is of no kind that can be dialled: TCP, QUIC v1, WebSocket, WebTransport or WebRTC-direct")
}

// shape is the list of a's protocols, without those that only add a detail.
func shape(a ma.Multiaddr) []int {
	codes := make([]int, 0, len(a))
	for _, c := range a {
		switch code := c.Protocol().Code; code {
		case ma.P_IP6ZONE, ma.P_CERTHASH, ma.P_SNI:
		default:
			codes = append(codes, code)
		}
	}
	return codes
}

func hasCertHash(a ma.Multiaddr) bool {
	for _, c := range a {
		if c.Protocol().Code == ma.P_CERTHASH {
			return true
		}
	}
	return false
}

// defaultListen is what a Config without Listen listens on: all interfaces, at
// ports that the system picks. IPv6 has to be asked for by address, so that
// there is one port to show, and to open in a firewall. A host that is to
// punch holes needs QUIC: NATs let UDP through that would stop TCP.
func defaultListen(punch bool) []ma.Multiaddr {
	out := []ma.Multiaddr{ma.StringCast("/ip4/0.0.0.0/tcp/0")}
	if punch {
		out = append(out, ma.StringCast("/ip4/0.0.0.0/udp/0/quic-v1"))
	}
	return out
}

// withFreePort is a with port 0.
func withFreePort(a ma.Multiaddr) ma.Multiaddr {
	var out ma.Multiaddr
	for _, c := range a {
		switch c.Protocol().Code {
		case ma.P_TCP, ma.P_UDP:
			out = append(out, ma.StringCast("/"+c.Protocol().Name+"/0")...)
		default:
			out = append(out, c)
		}
	}
	return out
}

// portFree reports the error of binding a's TCP port alone: hosts that share
// their port with the connections that they dial (reuse) would otherwise share
// it with another program, and each would get half of the callers.
func portFree(a ma.Multiaddr) error {
	network, addr, err := manet.DialArgs(a)
	if err != nil || kindOf(a) != kindTCP {
		return err
	}
	l, err := net.Listen(network, addr)
	if err != nil {
		return err
	}
	return l.Close()
}

// listenOn opens one listener.
func listenOn(h host.Host, a ma.Multiaddr, reuse bool) error {
	var err error
	if reuse {
		err = portFree(a)
	}
	// Network().Listen turns its errors to text; the swarm's own method
	// keeps them.
	if s, ok := h.Network().(interface{ AddListenAddr(ma.Multiaddr) error }); ok && err == nil {
		err = s.AddListenAddr(a)
	} else if err == nil {
		err = h.Network().Listen(a)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listening on %s: %w; stop that program, or listen elsewhere, for example with --listen %s, where port 0 picks a free one", a, ErrPortTaken, withFreePort(a))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listening on %s: no interface of this machine has that address; list yours and choose one, or use %s: %w", a, defaultListen(false)[0], err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listening on %s: the system does not permit it (ports below 1024 are privileged); use for example --listen %s: %w", a, withFreePort(a), err)
	default:
		return fmt.Errorf("listening on %s: %w", a, err)
	}
}
