// Package catalog is what a node knows about channels, on disk: roots, logs,
// heads, proofs of forks, the view of live entries that follows from them,
// snapshots, subscriptions with how far each has been applied, petnames, the index of
// search, the channels that are one's own, and what of them is to be unpinned.
//
// It is for every package that asks "what is there?" or says "this came in". It
// decides nothing by itself: whether one signed statement may follow another is
// channel/feed's question, and the catalogue makes the answer durable before it
// returns it. It must never touch the network, open a blob or hold a key that
// signs; the read keys of private channels are in it, beside what they open.
//
// # Writing
//
// All changes go through one connection, in transactions, each of which is on
// disk (fsync) when the call returns. SQLite has one writer at a time anyway;
// a token queues callers in front of it, so that waiting ends with the context
// instead of in SQLite's busy loop. The token is held across local disk reads
// and writes, which is what it is for, and never across the network or a
// callback. One step is short, but for the root that revokes a key: it has the
// view worked out again from all of the channel's releases, so that its
// publisher decides how long that takes. Readers do not take the token: they
// see the last committed state (WAL) through their own connections.
//
// # Two processes
//
// The home's lock keeps a second process out, and so does SQLite's on Unix.
// Should one get in all the same, nothing goes back: a channel's revision is compared inside of the write
// transaction, and whoever holds an outdated picture loads it again.
package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// missing is an error that is also fs.ErrNotExist, without saying "file".
type missing string

func (m missing) Error() string { return string(m) }
func (missing) Unwrap() error   { return fs.ErrNotExist }

// One sentinel per decision that a caller makes.
var (
	// ErrUnknown: nobody said that this channel (subscription, entry ...) is of
	// interest. It wraps fs.ErrNotExist.
	ErrUnknown error = missing("not in the catalogue")

	// ErrNotFollowed: a manifest of a channel that is only listed, or one more
	// root of it than MaxListedRoots.
	ErrNotFollowed = errors.New("channel is listed but not followed")

	// ErrConflict: somebody else moved it meanwhile, or it would go back.
	ErrConflict = errors.New("was changed meanwhile")

	// ErrFull: no more channels are listed than Config.MaxListed.
	ErrFull = errors.New("catalogue lists no more channels")

	// ErrRefused: the body of this release was refused for good.
	ErrRefused = errors.New("body of the release was refused")

	// ErrForeignFile: the file is no catalogue, is damaged, or was made by a
	// newer version. The message names the file and the remedy.
	ErrForeignFile = errors.New("not a usable catalogue")

	// ErrClosed: the catalogue has been closed.
	ErrClosed = errors.New("catalogue is closed")
)

// MaxListedRoots is how many versions of its root are kept of a channel that is
// merely listed. More of them are taken in once it is followed.
const MaxListedRoots = 8

// Config is how to open a catalogue.
type Config struct {
	// Path is the file, usually aml.db in the home. It is made if missing, with
	// mode 0600; its folder must exist.
	Path string

	// Now is the clock; if nil, time.Now.
	Now func() time.Time

	// MaxListed bounds how many channels are kept that are merely listed on a
	// topic; if zero, 10,000.
	MaxListed int

	// MaxPlaces bounds how many of them have a place on one topic; if zero,
	// MaxPlaces of this package.
	MaxPlaces int

	// CacheChannels is how many channels' machines are kept in memory; if
	// zero, 1,024.
	CacheChannels int
}

