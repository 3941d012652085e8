package diskstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/flock"
)

// Config says where and how much to store.
type Config struct {
	// Dir is the folder, made with mode 0700 if it is missing. One store at a
	// time has it open: a second Open, by this or another process, gives an
	// error that wraps ErrLocked.
	Dir string

	// MaxSize, MaxPercent and MinFree are the first Limits; SetLimits changes
	// them.
	MaxSize    int64
	MaxPercent float64
	MinFree    int64

	// OnEvent is told what whoever runs the store wants to know; if nil, nobody
	// is. It is called by the goroutine that met the thing (also in Open, before
	// that returns), with nothing held: it should be quick, may use the store, and
	// must not close it.
	OnEvent func(Event)

	// Now is the clock that use times are taken from; if nil, time.Now. Only
	// their order matters, and it is kept when the clock is set back.
	Now func() time.Time
}

// ErrLocked: the store is open already, here or in another process, whose id
// the error's text has. Close it there, or use another folder.
var ErrLocked = flock.ErrLocked

func (c *Config) validate() error {
	if c.Dir == "" {
		return errors.New("blob store has no folder")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	limits := c.limits()
	return limits.validate()
}

// Store is an open store. It implements blobnet.Store, VerifiedPutter,
// Deleter, Lister, Pinner, Syncer and Stater, and has besides GetToSend, Scrub
// and GC. Its methods may be called from many goroutines at
// once; a context bounds the waiting for others, and what has begun on disk
// finishes.
type Store struct {
	cfg      Config
	tree     tree
	lock     *flock.Lock
	recovery Recovery

	claims  claims
	syncing chan struct{} // holds one token, or nothing while a sync runs
	index   chan *index   // holds the index, or nothing while it is used

	ops     sync.WaitGroup // calls under way, and the background worker
	unclean atomic.Bool    // the marker of unfinished work is on disk

	named    leafSet              // leaf folders whose names are durable; owned with the turn to sync
	disk     *disk.Disk           // nil if the system cannot sync it as a whole
	fsync    func(*os.File) error // (*os.File).Sync, but for tests
	syncDisk func() error         // disk.Sync, but for tests; nil if the system cannot

	sums  sums
	sumOf *sql.Stmt // the index's CRC of an id; needs no turn

	scrubbing chan struct{} // holds one token, or nothing while a Scrub runs

	mu      sync.Mutex // guards what follows
	closing bool
	limits  Limits
	quota   int64 // what limits come to in bytes, 0 for none
	full    fullness
	usage   usage
	queue   queue
	dirt    dirt
}

var _ interface {
	blobnet.Store
	blobnet.VerifiedPutter
	blobnet.Deleter
	blobnet.Lister
	blobnet.Pinner
	blobnet.Syncer
	blobnet.Stater
} = (*Store)(nil)

// Open opens or makes the store in cfg.Dir. After a crash it first brings
// index and files together; Recovery tells what it found.
func Open(cfg Config) (*Store, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, tree: tree{root: cfg.Dir}, claims: claims{held: make(map[blobnet.ID]chan struct{})},
		syncing: make(chan struct{}, 1), index: make(chan *index, 1), scrubbing: make(chan struct{}, 1), fsync: (*os.File).Sync,
	}
	s.queue.init()
	s.syncing <- struct{}{}
	s.scrubbing <- struct{}{}
	for _, dir := range []string{cfg.Dir, s.tree.quarantine()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("opening blob store: %w", err)
		}
	}
	lock, err := flock.TryLock(s.tree.lock())
	if err != nil {
		return nil, fmt.Errorf("opening blob store: %w", err)
	}
	s.lock = lock
	if d, err := disk.Open(cfg.Dir); err == nil {
		s.disk, s.syncDisk = d, d.Sync
	}
	if err := s.start(context.Background()); err != nil {
		return nil, errors.Join(fmt.Errorf("opening blob store %s: %w", cfg.Dir, err), s.closeDisk(), lock.Unlock())
	}
	return s, nil
}

