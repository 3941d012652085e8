// Package publisher turns files into releases: files become sealed blobs,
// blobs and names a signed manifest, and the manifest the newest of its log.
//
// It is for whoever holds a publishing key. The order of a publication is
// fixed: blobs are stored and pinned, the store is synced, manifest and head
// are on disk in one transaction, and only then is anybody told. It must never
// broadcast what is not on disk, sign a second manifest for a number that its
// log has given out, or report as done what a crash could undo. It has no
// network: telling others is a function that is handed in.
package publisher

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
)

// absent is an error that is also fs.ErrNotExist, without saying "file".
type absent string

func (a absent) Error() string { return string(a) }
func (absent) Unwrap() error   { return fs.ErrNotExist }

// One sentinel per decision that a caller makes; test with errors.Is. Errors
// of formats are channel's, those of a full store blobnet.ErrFull.
var (
	// ErrChanged: a file grew, shrank or was written to while it was read.
	// Ingest it again when it rests.
	ErrChanged = errors.New("file changed while it was read")

	// ErrLink: a symbolic link in a folder that is not to be followed.
	ErrLink = errors.New("symbolic link")

	// ErrNotRegular: a socket, pipe, device or the like.
	ErrNotRegular = errors.New("not a regular file")

	// ErrEmpty: a folder with no file in it.
	ErrEmpty = errors.New("no file in it")

	// ErrMissing: a file entry names blobs that the store has not. It wraps
	// blobnet.ErrNotFound.
	ErrMissing = fmt.Errorf("not in this store; ingest or fetch the file first: %w", blobnet.ErrNotFound)

	// ErrNoEntry: a name is to be removed that the channel does not have. It
	// wraps fs.ErrNotExist.
	ErrNoEntry error = absent("no such file in the channel")

	// ErrNoRoot: nothing is known of the channel but its name. It wraps
	// fs.ErrNotExist.
	ErrNoRoot error = absent("sync with a follower first")

	// ErrNoRelease: a log has no release of that number here. It wraps
	// fs.ErrNotExist.
	ErrNoRelease error = absent("no such release here")

	// ErrNoPublisher: a key that is to lose its rights is none of the channel's
	// publishers. It wraps fs.ErrNotExist.
	ErrNoPublisher error = absent("no such publisher in the channel")

	// ErrConflict: one name would be a file and a folder at once.
	ErrConflict = errors.New("name is both a file and a folder")

	// ErrExists: the key has a channel under this topic already. It wraps
	// fs.ErrExist.
	ErrExists error = exists("this key publishes a channel under this topic already")
)

// exists is an error that is fs.ErrExist too, whose words are about files.
type exists string

func (e exists) Error() string        { return string(e) }
func (e exists) Is(target error) bool { return target == fs.ErrExist }

// View is what the publisher reads of a channel. *catalog.Catalog is one. What
// is not there gives an error that wraps fs.ErrNotExist. Its methods may be
// called from many goroutines at once.
type View interface {
	Channel(ctx context.Context, id channel.ID) (catalog.Info, error)
	Entry(ctx context.Context, id channel.ID, name string) (catalog.Entry, error)
	Entries(ctx context.Context, id channel.ID, f catalog.EntryFilter) iter.Seq2[catalog.Entry, error]
}

// Log is where own envelopes go. *catalog.Catalog is one. Append and
// AppendRelease take in all of them in one transaction that is on disk when
// they return, or change nothing; they refuse what may not follow what is
// there. Unpins is what AppendRelease and others have ordered to be unpinned,
// until ForgetUnpins.
type Log interface {
	Append(ctx context.Context, envelopes ...[]byte) error
	AppendRelease(ctx context.Context, a catalog.Addition, envelopes ...[]byte) error
	Unpins(ctx context.Context, after int64) ([]catalog.Unpin, error)
	ForgetUnpins(ctx context.Context, upTo int64) error
}

