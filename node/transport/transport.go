// Package transport builds the one libp2p host of a node, and decides which
// addresses that host listens on, announces, accepts from and dials, and what
// it passes on for others.
//
// It is for package node, which injects the host into every room that speaks
// to peers. It must never start a protocol of aml's own, contact anybody by
// itself, or know what is transferred.
//
// The host is private by default. It listens by TCP on loopback and the local
// network only, and dials nothing beyond them, and resolves no name, until the
// user named something that is outside; see Reach. No relay, no hole punching,
// no port mapping at the router, no asking of peers how they see us, until
// Config.Punch or Config.Relay ask for it.
//
// Every connection is encrypted and both ends are authenticated, whatever it
// runs over: TCP with TLS 1.3 (Noise for those who have no TLS) and yamux; QUIC
// and WebTransport with their own TLS 1.3; WebRTC with DTLS and Noise. A plain
// WebSocket carries the same TLS 1.3 or Noise inside that TCP does, and so does
// a connection through a relay.
package transport

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	libp2pwebrtc "github.com/libp2p/go-libp2p/p2p/transport/webrtc"
	"github.com/libp2p/go-libp2p/p2p/transport/websocket"
	libp2pwebtransport "github.com/libp2p/go-libp2p/p2p/transport/webtransport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// ErrPortTaken: another program listens on the wanted address. Choose another
// port (0 picks a free one) or stop the other program.
var ErrPortTaken = errors.New("the port is taken by another program")

// Config says what New builds.
type Config struct {
	// Identity is the key whose hash is the node's peer id. Required; see
	// LoadOrCreateIdentity.
	Identity crypto.PrivKey

	// Listen holds IP addresses with /tcp/PORT, /tcp/PORT/ws,
	// /udp/PORT/quic-v1, that with /webtransport, or
	// /udp/PORT/webrtc-direct; port 0 picks a free one; see ParseListen. New
	// fails unless all of them can be had. If empty, every interface is
	// listened on by TCP at a free port (with Punch by QUIC too), and unless
	// Punch is set connections to or from a public address are refused:
	// loopback and LAN only. Given addresses accept whoever comes, since the
	// user asked for them by name.
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

	// Punch asks to be reached from anywhere: peers are asked how they see
	// this host, holes are punched, relays used; see reachability. It allows
	// dialling the outside.
	Punch bool

	// Relays are those to keep a place with, if Punch is set. If empty,
	// relays among the connected peers.
	Relays []peer.AddrInfo

	// MapPorts asks the router to forward ports (UPnP, NAT-PMP), if Punch is
	// set.
	MapPorts bool

	// Relay is what to pass on between others. The zero value is nothing.
	Relay Relay

	// MaxInbound bounds the connections that others open, MaxOutbound those
	// that this host opens. If zero, three quarters of MaxConns, and all of
	// it. One more is refused: the peer sees its connection end, an own dial
	// fails with network.ErrResourceLimitExceeded. What is open stays.
	MaxInbound, MaxOutbound int

	// MaxConns bounds all connections together. If zero, the sum of
	// MaxInbound and MaxOutbound; without these, 512. Above three quarters
	// of it the least useful connections are closed, down to half.
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
	if c.MaxConns < 0 || c.MaxMemory < 0 || c.MaxInbound < 0 || c.MaxOutbound < 0 {
		return errors.New("transport: negative limit")
	}
	if c.MaxConns == 0 && c.MaxInbound > 0 && c.MaxOutbound > 0 {
		c.MaxConns = max(16, c.MaxInbound+c.MaxOutbound)
	}
	if c.MaxConns == 0 {
		c.MaxConns = max(512, c.MaxInbound, c.MaxOutbound)
	}
	if c.MaxInbound == 0 {
		c.MaxInbound = c.MaxConns * 3 / 4 // strangers cannot use up what we dial with
	}
	if c.MaxOutbound == 0 {
		c.MaxOutbound = c.MaxConns
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
	return c.validateReach()
}

// New builds the host and listens. The host answers peers from then on, and
// dials nobody but, with Punch, relays and those who may say how it is reached.
// The caller closes it. An address that cannot be listened on gives an error
// naming it and the remedy, wrapping ErrPortTaken where that is the cause.
func New(cfg Config) (*Host, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	localOnly := len(cfg.Listen) == 0 && !cfg.Punch
	listen := cfg.Listen
	if len(listen) == 0 {
		listen = defaultListen(cfg.Punch)
	}
	limits, err := resourceManager(&cfg)
	if err != nil {
		return nil, err
	}
	conns, err := connmgr.NewConnManager(cfg.MaxConns/2, cfg.MaxConns*3/4, connmgr.WithGracePeriod(time.Minute))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("connection manager: %w", err), limits.Close())
	}
	quic := slices.ContainsFunc(listen, isQUIC)
	relays := &relaySource{named: cfg.Relays, quic: quic, ready: make(chan struct{})}
	opts := []libp2p.Option{
		libp2p.Identity(cfg.Identity),
		libp2p.UserAgent(cfg.UserAgent),
		libp2p.ProtocolVersion("/aml/1"),
		libp2p.NoListenAddrs, // one by one below: libp2p is content if any one works
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.Security(noise.ID, noise.New),
		libp2p.Muxer(yamux.ID, yamux.DefaultTransport),
		libp2p.DisableMetrics(),
		libp2p.AddrsFactory(newAnnouncer(cfg.Listen, cfg.Announce, cfg.Punch).addrs),
		libp2p.ConnectionGater(&gater{reach: cfg.Reach, localOnly: localOnly}),
		libp2p.MultiaddrResolver(newResolver(cfg.Reach)),
		libp2p.ResourceManager(limits),
		libp2p.ConnectionManager(conns),
		libp2p.SwarmOpts(swarm.WithDialRanker(dialRanker(cfg.Punch && quic))),
	}
	browsers := browserKinds(&cfg)
	opts = append(opts, transports(&cfg, browsers)...)
	opts = append(opts, reachability(&cfg, relays.peers)...)
	basic, err := libp2p.New(opts...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("starting the libp2p host: %w", err), conns.Close(), limits.Close())
	}
	h := &Host{Host: basic, punch: cfg.Punch, browsers: browsers, punchTime: punchTime}
	for _, a := range listen {
		if err := listenOn(h, a, cfg.Punch); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	if cfg.Relay.enabled() {
		if h.relay, err = newRelay(basic, cfg.Relay); err != nil {
			return nil, errors.Join(err, h.Close())
		}
	}
	relays.host = h
	close(relays.ready)
	return h, nil
}

