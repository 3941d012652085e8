// Package transport builds the one libp2p host of a node, and decides which
// addresses that host listens on, announces, accepts from and dials.
//
// It is for package node, which injects the host into every room that speaks
// to peers. It must never start a protocol of aml's own, contact anybody by
// itself, or know what is transferred.
//
// The host is private by default. It speaks TCP with TLS 1.3 (Noise for those
// who have no TLS) and yamux, and nothing else: no relay, no hole punching, no
// port mapping at the router, no asking of peers how they see us. It listens
// on loopback and the local network only, and dials nothing beyond them, and
// resolves no name, until the user named something that is outside; see Reach.
package transport

import (
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"
)

// ErrPortTaken: another program listens on the wanted address. Choose another
// port (0 picks a free one) or stop the other program.
var ErrPortTaken = errors.New("the port is taken by another program")

// Config says what New builds.
type Config struct {
	// Identity is the key whose hash is the node's peer id. Required; see
	// LoadOrCreateIdentity.
	Identity crypto.PrivKey

	// Listen holds TCP addresses such as /ip4/127.0.0.1/tcp/0; port 0 picks
	// a free one. New fails unless all of them can be had. If empty, every
	// interface is listened on at a free port, and connections to or from a
	// public address are refused: loopback and LAN only. Given addresses
	// accept whoever comes, since the user asked for them by name.
	Listen []ma.Multiaddr

	// Announce holds addresses to tell peers beside those listened on, for
	// example the outer address of a port forwarded by a router.
	Announce []ma.Multiaddr

	// Peers are those that the user named. They may be dialled wherever they
	// are; see Reach.Permit.
	Peers []peer.AddrInfo

	// Reach bounds what may be dialled, and can be widened while the host
	// runs. If nil, the host gets one of its own.
	Reach *Reach

	// MaxConns bounds all connections together. If zero, 512. Above three
	// quarters of it the least useful connections are closed, down to half.
	MaxConns int

	// MaxMemory bounds, in bytes, what streams and connections may reserve
	// for buffers; most of it is never touched. If zero, an eighth of the
	// machine's memory, but at least 256 MiB and at most 1 GiB.
	MaxMemory int64

	// UserAgent is what peers are told that we run. If empty, "aml": no
	// version, which would only help to choose an attack.
	UserAgent string
}

func (c *Config) validate() error {
	if c.Identity == nil {
		return errors.New("transport: no identity key")
	}
	if c.MaxConns < 0 || c.MaxMemory < 0 {
		return errors.New("transport: negative limit")
	}
	if c.MaxConns == 0 {
		c.MaxConns = 512
	}
	if c.MaxConns < 16 {
		return fmt.Errorf("transport: %d connections are too few to take part, want at least 16", c.MaxConns)
	}
	if c.UserAgent == "" {
		c.UserAgent = "aml"
	}
	if c.Reach == nil {
		c.Reach = new(Reach)
	}
	for _, a := range c.Listen {
		if err := checkListen(a); err != nil {
			return err
		}
		if isPublic(a) {
			c.Reach.AllowOutside() // who listens there wants to be found from there
		}
	}
	for _, a := range c.Announce {
		if isPublic(a) {
			c.Reach.AllowOutside()
		}
	}
	c.Reach.Permit(c.Peers...)
	return nil
}

// defaultListen is what a Config without Listen listens on: all interfaces, at
// a port that the system picks. IPv6 has to be asked for by address, so that
// there is one port to show, and to open in a firewall.
func defaultListen() []ma.Multiaddr {
	return []ma.Multiaddr{ma.StringCast("/ip4/0.0.0.0/tcp/0")}
}

// New builds the host and listens. The host answers peers from then on, and
// dials nobody. The caller closes it. An address that cannot be listened on
// gives an error naming it and the remedy, wrapping ErrPortTaken where that is
// the cause.
func New(cfg Config) (host.Host, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	localOnly := len(cfg.Listen) == 0
	listen := cfg.Listen
	if localOnly {
		listen = defaultListen()
	}
	limits, err := resourceManager(cfg.MaxConns, cfg.MaxMemory)
	if err != nil {
		return nil, err
	}
	conns, err := connmgr.NewConnManager(cfg.MaxConns/2, cfg.MaxConns*3/4, connmgr.WithGracePeriod(time.Minute))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connection manager: %w", err), limits.Close())
	}
	h, err := libp2p.New(
		libp2p.Identity(cfg.Identity),
		libp2p.UserAgent(cfg.UserAgent),
		libp2p.ProtocolVersion("/aml/1"),
		libp2p.NoListenAddrs, // one by one below: libp2p is content if any one works
		// Without DisableReuseport a second program could bind the port of
		// the first and take half of its connections, unnoticed.
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport(), tcp.WithConnectionTimeout(10*time.Second)),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.DisableRelay(),
		// A fixed answer to "am I reachable?" keeps AutoNAT from asking peers.
		libp2p.ForceReachabilityPublic(),
		libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.DisableMetrics(),
		libp2p.AddrsFactory(announcer(cfg.Listen, cfg.Announce)),
		libp2p.ConnectionGater(&gater{reach: cfg.Reach, localOnly: localOnly}),
		libp2p.MultiaddrResolver(newResolver(cfg.Reach)),
		libp2p.ResourceManager(limits),
		libp2p.ConnectionManager(conns),
	)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the libp2p host: %w", err), conns.Close(), limits.Close())
	}
	for _, a := range listen {
		if err := listenOn(h, a); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	return h, nil
}

// listenOn opens one listener.
func listenOn(h host.Host, a ma.Multiaddr) error {
	// Network().Listen turns its errors to text; the swarm's own method
	// keeps them.
	var err error
	if s, ok := h.Network().(interface{ AddListenAddr(ma.Multiaddr) error }); ok {
		err = s.AddListenAddr(a)
	} else {
		err = h.Network().Listen(a)
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("listening on %s: %w; stop that program, or listen elsewhere, for example with --listen %s, where port 0 picks a free one", a, ErrPortTaken, withFreePort(a))
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("listening on %s: no interface of this machine has that address; list yours and choose one, or use %s: %w", a, defaultListen()[0], err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("listening on %s: the system does not permit it (ports below 1024 are privileged); use for example --listen %s: %w", a, withFreePort(a), err)
	default:
		return fmt.Errorf("listening on %s: %w", a, err)
	}
}

// Addrs returns the host's announced addresses, each with /p2p/ and the peer
// id, loopback first: what a user hands to another node as --peer.
func Addrs(h host.Host) []ma.Multiaddr {
	p2p, err := ma.NewComponent("p2p", h.ID().String())
	if err != nil {
		return nil // a host has an id
	}
	addrs := h.Addrs()
	out := make([]ma.Multiaddr, 0, len(addrs))
	for _, a := range addrs {
		out = append(out, a.Encapsulate(p2p.Multiaddr()))
	}
	slices.SortStableFunc(out, func(a, b ma.Multiaddr) int { return rank(a) - rank(b) })
	return out
}