// Owner remembers which channels are one's own. *catalog.Catalog is one. Found
// is Append of the first root, and records whose it is, in one transaction.
type Owner interface {
	Found(ctx context.Context, own catalog.Own, envelopes ...[]byte) error
	Owns(ctx context.Context) ([]catalog.Own, error)
	OwnByTopic(ctx context.Context, topic string, key channel.PublicKey) (catalog.Own, error)
	Retention(ctx context.Context, id channel.ID) (json.RawMessage, error)
}

// Vault is where the read keys and members of private channels are kept.
// *catalog.Catalog is one. FoundPrivate is Found of such a channel. MembersEpoch is
// the epoch that the kept members are of, 0 for none.
type Vault interface {
	ReadKeys(ctx context.Context, id channel.ID) ([]catalog.ReadKey, error)
	Members(ctx context.Context, id channel.ID) ([]catalog.Member, error)
	MembersEpoch(ctx context.Context, id channel.ID) (uint64, error)
	FoundPrivate(ctx context.Context, own catalog.Own, key catalog.ReadKey, envelopes ...[]byte) error
}

// Past is what the publisher reads of a channel's past: encoded envelopes, in
// order. *catalog.Catalog is one.
type Past interface {
	Roots(ctx context.Context, id channel.ID, from uint64, maxItems, maxBytes int) ([][]byte, error)
	Manifests(ctx context.Context, id channel.ID, log channel.PublicKey, from, to uint64, maxItems, maxBytes int) ([][]byte, error)
}

// Ledger is all that the publisher needs of a catalogue.
type Ledger interface {
	View
	Log
	Past
	Owner
	Vault
	Shelf
}

// Config is what New needs.
type Config struct {
	// Blobs receives the blobs. If it is also a blobnet.Pinner, what is
	// published stays in it; if a blobnet.Syncer, it is synced before a release
	// is signed.
	Blobs blobnet.Store

	// InPlace takes note of chunks that stay in their files. Blobs must find them
	// there. If nil, nothing can be ingested in place.
	InPlace InPlace

	Ledger Ledger

	// Keys reads the keys of own logs; the zero value knows those that lie in files.
	Keys keyfile.Keys

	// Memory guards logs against being forked from a restored backup. If nil,
	// the ledger alone is believed.
	Memory Memory

	// Broadcast tells the network of envelopes that are on disk. If nil, nobody
	// is told. It is called with no lock held, several at a time.
	Broadcast func(ctx context.Context, id channel.ID, envelopes ...[]byte) error

	// Now is the clock; if nil, time.Now.
	Now func() time.Time

	// HeadLife is how long a head is fresh; if zero, the usual time of the
	// channel's kind. At most channel.MaxHeadLife.
	HeadLife time.Duration

	// RootLife is how long a new channel's root is good for; if zero, ten
	// years.
	RootLife time.Duration
}

func (c Config) validate() (Config, error) {
	if c.Blobs == nil || c.Ledger == nil {
		return c, errors.New("publisher: want a blob store and a ledger")
	}
	if c.HeadLife < 0 || c.HeadLife > channel.MaxHeadLife {
		return c, fmt.Errorf("publisher: a head lives 0 to %v, not %v", channel.MaxHeadLife, c.HeadLife)
	}
	if c.RootLife < 0 {
		return c, fmt.Errorf("publisher: a root lives %v", c.RootLife)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.RootLife == 0 {
		c.RootLife = 10 * 365 * 24 * time.Hour
	}
	return c, nil
}

// Publisher ingests and publishes. Its methods may be called from many
// goroutines at once; publications to one log take turns.
type Publisher struct {
	cfg   Config
	turns turns
	unpin chan struct{} // holds a token while somebody is at it
}

// New returns a Publisher. It starts nothing.
func New(cfg Config) (*Publisher, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	return &Publisher{cfg: cfg, unpin: make(chan struct{}, 1)}, nil
}
