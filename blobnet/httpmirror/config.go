package httpmirror

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// piece is how many bytes are moved before a deadline is set anew, and the most
// that a Limiter is asked for at once.
const piece = 16 << 10

// Limiter slows what is sent to a peer: Wait returns when n more bytes may go,
// or with an error when ctx ends. Waiting there is not the peer's stall. It is
// called from many goroutines at once.
type Limiter interface {
	Wait(ctx context.Context, peer string, n int) error
}

// HandlerConfig says what a Handler serves, to whom, and how much it bears.
type HandlerConfig struct {
	// Store is what is served. Required.
	Store blobnet.Store
	// Upload, if not nil, slows what is sent; the peer is its IP address.
	Upload Limiter
	// OnEvent, if not nil, is told what happens. It is called from the
	// transferring goroutines, several at once, and must return at once.
	OnEvent func(Event)
	// Origins are the web origins ("https://example.org") whose pages may read
	// blobs here; "*" is all. If empty, none: a page could otherwise ask, in
	// its visitor's browser, what the visitor's own node has.
	Origins []string
	// Hosts are names, in lower case and without port, by which the server is
	// asked for on a loopback address, beside localhost and addresses: those
	// that a reverse proxy passes on. "*" is any.
	Hosts []string

	// StallTimeout is how long a client may take nothing. If zero, 30 seconds.
	StallTimeout time.Duration
	// LeastRate is how many bytes per second a client has to take, once
	// StallTimeout has passed. If zero, 8 KiB.
	LeastRate int
	// MaxMemory bounds the bytes of blobs that are in memory to be sent. If
	// zero, 64 MiB. At least 8 MiB. One visitor holds at most half of what
	// is free of it.
	MaxMemory int
}

func (c *HandlerConfig) validate() error {
	if c.Store == nil {
		return errors.New("httpmirror: config has no Store")
	}
	if c.MaxMemory == 0 {
		c.MaxMemory = 64 << 20
	}
	if c.MaxMemory < 8<<20 {
		return fmt.Errorf("httpmirror: MaxMemory is %d bytes, at least 8 MiB", c.MaxMemory)
	}
	return bounds(&c.StallTimeout, &c.LeastRate)
}

// bounds sets what every transfer has.
func bounds(stall *time.Duration, rate *int) error {
	if *stall < 0 || *rate < 0 {
		return errors.New("httpmirror: config has a negative limit")
	}
	if *stall == 0 {
		*stall = 30 * time.Second
	}
	if *rate == 0 {
		*rate = 8 << 10
	}
	return nil
}

// ServerConfig says where a Server listens.
type ServerConfig struct {
	// Addr is the HOST:PORT to listen on; port 0 is a random one. Required.
	Addr string
	// MaxConns is how many connections may be open. If zero, 256.
	MaxConns int
	// MaxConnsPerIP is how many of them may come from one address. If zero, 16.
	MaxConnsPerIP int
	// IdleTimeout is how long a connection without requests stays open. If
	// zero, 1 minute.
	IdleTimeout time.Duration
	HandlerConfig
}

func (c *ServerConfig) validate() error {
	if c.Addr == "" {
		return errors.New("httpmirror: config has no Addr")
	}
	if c.MaxConns < 0 || c.MaxConnsPerIP < 0 || c.IdleTimeout < 0 {
		return errors.New("httpmirror: config has a negative limit")
	}
	if c.MaxConns == 0 {
		c.MaxConns = 256
	}
	if c.MaxConnsPerIP == 0 {
		c.MaxConnsPerIP = 16
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = time.Minute
	}
	return c.HandlerConfig.validate()
}

// Link says how a server is reached, and how long it may take. Peer and Push
// have it alike.
type Link struct {
	// Header is sent with every request to the server itself, not to where it
	// redirects; it may hold secrets.
	Header http.Header
	// DialContext opens connections. If nil, a net.Dialer does, by the proxy
	// that the environment names.
	DialContext func(ctx context.Context, network, addr string) (net.Conn, error)
	// Proxy says by which proxy a request goes, nil for none. If nil, the one
	// that the environment names; a DialContext is asked for no proxy. An
	// address that has to be public cannot be told behind a proxy, and is
	// refused where there is one.
	Proxy func(*http.Request) (*url.URL, error)
	// TLS, if not nil, says whom to trust.
	TLS *tls.Config
	// PublicOnly refuses to connect to private, loopback and link-local
	// addresses: set it for URLs that were not given by the user. Where the
	// server redirects to another host, port or scheme that is refused in any
	// case. It does not look through a DialContext.
	PublicOnly bool
	// StallTimeout is how long the server may send or take nothing. If zero,
	// 30 seconds.
	StallTimeout time.Duration
	// LeastRate is how many bytes per second it has to send, or take, once
	// StallTimeout has passed. If zero, 8 KiB.
	LeastRate int
}

// Kind is what an Event tells of.
type Kind uint8

// The kinds of events.
const (
	KindUpload       Kind = iota + 1 // a blob or a part of it was sent to Peer, with Err not to its end: ID, Bytes
	KindDownload                     // a blob came from Peer and is the right one: ID, Bytes
	KindMisbehaviour                 // Peer gave wrong bytes for ID: Err, Bytes that came
)

var kindNames = [...]string{"", "upload", "download", "misbehaviour"}

func (k Kind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Event is one thing that happened.
type Event struct {
	Kind  Kind
	Peer  string // IP:port of who asked, or the Name of a Peer
	ID    blobnet.ID
	Bytes int64
	Err   error
}

func (h *Handler) event(e Event) {
	if h.cfg.OnEvent != nil {
		h.cfg.OnEvent(e)
	}
}
