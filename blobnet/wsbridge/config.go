package wsbridge

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Limiter slows what is sent to a peer: Wait returns when n more bytes may go,
// or with an error when ctx ends. Waiting there is not the peer's stall. It is
// called from many goroutines at once.
type Limiter interface {
	Wait(ctx context.Context, peer string, n int) error
}

// Limits bound a connection, on either side.
type Limits struct {
	// StallTimeout is how long a peer may send or take nothing while it owes
	// something, and how long its part of opening a connection may take. If
	// zero, 30 seconds.
	StallTimeout time.Duration
	// LeastRate is how many bytes of a message per second a peer has to send,
	// or to take, once StallTimeout has passed since the first; eight times as
	// many to take while others wait for the memory. If zero, 8 KiB.
	LeastRate int
	// IdleTimeout is how long a connection without requests stays open. If
	// zero, 5 minutes.
	IdleTimeout time.Duration
	// PingInterval is how long a peer may be silent before it is pinged. If
	// zero, 30 seconds.
	PingInterval time.Duration
	// MaxRequests is how many requests may be open on one connection: those
	// beyond wait, unread or unsent. If zero, 64.
	MaxRequests int
	// MaxHave is how many ids are told unasked after the handshake, in parts
	// of 1,024. If zero, 4,096; negative: none.
	MaxHave int
}

func (l *Limits) validate() error {
	for _, d := range []struct {
		p  *time.Duration
		to time.Duration
	}{{&l.StallTimeout, 30 * time.Second}, {&l.IdleTimeout, 5 * time.Minute}, {&l.PingInterval, 30 * time.Second}} {
		if *d.p < 0 {
			return errors.New("wsbridge: config has a negative timeout")
		}
		if *d.p == 0 {
			*d.p = d.to
		}
	}
	for _, n := range []struct {
		p  *int
		to int
	}{{&l.LeastRate, 8 << 10}, {&l.MaxRequests, 64}} {
		if *n.p < 0 {
			return errors.New("wsbridge: config has a negative limit")
		}
		if *n.p == 0 {
			*n.p = n.to
		}
	}
	if l.MaxHave == 0 {
		l.MaxHave = 4096
	}
	return nil
}

// slow reports whether bytes are too few for a message that began at begun.
func (l *Limits) slow(begun time.Time, bytes, rate int) bool {
	return time.Since(begun) > l.StallTimeout+time.Duration(bytes)*time.Second/time.Duration(rate)
}

// Config says what a Server serves and how much it bears.
type Config struct {
	// Addr is the HOST:PORT to listen on; port 0 is a random one. If empty,
	// ":6881", the port of seed document 001 on every interface.
	Addr string
	// Store is what is served. Required.
	Store blobnet.Store
	// PeerID is what the server calls itself: letters, digits, and -_.: If
	// empty, 40 random hex digits for each Server.
	PeerID string
	// Upload, if not nil, slows what is sent; the peer is its IP address.
	Upload Limiter
	// OnEvent, if not nil, is told what happens. It is called from the
	// transferring goroutines, several at once, and must return at once.
	OnEvent func(Event)
	// Origins are the web origins ("https://example.org") whose pages may
	// connect; "*" is all. If empty, none: a page could otherwise ask, in its
	// visitor's browser, what the visitor's own node has.
	Origins []string

	// MaxConns is how many peers may be connected; over it, who has been idle
	// longest has to go. If zero, 50, as in seed document 001.
	MaxConns int
	// MaxConnsPerIP is how many of them may come from one address. If zero, 8.
	MaxConnsPerIP int
	// MaxMemory bounds the bytes of blobs that are in memory to be sent, for
	// all peers together. If zero, 64 MiB. At least 4 MiB.
	MaxMemory int
	Limits
}

func (c *Config) validate() error {
	if c.Store == nil {
		return errors.New("wsbridge: config has no Store")
	}
	if c.Addr == "" {
		c.Addr = ":6881"
	}
	if c.PeerID == "" {
		c.PeerID = randomPeerID()
	}
	if !isPeerID(c.PeerID) {
		return errors.New("wsbridge: PeerID is not 1 to 128 of letters, digits, and \"-_.:\"")
	}
	if c.MaxConns < 0 || c.MaxConnsPerIP < 0 || c.MaxMemory < 0 {
		return errors.New("wsbridge: config has a negative limit")
	}
	if c.MaxConns == 0 {
		c.MaxConns = 50
	}
	if c.MaxConnsPerIP == 0 {
		c.MaxConnsPerIP = 8
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = 64 << 20
	}
	if c.MaxMemory < 4<<20 {
		return fmt.Errorf("wsbridge: MaxMemory is %d bytes, at least 4 MiB", c.MaxMemory)
	}
	return c.Limits.validate()
}

// PeerConfig says which node a Peer talks to.
type PeerConfig struct {
	// URL is ws://HOST:PORT/ or wss://HOST/PATH, and goes to the node as it
	// is; user and query are told to nobody else. Required.
	URL string
	// PeerID is what this node calls itself, as in Config.
	PeerID string
	// Store, if not nil, is served to the node in turn. If nil, it is told
	// that nothing is here.
	Store blobnet.Store
	// Upload and OnEvent are as in Config; the peer is the Peer's Name.
	Upload  Limiter
	OnEvent func(Event)
	// DialContext opens connections. If nil, a net.Dialer does, directly: a
	// proxy that the environment names is for HTTP alone.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// RequestTimeout is how long the node may take for one blob, waiting
	// behind others included. If zero, 2 minutes.
	RequestTimeout time.Duration
	// HaveTimeout is how long the answer to WANT is waited for; silence then
	// means that the node has none. If zero, 10 seconds.
	HaveTimeout time.Duration
	Limits
}

func (c *PeerConfig) validate() error {
	if c.PeerID == "" {
		c.PeerID = randomPeerID()
	}
	if !isPeerID(c.PeerID) {
		return errors.New("wsbridge: PeerID is not 1 to 128 of letters, digits, and \"-_.:\"")
	}
	if c.RequestTimeout < 0 || c.HaveTimeout < 0 {
		return errors.New("wsbridge: config has a negative timeout")
	}
	if c.RequestTimeout == 0 {
		c.RequestTimeout = 2 * time.Minute
	}
	if c.HaveTimeout == 0 {
		c.HaveTimeout = 10 * time.Second
	}
	if c.DialContext == nil {
		c.DialContext = new(net.Dialer).DialContext
	}
	return c.Limits.validate()
}
