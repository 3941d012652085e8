package client

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
)

// Tracker finds those who have a file, and is told what is here.
// *tracker.Tracker is one; whoever passes it runs it.
type Tracker interface {
	Announce(ctx context.Context, keys ...tracker.Key) error
	Unannounce(keys ...tracker.Key)
	Find(ctx context.Context, key tracker.Key) iter.Seq[peer.AddrInfo]
}

// Config is what New needs.
type Config struct {
	// Host is what dials and listens. Required; not closed here.
	Host host.Host
	// Store is what is served, and where fetched blobs are kept. Required;
	// not closed here.
	Store blobnet.Store
	// Tracker may be nil: then only the peers that are added are asked.
	Tracker Tracker
	// Upload bounds the rate of serving; nil: nothing does.
	Upload exchange.Limiter
	// Download bounds the rate of asking; nil: nothing does.
	Download fetch.Limiter
	// Patience is how long a blob that nobody gives is waited for. If zero,
	// 60 seconds.
	Patience time.Duration
	// Bans is who sent wrong bytes and is asked no more; share it between
	// Clients that ask the same peers. If nil, the Client has its own.
	Bans *fetch.Bans
	// OnEvent is told what happens; nil: nobody is. It is called from the
	// transferring goroutines, several at once, and must return at once.
	OnEvent func(Event)
}

func (c *Config) validate() error {
	switch {
	case c.Host == nil:
		return errors.New("client: config has no Host")
	case c.Store == nil:
		return errors.New("client: config has no Store")
	case c.Patience < 0:
		return errors.New("client: config has a negative Patience")
	}
	if c.Bans == nil {
		c.Bans = new(fetch.Bans)
	}
	return nil
}

// Kind is what an Event tells of: the events of seed document 001.
type Kind string

// The kinds of events.
const (
	KindPeer     Kind = "peer"     // a first stream to or from Peer was opened
	KindUpload   Kind = "upload"   // Peer got the blob ID, or with Err a part of it: Bytes
	KindDownload Kind = "download" // Peer gave the blob ID and it is the right one: Bytes
	KindHave     Kind = "have"     // Peer says, unasked, that it has IDs
	KindDropped  Kind = "dropped"  // Peer did what no honest peer does: Err
)

// Event is one thing that happened.
type Event struct {
	Kind  Kind
	Peer  string // a libp2p peer's id, or the name of a peer that was added
	ID    blobnet.ID
	IDs   []blobnet.ID // KindHave; the receiver's to keep
	Bytes int64
	Err   error
}

// Progress is how far a Fetch is, in bytes of plaintext.
type Progress struct {
	Done, Total int64
}
