package gossip

import (
	"context"
	"errors"
	"iter"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Judge decides what becomes of envelopes, and remembers what it accepts. An
// error means that nothing was decided (storage, ctx); what is wrong with an
// envelope is in its Outcome. The judge does not change or keep the slices.
//
// OfferGossip is for what came unasked, OfferAll for what was asked for; the
// outcomes are in the order of the envelopes. OfferFork is for two envelopes
// that are said to contradict each other. Expect makes a channel known, so
// that envelopes of it are accepted at all; List makes one known that was found
// on a topic, if the topic has a place for it, where source is who said so. Seen
// takes notice of who was seen to follow what.
type Judge interface {
	OfferGossip(ctx context.Context, envelope []byte) (feed.Outcome, error)
	OfferAll(ctx context.Context, envelopes [][]byte) ([]feed.Outcome, error)
	OfferFork(ctx context.Context, id channel.ID, proof feed.Fork) (feed.Outcome, error)
	Expect(ctx context.Context, id channel.ID, reason catalog.Reason) error
	List(ctx context.Context, id channel.ID, topic, source string) error
	Seen(ctx context.Context, all []catalog.Sighting) error
}

// Past is what was accepted, as encoded envelopes in ascending order without
// gaps: at most maxItems of them, and maxBytes, but always at least one where
// there is one.
type Past interface {
	Roots(ctx context.Context, id channel.ID, from uint64, maxItems, maxBytes int) ([][]byte, error)
	Manifests(ctx context.Context, id channel.ID, log channel.PublicKey, from, to uint64, maxItems, maxBytes int) ([][]byte, error)
	Heads(ctx context.Context, id channel.ID) ([][]byte, error)
	Forks(ctx context.Context, id channel.ID) ([]feed.Fork, error)
}

// Index finds channels. What is not known gives an error that wraps
// fs.ErrNotExist. Topics are those that the newest roots name; SomeOn is at
// most most of the channels whose newest roots name the topic, or one below it, a
// random choice in random order.
type Index interface {
	Channel(ctx context.Context, id channel.ID) (catalog.Info, error)
	ByDiscovery(ctx context.Context, key channel.Hash) (channel.ID, error)
	Topics(ctx context.Context) ([]string, error)
	SomeOn(ctx context.Context, topic string, most int) ([]channel.ID, error)
}

// Ledger is what this node knows of channels; *catalog.Catalog is one. All
// methods are called from many goroutines at once.
type Ledger interface {
	Judge
	Past
	Index
}

// Config is what New wants to know.
type Config struct {
	Host   host.Host // required; the caller closes it, after Run has returned
	Ledger Ledger    // required

	// Announce makes it known that this node has something for the keys, and
	// keeps doing so. If nil, nothing is announced.
	Announce func(ctx context.Context, keys ...[32]byte) error

	// Unannounce ends what Announce began, for keys that nothing followed or
	// listened to needs any more. If nil, Announce goes on.
	Unannounce func(keys ...[32]byte)

	// Find looks for nodes that announced key. If nil, only hints and peers
	// that are connected anyway are known.
	Find func(ctx context.Context, key [32]byte) iter.Seq[peer.AddrInfo]

	// Now is the clock by which heads are fresh. If nil, time.Now.
	Now func() time.Time

	// SyncInterval is how often each channel and topic is compared with one
	// random follower. If zero, 3 minutes; it varies by a fifth.
	SyncInterval time.Duration

	// FindInterval is how often followers of each channel and topic are looked
	// for. If zero, 5 minutes; it varies by a fifth. Until a first one has
	// answered, the look-up is repeated after 1, 2, 4, ... seconds.
	FindInterval time.Duration

	// Patience is how long a peer that sends nothing, or hardly anything, is
	// waited for in all of one session. If zero, 15 seconds.
	Patience time.Duration

	// OnEvent, if not nil, hears what happens. It is called from many
	// goroutines with no lock held, and must not block.
	OnEvent func(Event)

	tracer pubsub.RawTracer // for tests
}

func (c *Config) validate() error {
	if c.Host == nil {
		return errors.New("gossip: no Host")
	}
	if c.Ledger == nil {
		return errors.New("gossip: no Ledger")
	}
	if c.SyncInterval < 0 || c.FindInterval < 0 || c.Patience < 0 {
		return errors.New("gossip: a negative interval")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.SyncInterval == 0 {
		c.SyncInterval = 3 * time.Minute
	}
	if c.FindInterval == 0 {
		c.FindInterval = 5 * time.Minute
	}
	if c.Patience == 0 {
		c.Patience = 15 * time.Second
	}
	if c.OnEvent == nil {
		c.OnEvent = func(Event) {}
	}
	return nil
}

// EventKind says what an Event is about.
type EventKind string

// The kinds of events.
const (
	// EventFollower: Peer is in the gossip of Channel or Topic.
	EventFollower EventKind = "follower"

	// EventHeard: gossip from Peer brought something new for Channel.
	EventHeard EventKind = "heard"

	// EventSynced: Peer answered for Channel, and Accepted envelopes of what
	// it sent were new. Behind: it, or somebody whom it quoted, has more than
	// we could get from it.
	EventSynced EventKind = "synced"

	// EventReconciled: with Peer a great many channels were compared at once, of
	// which Accepted are not as they are here, and are compared one by one.
	EventReconciled EventKind = "reconciled"

	// EventListed: Channel was found on Topic.
	EventListed EventKind = "listed"

	// EventFork: a key of Channel was proven to have signed two histories.
	EventFork EventKind = "fork"

	// EventFailed: a session with Peer ended early; it may be honest.
	EventFailed EventKind = "failed"

	// EventRejected: gossip from Peer, in the room of Channel or Topic, was what
	// every honest node refuses. Its score falls.
	EventRejected EventKind = "rejected"

	// EventMisbehaved: Peer sent what no honest node sends. It is not asked
	// again for an hour, and its gossip is not listened to.
	EventMisbehaved EventKind = "misbehaved"
)

// Event is something that happened; fields without meaning for its Kind are
// zero.
type Event struct {
	Kind     EventKind
	Peer     peer.ID
	Channel  channel.ID
	Topic    string
	Accepted int
	Behind   bool
	Err      error
}

var (
	// ErrStopped: Run has ended, or ended before it was ready.
	ErrStopped = errors.New("gossip has stopped")

	// ErrNoPeers: no node is known that could be asked.
	ErrNoPeers = errors.New("no peer to ask is known")

	// ErrNotFollowed: the peer does not know the channel.
	ErrNotFollowed = errors.New("peer does not follow the channel")

	// ErrMisbehaved: the peer sent what no honest node sends.
	ErrMisbehaved = errors.New("peer misbehaved")
)
