package fetch

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Peer is one place that may have blobs: a blobnet.Source, which has checked
// what it returns, with a name that stays the same and is no other peer's.
//
// The Swarm tells by the error of Get what to do: blobnet.ErrNotFound, ask
// others; blobnet.ErrBusy, come back after RetryAfter() of an error in its
// chain, or a second; blobnet.ErrCorrupt, or an error in its chain with
// Misbehaviour() true, drop the peer; anything else, leave it alone for a
// while that grows. Get must end soon after its context, and write nothing to
// dst afterwards.
type Peer interface {
	blobnet.Source
	Name() string
}

// Config says where a Swarm keeps blobs and how much it asks for at once.
type Config struct {
	// Store is asked before any peer and receives what they give. If nil,
	// nothing is kept.
	Store blobnet.Store
	// Window is how many bytes at most may be asked of one peer and not be
	// there yet. How many are follows the peer's rate and round trip. If zero,
	// 64 MiB.
	Window int
	// MaxOutstanding is how many bytes the Eaches of the Swarm together hold:
	// asked for, or there and not delivered, those that others wait for included. Sizes are estimated from those
	// of earlier blobs where Want does not tell; were every estimate wrong,
	// it would be eight times as much. If zero, 32 MiB.
	MaxOutstanding int
	// LeastOutstanding is how many of these where that is enough: they become
	// more, up to MaxOutstanding, as twice the rate by the round trip of all
	// peers calls for. What is outstanding when a process is killed has to be
	// asked for again. If zero, MaxOutstanding.
	LeastOutstanding int
	// Budget bounds the bytes that this Swarm and others hold together, those
	// of Gets and readers included. If nil, this Swarm's own.
	Budget *Budget
	// StallTimeout is how long a blob that no peer has, or that none that has
	// it gives, is waited for before it is an error; peers that are added
	// meanwhile are asked. If zero, 60 seconds.
	StallTimeout time.Duration
	// PeerTimeout is how long one peer may take for one blob, waiting behind
	// others included; for an eighth of it where the peer is Metered, so that who
	// is slow is not asked for the same again and again. If zero, 2 minutes.
	PeerTimeout time.Duration
	// SlowAfter is how long after the first peer, at the latest, a second one
	// is asked for the same blob, the faster winning, and how long after that
	// a third. It happens earlier where peers have nothing else to do. If
	// zero, 10 seconds.
	SlowAfter time.Duration
	// NotFoundRetry is how long a peer that has not a blob is not asked for
	// it again. If zero, 15 seconds.
	NotFoundRetry time.Duration
	// Download, if not nil, bounds the rate at which peers are asked. It is
	// called with the Swarm locked, so it must not call the Swarm.
	Download Limiter
	// Bans are the peers that misbehaved, shared with other Swarms. If nil,
	// this Swarm's own.
	Bans *Bans
	// Name is the name of the Peer that this node is to others, if it serves
	// what it gets: nodes that get the same divide by their names what they ask
	// first of one that has everything. If empty, chance divides it.
	Name string
	// Seed chooses the order in which this Swarm asks for blobs that are
	// equally rare, where several nodes exchange what they have. No two nodes
	// should have the same. If zero, a random one.
	Seed uint64
	// MustStore makes it an error if the store has no room for a blob.
	// Otherwise the blob is delivered and KindUnstored told.
	MustStore bool
	// OnEvent, if not nil, is told what happens. It is called from the
	// fetching goroutines, several at once, and must return at once.
	OnEvent func(Event)
}

func (c *Config) validate() error {
	for _, n := range []int{c.Window, c.MaxOutstanding, c.LeastOutstanding} {
		if n < 0 {
			return errors.New("fetch: config has a negative limit")
		}
	}
	for _, d := range []*time.Duration{&c.StallTimeout, &c.PeerTimeout, &c.SlowAfter, &c.NotFoundRetry} {
		if *d < 0 {
			return errors.New("fetch: config has a negative time")
		}
	}
	if c.Window == 0 {
		c.Window = 64 << 20
	}
	if c.MaxOutstanding == 0 {
		c.MaxOutstanding = 32 << 20
	}
	if c.LeastOutstanding == 0 || c.LeastOutstanding > c.MaxOutstanding {
		c.LeastOutstanding = c.MaxOutstanding
	}
	if c.Budget == nil {
		c.Budget = NewBudget(max(defaultBudget, 2*int64(c.MaxOutstanding)))
	}
	if c.Bans == nil {
		c.Bans = new(Bans)
	}
	if c.Seed == 0 {
		c.Seed = rand.Uint64() | 1
	}
	set(&c.StallTimeout, time.Minute)
	set(&c.PeerTimeout, 2*time.Minute)
	set(&c.SlowAfter, 10*time.Second)
	set(&c.NotFoundRetry, 15*time.Second)
	return nil
}

func set(d *time.Duration, to time.Duration) {
	if *d == 0 {
		*d = to
	}
}

// Kind is what an Event tells of.
type Kind uint8

// The kinds of events.
const (
	KindFetched   Kind = iota + 1 // a blob, or a part of one, came: Peer, ID, Bytes
	KindNotFound                  // Peer has not the blob ID
	KindFailed                    // Peer did not give the blob ID: Err. It is asked again later
	KindDropped                   // Peer misbehaved and is banned: it is asked for nothing for an hour: ID, Err
	KindCorrupt                   // the store's copy of ID was damaged and is fetched again: Err
	KindUnstored                  // the store had no room for ID: Err
	KindWrong                     // Peer sent wrong bytes for the blob ID, for which it is not asked again: Err, Bytes
	KindDuplicate                 // Bytes of ID came from Peer, or are thought to have come, that another gave sooner. Without Err it came whole, and the peer may count it as useful
)

var kindNames = [...]string{"", "fetched", "not found", "failed", "dropped", "corrupt", "unstored",
	"wrong", "duplicate"}

func (k Kind) String() string {
	if k > 0 && int(k) < len(kindNames) {
		return kindNames[k]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Event is one thing that happened.
type Event struct {
	Kind  Kind
	Peer  string // the peer's name
	ID    blobnet.ID
	Bytes int64
	Err   error
}
