package diskstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Recovery is what Open found, and did about it.
type Recovery struct {
	// Unclean: the store was not closed, because of a crash or a power loss.
	Unclean bool

	// Rebuilt: there were blobs, but the index was missing or damaged (and was
	// then moved aside), and was made anew from the files. Pins are lost: set
	// them again before the next Put under a quota.
	Rebuilt bool

	Adopted  int // blobs with a file that the index did not know
	Missing  int // blobs that the index knew but that had no file
	Verified int // files that were hashed, because nothing said that they were synced
	Corrupt  int // of these, those that were not what their name says: in quarantine
}

// Recovery returns what Open found.
func (s *Store) Recovery() Recovery { return s.recovery }

// suspect is a blob that reconcile found to need a look.
type suspect struct {
	id      blobnet.ID
	indexed bool  // there is a row that says it is stored
	missing bool  // there is no file
	listed  int64 // the size that the row says
	size    int64
	used    int64
	bad     bool
}

// suspectsAtOnce bounds the memory of a reconciliation.
const suspectsAtOnce = 4096

// reconcile brings index and files together: it goes through both in the order
// of ids, at the same time, with constant memory. Blobs that a sync confirmed
// are not read; of others the hash is checked, unless the index is fresh and
// nothing was left unfinished, when only the index got lost.
func (s *Store) reconcile(ctx context.Context, idx *index, unclean bool) (err error) {
	fresh := idx.fresh()
	s.recovery = Recovery{Unclean: unclean}
	known, err := newCursor(ctx, idx.db)
	if err != nil {
		return fmt.Errorf("reading index: %w", err)
	}
	defer func() { err = errors.Join(err, known.rows.Close()) }()

	var batch []suspect
	found := func(x suspect) error {
		if batch = append(batch, x); len(batch) < suspectsAtOnce {
			return nil
		}
		err := s.settle(ctx, idx, batch, unclean)
		batch = batch[:0]
		return err
	}
	missing := func() error {
		if known.entry.size < 0 {
			return nil // pinned, not stored: so it is
		}
		return found(suspect{id: known.id, indexed: true, missing: true, listed: known.entry.size})
	}
	if err := known.next(); err != nil {
		return fmt.Errorf("reading index: %w", err)
	}
	if err := s.tree.walk(func(id blobnet.ID, partial bool) error {
		if partial {
			return os.Remove(s.tree.blob(id) + part)
		}
		for !known.done && known.id.Compare(id) < 0 {
			if err := errors.Join(missing(), known.next()); err != nil {
				return err
			}
		}
		x := suspect{id: id}
		if !known.done && known.id == id {
			e := known.entry
			if err := known.next(); err != nil {
				return err
			}
			if x.indexed = e.size >= 0; x.indexed && e.gen <= idx.synced {
				return nil
			}
			x.used, x.listed = e.used, e.size
		}
		return found(x)
	}); err != nil {
		return fmt.Errorf("comparing index and files: %w", err)
	}
	for !known.done {
		if err := errors.Join(missing(), known.next()); err != nil {
			return fmt.Errorf("comparing index and files: %w", err)
		}
	}
	if err := s.settle(ctx, idx, batch, unclean); err != nil {
		return err
	}
	s.recovery.Rebuilt = fresh && s.recovery.Adopted > 0
	err = idx.write(ctx, false, func() error {
		idx.gen, idx.last = s.queue.gen, s.queue.last
		return idx.recount()
	})
	if isFull(err) && !fresh {
		err = nil // the sums are those from before, and right
	}
	return err
}

// settle looks at the suspects' files, and writes to the index what is so.
func (s *Store) settle(ctx context.Context, idx *index, batch []suspect, verify bool) error {
	if len(batch) == 0 {
		return nil
	}
	if err := s.inspect(ctx, batch, verify); err != nil {
		return err
	}
	err := idx.write(ctx, false, func() error {
		for _, x := range batch {
			var err error
			switch {
			case !x.missing && !x.bad:
				err = idx.put(row{id: x.id, size: x.size, used: x.used, gen: s.queue.gen, crc: noSum})
			case x.indexed:
				err = idx.erase(x.id)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
	if isFull(err) && !idx.fresh() {
		s.postpone(batch)
		err = nil
	}
	if err != nil {
		return err
	}
	for _, x := range batch {
		switch {
		case x.bad:
			s.recovery.Corrupt++
			s.tell(Event{Kind: EventCorrupt, ID: x.id})
		case x.missing && x.indexed:
			s.recovery.Missing++
			s.tell(Event{Kind: EventMissing, ID: x.id})
		case !x.missing:
			if !x.indexed {
				s.recovery.Adopted++
			}
			s.queue.last = max(s.queue.last, x.used)
			s.dirt.add(x.id, x.size)
		}
		if verify && !x.missing {
			s.recovery.Verified++
		}
	}
	return nil
}

// postpone has what settle found wait for the index, like what a Put does: a full
// disk keeps nobody from reading, or deleting, what is there. Called by start.
func (s *Store) postpone(batch []suspect) {
	for _, x := range batch {
		if x.indexed {
			s.usage.count--
			s.usage.stored -= x.listed
		}
		switch {
		case !x.missing && !x.bad:
			s.usage.count++
			s.usage.stored += x.size
			s.queue.rows = append(s.queue.rows, row{id: x.id, size: x.size, used: x.used, gen: s.queue.gen, crc: noSum})
		case x.indexed:
			s.queue.erased = append(s.queue.erased, x.id)
		}
	}
}

// inspect fills in what the files of batch say, on all cores.
func (s *Store) inspect(ctx context.Context, batch []suspect, verify bool) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	buffers := sync.Pool{New: func() any { return new([]byte) }}
	for i := range batch {
		x := &batch[i]
		if x.missing {
			continue
		}
		group.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			buf := buffers.Get().(*[]byte)
			defer buffers.Put(buf)
			return s.inspectFile(x, verify, buf)
		})
	}
	return group.Wait()
}

func (s *Store) inspectFile(x *suspect, verify bool, buf *[]byte) error {
	path := s.tree.blob(x.id)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		x.missing = true
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() // only read from
	fi, err := f.Stat()
	if err != nil {
		return err
	}
	x.size = fi.Size()
	if x.used == 0 {
		x.used = fi.ModTime().UnixMicro() // no better guess
	}
	switch {
	case x.size > blobnet.MaxBlobSize:
		x.bad = true
	case verify:
		blob, err := readChecked(f, x.id, (*buf)[:0])
		if x.bad = errors.Is(err, blobnet.ErrCorrupt); err != nil && !x.bad {
			return err
		}
		if cap(blob) > cap(*buf) {
			*buf = blob
		}
	}
	if x.bad {
		return s.setAside(path)
	}
	return nil
}

// cursor goes through the index in order of id.
type cursor struct {
	rows  *sql.Rows
	id    blobnet.ID
	entry entry
	done  bool
}

func newCursor(ctx context.Context, db *sql.DB) (*cursor, error) {
	rows, err := db.QueryContext(ctx, "SELECT id, size, used, pins, gen FROM blobs ORDER BY id")
	if err != nil {
		return nil, err
	}
	return &cursor{rows: rows}, nil
}

func (c *cursor) next() error {
	if !c.rows.Next() {
		c.done = true
		return c.rows.Err()
	}
	var id []byte
	if err := c.rows.Scan(&id, &c.entry.size, &c.entry.used, &c.entry.pins, &c.entry.gen); err != nil {
		return err
	}
	copy(c.id[:], id)
	return nil
}
