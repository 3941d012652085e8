package inplace

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"sync/atomic"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Inner is the store behind a Store. *diskstore.Store and *memstore.Store are
// ones.
type Inner interface {
	blobnet.Store
	blobnet.VerifiedPutter
	blobnet.Deleter
	blobnet.Lister
	blobnet.Pinner
	blobnet.Syncer
	blobnet.Stater
}

// Config is what Open needs.
type Config struct {
	// Inner keeps what lies in no file. It is the caller's to close.
	Inner Inner

	// Path is the database's; it is made, with mode 0600, if it is missing. It
	// holds the keys of chunks.
	Path string

	// OpenFiles is how many files are held open between reads, so that serving
	// one is not an open for each chunk. If zero, 64.
	OpenFiles int

	// OnEvent, if not nil, is told what whoever owns the files should know. It
	// is called by whoever finds it out, several at once, and must be quick.
	OnEvent func(Event)
}

func (c Config) validate() (Config, error) {
	switch {
	case c.Inner == nil || c.Path == "":
		return c, errors.New("inplace: want an inner store and the path of a database")
	case c.OpenFiles < 0:
		return c, fmt.Errorf("inplace: %d open files", c.OpenFiles)
	case c.OpenFiles == 0:
		c.OpenFiles = 64
	}
	if !keepOpen {
		c.OpenFiles = 0
	}
	return c, nil
}

// Store is an inner store and the blobs that lie in files. Its methods may be
// called from many goroutines at once.
//
// A blob in a file counts as stored: Get, Has and List have it, a Put of it
// stores no second copy. It is not evicted and not counted by Stats, which is
// about the inner store and its quota; see Usage. A pin of it is kept, and
// counted, by the inner store: it holds for the copy that is there or comes,
// say because the file vanished. Delete forgets where the blob lies, pinned or
// not, and leaves the file alone, which is the user's.
type Store struct {
	cfg     Config
	db      *database
	handles handles
	writer  chan struct{} // holds one token, or nothing while rows are written
	some    atomic.Bool   // there may be blobs in files
	fresh   bool          // nothing was known when it was opened
	broken  atomic.Bool   // the database is damaged: nothing is read from it any more

	mu      sync.Mutex // guards what follows; never held across I/O
	next    int64      // id of the next file
	pending *batch     // not in the database yet
	writing *batch     // on its way there; nil if none is
	batches uint64     // that have been written, so that a look at both sees none slip through
	growing map[int64]*growth
	paths   map[string]int64 // of growing, by path
	told    map[int64]tale
	gone    map[int64]uint64 // files that are not there, by the order in which that was found out
	missed  uint64           // of these there were
}

var _ Inner = (*Store)(nil)

// stamp is how a file looked from outside.
type stamp struct {
	size          int64 // -1: not known, as long as it is written
	mtime         int64 // nanoseconds since 1970
	device, inode uint64
}

var unknown = stamp{size: -1}

func stampOf(info fs.FileInfo) stamp {
	s := stamp{size: info.Size(), mtime: info.ModTime().UnixNano()}
	s.device, s.inode = identity(info)
	return s
}

// growth is a file that is being registered by this process.
type growth struct {
	row   row
	users int
}

// Open opens the database, or makes one. A damaged one is moved aside, which an
// Event tells: the files are then registered anew by whoever knows them. Open
// starts nothing.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	cfg, err := cfg.validate()
	if err != nil {
		return nil, err
	}
	s := &Store{
		cfg: cfg, handles: handles{limit: cfg.OpenFiles, open: map[int64]*handle{}}, writer: make(chan struct{}, 1),
		pending: newBatch(), growing: map[int64]*growth{}, paths: map[string]int64{}, told: map[int64]tale{},
	}
	s.writer <- struct{}{}
	db, last, damage, err := openDatabase(ctx, cfg.Path)
	if err != nil {
		return nil, fmt.Errorf("opening the list of blobs in files: %w", err)
	}
	s.db, s.next = db, last+1
	s.some.Store(last > 0)
	s.fresh = last == 0
	if damage != nil {
		s.event(Event{KindDatabase, cfg.Path, damage})
	}
	return s, nil
}

// Fresh reports whether no file was known when the Store was opened: it is new,
// or what was known is lost.
func (s *Store) Fresh() bool { return s.fresh }

// Close writes down what is not yet, and closes the database and all files. No
// other method may be under way.
func (s *Store) Close() error {
	err := asFull(s.flush(context.Background()))
	s.handles.closeAll()
	err = errors.Join(err, s.db.close())
	if s.broken.Load() {
		err = moveAside(s.cfg.Path)
	}
	return err
}

// Usage counts the blobs that lie in files.
type Usage struct {
	Files int64
	Blobs int64 // those in two files count twice
	Bytes int64 // of the blobs, were they stored
}

// Usage counts what lies in files. On a full disk that is also what could not be
// written down; a file that such a one replaces may count as well then.
func (s *Store) Usage(ctx context.Context) (Usage, error) {
	if err := s.turn(ctx); err != nil {
		return Usage{}, err
	}
	w, err := s.flushForReader(ctx)
	if len(w.files)+len(w.claims) > 0 {
		defer s.endTurn() // so that none of it is written, and counted twice
	} else {
		s.endTurn()
	}
	if err != nil || s.broken.Load() {
		return Usage{}, err
	}
	u, err := s.db.usage(ctx, s.goneFiles())
	if err != nil {
		return Usage{}, err
	}
	more, err := s.db.beside(ctx, w)
	return Usage{Files: u.Files + more.Files, Blobs: u.Blobs + more.Blobs, Bytes: u.Bytes + more.Bytes}, err
}

// Stats is that of the inner store: what lies in files is not counted.
func (s *Store) Stats(ctx context.Context) (blobnet.Stats, error) { return s.cfg.Inner.Stats(ctx) }

// Pin pins in the inner store, also what lies in files.
func (s *Store) Pin(ctx context.Context, ids ...blobnet.ID) error {
	return s.cfg.Inner.Pin(ctx, ids...)
}

// Unpin is the counterpart of Pin.
func (s *Store) Unpin(ctx context.Context, ids ...blobnet.ID) error {
	return s.cfg.Inner.Unpin(ctx, ids...)
}

// UnpinTo is that of the inner store.
func (s *Store) UnpinTo(ctx context.Context, to blobnet.Mark, ids ...blobnet.ID) error {
	return s.cfg.Inner.UnpinTo(ctx, to, ids...)
}

// UnpinnedTo is that of the inner store.
func (s *Store) UnpinnedTo(ctx context.Context) (blobnet.Mark, error) {
	return s.cfg.Inner.UnpinnedTo(ctx)
}

// Sync makes what was put, and where the blobs in files lie, survive a power
// loss. The files themselves are synced by whoever writes them. On a full disk
// it gives an error that wraps blobnet.ErrFull; what could not be written down is
// served until the process ends, and written by a later call.
func (s *Store) Sync(ctx context.Context) error {
	err := s.flush(ctx)
	if err == nil && !s.broken.Load() {
		err = s.db.sync(ctx)
	}
	return errors.Join(asFull(err), s.cfg.Inner.Sync(ctx))
}
