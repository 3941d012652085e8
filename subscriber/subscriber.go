// Package subscriber turns verified releases into files: it fetches what a
// release names, checks it as a whole, and puts it below an output folder in
// one step.
//
// It is for nodes that follow channels and for whoever fetches a file by its
// entry. Names, sizes and contents come from strangers who may sign what they
// like. It must never write, delete or read outside of the output folder, show
// a file under its final name that is not complete and verified, delete or
// overwrite what it has not written, or move a cursor past a release before
// what it brought is safe. It knows no peers: blobs come from a Swarm that is
// handed in.
package subscriber

import (
	"context"
	"errors"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// One sentinel per decision that a caller makes; test with errors.Is. That a
// blob cannot be had wraps blobnet.ErrNotFound, that a file is not what was
// signed one of codec's errors.
var (
	// ErrConflict: something else stands in the output folder where a file or
	// folder of the channel has to be: move it away. Or this system, or file
	// system, has no such names.
	ErrConflict = errors.New("something else is in the way")

	// ErrSealed: the release's body is sealed, and there is no read key of its
	// epoch here, though there is of others.
	ErrSealed = errors.New("body of the release is sealed under a read key that is not here; ask for the channel's new address, or to be made a member")

	// ErrRefused: the release's body is not what may be in one. Its log's key
	// signed it all the same.
	ErrRefused = errors.New("body of the release is not valid")
)

// Releases is what the subscriber reads of a channel. *catalog.Catalog is one.
// What is not there gives an error that wraps fs.ErrNotExist. All methods of
// the interfaces may be called from many goroutines at once.
type Releases interface {
	Channel(ctx context.Context, id channel.ID) (catalog.Info, error)
	Releases(ctx context.Context, id channel.ID, after int64, limit int) ([]catalog.Release, error)
	Dead(ctx context.Context, id channel.ID, after int64, limit int) ([]catalog.Release, error)
	Entry(ctx context.Context, id channel.ID, name string) (catalog.Entry, error)
	Watch(fn func(id channel.ID, kind feed.Kind)) (cancel func())
}

// Bodies says which bodies lie in blobs, and takes them. *catalog.Catalog is one. PutBody
// checks what the body's key may name, and refuses it for good with
// catalog.ErrRefused.
type Bodies interface {
	MissingBodies(ctx context.Context, id channel.ID, limit int) ([]catalog.Release, error)
	PutBody(ctx context.Context, id channel.ID, manifest channel.Hash, body channel.Body) error
	RefuseBody(ctx context.Context, id channel.ID, manifest channel.Hash, why string) error
}

// Cursors remembers how far each subscription was applied. *catalog.Catalog is
// one. SetCursor moves forward only, and only from where the caller believes
// the cursor to be.
type Cursors interface {
	Cursor(ctx context.Context, subscription string, id channel.ID) (int64, error)
	SetCursor(ctx context.Context, subscription string, id channel.ID, from, to int64) error
}

// Records remembers what subscriptions have written and left out.
// *catalog.Catalog is one.
type Records interface {
	Record(ctx context.Context, subscription string, id channel.ID, j catalog.Judged) error
	WrittenAs(ctx context.Context, subscription string, id channel.ID, name string) (catalog.Written, error)
	WrittenTo(ctx context.Context, subscription string, id channel.ID, path string) (catalog.Written, error)
	WrittenBy(ctx context.Context, subscription string, id channel.ID, position int64) (bool, error)
	AllWritten(ctx context.Context, subscription string, id channel.ID, after string, limit int) ([]catalog.Written, error)
	Withdrawn(ctx context.Context, subscription string, id channel.ID) ([]catalog.Written, error)
	PassedOver(ctx context.Context, subscription string, id channel.ID, before int64, judged string, again bool, limit int) ([]int64, error)
	PassedAt(ctx context.Context, subscription string, id channel.ID, position int64) ([]catalog.Passed, error)
	Tally(ctx context.Context, subscription string) (catalog.Tally, error)
}

// Ledger is all that the subscriber needs of a catalogue.
type Ledger interface {
	Releases
	Bodies
	Keys
	Cursors
	Records
}

// Config is what New needs.
type Config struct {
	Ledger Ledger

	// Blobs is the store that Swarm keeps blobs in. If it is a blobnet.Syncer,
	// it is synced before a cursor moves, so that what was fetched can also be
	// passed on after a power loss. May be nil.
	Blobs blobnet.Store

	// Member returns the key that finds read keys in the keyrings of private
	// channels, zero for none. It is asked again and again, since one may be made
	// while a channel is followed. If nil, there is none.
	Member func() (channel.MemberKey, error)

	// Place makes output folders the store of what is in them. If nil, Blobs
	// keeps every chunk beside.
	Place Place

	// Swarm is where blobs are had. It bounds how many bytes are in flight.
	Swarm *fetch.Swarm

	// MinFree is how many bytes of an output folder's disk are to stay free: a
	// file that would go below is not begun. If zero, none.
	MinFree int64

	// Sources counts who has a file, for policies that want several. If nil,
	// nobody is asked and there are enough.
	Sources Sources

	// Hooks have a say in what is taken. If nil, nobody has.
	Hooks Hooks

	// Sought reports whether somebody who follows the channel has answered what he
	// has of it, so that what is not fresh here may be called stale. If nil, yes.
	Sought func(id channel.ID) bool

	// Now is the clock that ages and hours go by; if nil, time.Now.
	Now func() time.Time

	// ProbeTimeout is how long is looked for a file that a later release has
	// replaced, before it is skipped, and for a blob that everybody who can be
	// asked says he has not, before it is passed over; if zero, ten seconds.
	ProbeTimeout time.Duration

	// Silence is how long those who are asked for what a release brings may give
	// nothing before it is passed over; a log of which that happens is given less
	// with each time. If zero, 30 seconds.
	Silence time.Duration

	// Turn is how long a release may take while those of other logs wait; then it is
	// put aside, and gone on with after them. If zero, two minutes.
	Turn time.Duration

	// MissPause is after how long what nobody had is looked for again at first.
	// The pause doubles each time, up to ten minutes. If zero, five seconds.
	MissPause time.Duration
}

func (c Config) validate() (Config, error) {
	if c.Ledger == nil || c.Swarm == nil {
		return c, errors.New("subscriber: want a ledger and a swarm")
	}
	if c.ProbeTimeout < 0 || c.MissPause < 0 || c.Silence < 0 || c.Turn < 0 || c.MinFree < 0 {
		return c, errors.New("subscriber: a timeout or a size is negative")
	}
	if c.Member == nil {
		c.Member = func() (channel.MemberKey, error) { return channel.MemberKey{}, nil }
	}
	if c.ProbeTimeout == 0 {
		c.ProbeTimeout = 10 * time.Second
	}
	if c.Silence == 0 {
		c.Silence = 30 * time.Second
	}
	if c.Turn == 0 {
		c.Turn = 2 * time.Minute
	}
	if c.MissPause == 0 {
		c.MissPause = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c, nil
}

// Subscriber follows channels. Its methods may be called from many goroutines
// at once.
type Subscriber struct{ cfg Config }

// New returns a Subscriber. It starts nothing.
func New(cfg Config) (*Subscriber, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	return &Subscriber{cfg: cfg}, nil
}