func (c *Config) validate() error {
	if c.Path == "" {
		return errors.New("catalogue has no path")
	}
	if c.MaxListed < 0 || c.MaxPlaces < 0 || c.CacheChannels < 0 {
		return errors.New("catalogue limits must not be negative")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.MaxListed == 0 {
		c.MaxListed = 10_000
	}
	if c.MaxPlaces == 0 {
		c.MaxPlaces = MaxPlaces
	}
	if c.CacheChannels == 0 {
		c.CacheChannels = 1024
	}
	return nil
}

// readers is how many connections read at a time.
const readers = 4

// Catalog is an open catalogue. Its methods may be called from many goroutines
// at once. A context bounds the waiting for a turn; what has begun on disk
// finishes.
type Catalog struct {
	cfg Config
	db  *sql.DB

	writer  chan *session // holds the one writing session, or nothing while it is used
	reading chan *session // the idle reading sessions
	closed  chan struct{} // closed by Close
	cache   *cache        // owned by whoever holds the writing session
	words   seenWords     // the same
	states  *states

	committed atomic.Uint64 // how many transactions have changed something

	mu       sync.Mutex // guards what follows
	closing  bool
	watchers map[int]func(channel.ID, feed.Kind)
	lastID   int
}

// Open opens or makes the catalogue. A file that is damaged, foreign or made
// by a newer version gives ErrForeignFile and is left as it is.
func Open(ctx context.Context, cfg Config) (*Catalog, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := checkHeader(cfg.Path); err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, cfg.Path, true)
	if err != nil {
		return nil, diagnose(cfg.Path, fmt.Errorf("opening catalogue: %w", err))
	}
	db.SetMaxOpenConns(readers + 1)
	db.SetMaxIdleConns(readers + 1)
	c := &Catalog{
		cfg: cfg, db: db,
		writer: make(chan *session, 1), reading: make(chan *session, readers), closed: make(chan struct{}),
		cache: newCache(cfg.CacheChannels), words: make(seenWords), watchers: make(map[int]func(channel.ID, feed.Kind)),
		states: newStates(),
	}
	if err := c.start(ctx); err != nil {
		err = diagnose(cfg.Path, fmt.Errorf("opening catalogue: %w", err))
		return nil, errors.Join(err, c.closeIdle(), db.Close())
	}
	return c, nil
}

// secureDelete has what is deleted overwritten: read keys that are forgotten, and
// who was a member, would else stand in the file's free space until it is used.
// The WAL file is gone when the catalogue is closed.
const secureDelete = "PRAGMA secure_delete = ON"

// start migrates the file and opens the sessions.
func (c *Catalog) start(ctx context.Context) error {
	w, err := newSession(ctx, c.db)
	if err != nil {
		return err
	}
	c.writer <- w
	if _, err := w.conn.ExecContext(ctx, secureDelete); err != nil {
		return err
	}
	if err := migrate(ctx, w, c.cfg.Path); err != nil {
		return err
	}
	if err := c.fill(ctx); err != nil {
		return err
	}
	for range readers {
		r, err := newSession(ctx, c.db)
		if err != nil {
			return err
		}
		c.reading <- r
	}
	return nil
}

// closeIdle closes the sessions of a start that failed.
func (c *Catalog) closeIdle() error {
	var errs []error
	for {
		select {
		case s := <-c.writer:
			errs = append(errs, s.close())
		case s := <-c.reading:
			errs = append(errs, s.close())
		default:
			return errors.Join(errs...)
		}
	}
}

// Close waits for calls under way and closes the file. A second Close does
// nothing.
func (c *Catalog) Close() error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return nil
	}
	c.closing = true
	c.mu.Unlock()
	close(c.closed)
	errs := []error{(<-c.writer).close()}
	for range readers {
		errs = append(errs, (<-c.reading).close())
	}
	return errors.Join(append(errs, c.db.Close())...)
}

// Watch has fn called after every commit that changed something, once per
// channel and kind, outside of all locks, by the goroutine that made the
// change. fn must be quick: let it send on a buffered channel. Calls may come
// in another order than the commits.
func (c *Catalog) Watch(fn func(id channel.ID, kind feed.Kind)) (cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lastID++
	id := c.lastID
	c.watchers[id] = fn
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, id)
	}
}

// change is what watchers are told.
type change struct {
	id   channel.ID
	kind feed.Kind
}

func (c *Catalog) notify(changes []change) {
	if len(changes) == 0 {
		return
	}
	c.mu.Lock()
	fns := make([]func(channel.ID, feed.Kind), 0, len(c.watchers))
	for _, fn := range c.watchers {
		fns = append(fns, fn)
	}
	c.mu.Unlock()
	for _, fn := range fns {
		for _, ch := range changes {
			fn(ch.id, ch.kind)
		}
	}
}