// start cleans up, opens the index and, where needed, compares it with the
// files.
func (s *Store) start(ctx context.Context) error {
	if err := s.setLimits(s.cfg.limits()); err != nil {
		return err
	}
	_, err := os.Lstat(s.tree.marker())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	unclean := err == nil
	idx, err := openIndex(ctx, s.tree.index())
	if err != nil {
		return err
	}
	s.unclean.Store(unclean)
	s.queue.gen, s.queue.last = idx.gen+1, idx.last
	if idx.version < schemaVersion || idx.fresh() {
		if err := s.migrate(ctx, idx); err != nil {
			return errors.Join(err, idx.close())
		}
	}
	if unclean || idx.fresh() {
		err := s.reconcile(ctx, idx, unclean)
		if isDamaged(err) { // reading every row is what found it
			if idx, err = replaceIndex(ctx, idx, s.tree.index()); err != nil {
				return err
			}
			s.dirt, s.usage, s.queue.rows, s.queue.erased = dirt{}, usage{}, nil, nil
			err = s.reconcile(ctx, idx, unclean)
		}
		if err != nil {
			return errors.Join(err, idx.close())
		}
	}
	if s.sumOf, err = idx.db.PrepareContext(ctx, "SELECT crc FROM blobs WHERE id = ?"); err != nil {
		return errors.Join(err, idx.close())
	}
	s.usage.stored += idx.size
	s.usage.count += idx.count
	s.index <- idx
	s.lookForRoom()
	return nil
}

// Close waits for calls under way, makes everything durable and lets the next
// Open start without checks. Every call after it gives ErrClosed, and so does
// a second Close.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return fmt.Errorf("closing blob store: %w", blobnet.ErrClosed)
	}
	s.closing = true
	s.mu.Unlock()
	s.ops.Wait()

	ctx := context.Background()
	err := s.sync(ctx)
	idx := <-s.index
	if ferr := s.flush(ctx, idx, flushOptions{}); ferr != nil && err == nil {
		err = ferr
	}
	err = errors.Join(err, s.sumOf.Close(), idx.close())
	if err == nil && s.unclean.Load() {
		err = s.removeMarker()
	}
	if err = errors.Join(err, s.closeDisk(), s.lock.Unlock()); err != nil {
		return fmt.Errorf("closing blob store %s: %w", s.cfg.Dir, err)
	}
	return nil
}

func (s *Store) closeDisk() error {
	if s.disk == nil {
		return nil
	}
	return s.disk.Close()
}

// begin lets a call in; every begin that gives nil wants one s.ops.Done.
func (s *Store) begin(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		return fmt.Errorf("blob store: %w", blobnet.ErrClosed)
	}
	s.ops.Add(1)
	return nil
}

// takeIndex waits for the index; the caller gives it back to s.index.
func (s *Store) takeIndex(ctx context.Context) (*index, error) {
	select {
	case idx := <-s.index:
		return idx, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// markUnclean puts the marker on disk, once, before the first change: while it
// is there, a start does not trust the index.
func (s *Store) markUnclean(ctx context.Context) error {
	if s.unclean.Load() {
		return nil
	}
	idx, err := s.takeIndex(ctx) // so that one of several callers does it
	if err != nil {
		return err
	}
	defer func() { s.index <- idx }()
	return s.markUncleanOwned()
}

// markUncleanOwned is markUnclean for whoever has the index.
func (s *Store) markUncleanOwned() error {
	if s.unclean.Load() {
		return nil
	}
	if err := disk.Regular(s.tree.marker()); err != nil {
		return err
	}
	f, err := os.OpenFile(s.tree.marker(), os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(s.fsync(f), f.Close(), s.syncDir(s.tree.root)); err != nil {
		return err
	}
	s.unclean.Store(true)
	return nil
}

func (s *Store) removeMarker() error {
	if err := os.Remove(s.tree.marker()); err != nil {
		return err
	}
	s.unclean.Store(false)
	return s.syncDir(s.tree.root)
}