// transports are the ways of carrying bytes that the host has. TCP, QUIC and
// WebSocket are always among them, for what is not listened on may still be
// dialled; they open a socket when they first need one. Those for browsers are
// only there if the user named an address of their kind: each takes 50 KB and
// a tenth of a millisecond at every start.
func transports(cfg *Config, browsers []kind) []libp2p.Option {
	tcpOpts := []any{tcp.WithConnectionTimeout(10 * time.Second)}
	if !cfg.Punch {
		// Without this a second program could bind the port of the first
		// and take half of its connections, unnoticed. Punching by TCP has
		// to dial from the port that it listens on; see portFree.
		tcpOpts = append(tcpOpts, tcp.DisableReuseport())
	}
	opts := []libp2p.Option{
		libp2p.Transport(tcp.NewTCPTransport, tcpOpts...),
		libp2p.Transport(libp2pquic.NewTransport),
		libp2p.Transport(websocket.New),
	}
	if slices.Contains(browsers, kindWebTransport) {
		opts = append(opts, libp2p.Transport(libp2pwebtransport.New))
	}
	if slices.Contains(browsers, kindWebRTC) {
		opts = append(opts, libp2p.Transport(libp2pwebrtc.New))
	}
	return opts
}

// browserKinds are the transports for browsers that the user named an address
// of.
func browserKinds(cfg *Config) []kind {
	var out []kind
	named := slices.Clone(cfg.Listen)
	for _, p := range slices.Concat(cfg.Peers, cfg.Relays) {
		named = append(named, p.Addrs...)
	}
	for _, a := range named {
		if k := kindOf(a); k == kindWebTransport || k == kindWebRTC {
			out = append(out, k)
		}
	}
	return out
}

// Addrs returns the addresses that lead to the host, each with /p2p/ and the
// peer id, loopback first: what a user hands to another node as --peer. Those
// on loopback, of use on this machine only, are among them although others are
// not told.
func Addrs(h host.Host) []ma.Multiaddr {
	p2p, err := ma.NewComponent("p2p", h.ID().String())
	if err != nil {
		return nil // a host has an id
	}
	addrs := append(onLoopback(h), h.Addrs()...)
	out := make([]ma.Multiaddr, 0, len(addrs))
	for _, a := range addrs {
		if a = a.Encapsulate(p2p.Multiaddr()); !slices.ContainsFunc(out, a.Equal) {
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b ma.Multiaddr) int { return rank(a) - rank(b) })
	return out
}

// onLoopback are those of the host's addresses that only this machine reaches.
func onLoopback(h host.Host) []ma.Multiaddr {
	all, err := h.Network().InterfaceListenAddresses()
	if err != nil {
		return nil // the machine's interfaces cannot be listed: the rest must do
	}
	all = slices.DeleteFunc(all, func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) })
	if s, ok := h.Network().(interface {
		AddCertHashes([]ma.Multiaddr) []ma.Multiaddr
	}); ok {
		all = s.AddCertHashes(all)
	}
	return all
}
