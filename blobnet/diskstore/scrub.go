package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/disk"
)

// ScrubConfig says how to look for blobs that are not what they were.
type ScrubConfig struct {
	// BytesPerSecond is how fast to read; if zero, 16 MiB; if negative, as fast
	// as it goes.
	BytesPerSecond int64

	// Restart begins with the first blob; otherwise the Scrub goes on where one
	// that was cut short had come to, over restarts as well.
	Restart bool

	// OnProgress is called after some blobs, and at the end, with what was done
	// so far; if nil, nobody is.
	OnProgress func(ScrubResult)

	// OnCorrupt is called for each blob that is not what its id names, and
	// OnMissing for each whose file is gone; if nil, nobody is. Config.OnEvent
	// is told of both, too. The blob counts as missing then: fetch it again.
	OnCorrupt func(blobnet.ID)
	OnMissing func(blobnet.ID)
}

const defaultScrubRate = 16 << 20

// ScrubResult is what a Scrub did.
type ScrubResult struct {
	Blobs, Bytes int64      // what was read
	Corrupt      int64      // blobs that were not what their ids name: in quarantine
	Missing      int64      // blobs that the index had and that had no file
	Resumed      bool       // it went on with one that was cut short
	Done         bool       // it came to the last blob; the next begins with the first
	At           blobnet.ID // the last blob looked at
}

// A Scrub notes how far it is, and reports, after this many blobs or bytes: so
// much is read again by one after a crash.
const (
	scrubNoteBlobs = listPage
	scrubNoteBytes = 256 << 20
)

// recentlyUsed is the time for which a blob's use says that it will be wanted
// again: such blobs a Scrub reads where they are, in memory, and leaves there.
const recentlyUsed = time.Hour

// Scrub reads every stored blob once, in the order of ids, at an even rate, and
// hashes it. What is rotten goes to quarantine. It is no use of the blobs, holds
// nothing while it waits or reads but one file and its bytes, and reads the disk
// rather than the system's memory where it can. When it ends early the result
// says what was done, and the next goes on there. One Scrub runs at a time;
// another waits. Close ends it, with ErrClosed.
func (s *Store) Scrub(ctx context.Context, cfg ScrubConfig) (ScrubResult, error) {
	if cfg.BytesPerSecond == 0 {
		cfg.BytesPerSecond = defaultScrubRate
	}
	select {
	case <-s.scrubbing:
		defer func() { s.scrubbing <- struct{}{} }()
	case <-ctx.Done():
		return ScrubResult{}, ctx.Err()
	}
	run := &scrub{store: s, cfg: cfg, pace: pacer{rate: cfg.BytesPerSecond}}
	err := run.all(ctx)
	if err == nil {
		run.res.Done = true
	}
	if nerr := run.note(context.WithoutCancel(ctx)); err == nil {
		err = nerr
	}
	if err != nil {
		err = fmt.Errorf("scrubbing blob store: %w", err)
	}
	return run.res, err
}

// scrub is one Scrub.
type scrub struct {
	store *Store
	cfg   ScrubConfig
	pace  pacer
	res   ScrubResult
	begun bool // At means something
	buf   []byte
	blobs int   // since the last note
	bytes int64 // since the last note
}

func (r *scrub) all(ctx context.Context) error {
	if !r.cfg.Restart {
		if err := r.resume(ctx); err != nil {
			return err
		}
	}
	for {
		var page []listed
		if err := r.store.withIndex(ctx, "listing blobs", func(idx *index) (err error) {
			page, err = idx.page(ctx, r.res.At, !r.begun)
			return err
		}); err != nil {
			return err
		}
		for _, l := range page {
			if err := r.pace.wait(ctx); err != nil {
				return err
			}
			n, err := r.look(ctx, l)
			if err != nil {
				return err
			}
			r.pace.spend(n)
			r.res.At, r.begun = l.ID, true
			r.blobs++
			if r.bytes += n; r.blobs >= scrubNoteBlobs || r.bytes >= scrubNoteBytes {
				if err := r.note(ctx); err != nil {
					return err
				}
			}
		}
		if len(page) < listPage {
			return nil
		}
	}
}

// resume finds out where the last one had come to.
func (r *scrub) resume(ctx context.Context) error {
	return r.store.withIndex(ctx, "reading index", func(idx *index) error {
		var at []byte
		err := idx.conn.QueryRowContext(ctx, "SELECT scrubbed FROM state").Scan(&at)
		if err == nil && len(at) == len(r.res.At) {
			copy(r.res.At[:], at)
			r.begun, r.res.Resumed = true, true
		}
		return err
	})
}

// note writes down how far it came. On a full disk it does not.
func (r *scrub) note(ctx context.Context) error {
	r.blobs, r.bytes = 0, 0
	if r.cfg.OnProgress != nil {
		r.cfg.OnProgress(r.res)
	}
	var at any
	if !r.res.Done && r.begun {
		at = r.res.At[:]
	}
	err := r.store.withIndex(ctx, "writing index", func(idx *index) error {
		return idx.write(ctx, false, func() error {
			_, err := idx.exec("UPDATE state SET scrubbed = ?", at)
			return err
		})
	})
	if errors.Is(err, blobnet.ErrFull) {
		return nil
	}
	return err
}

// look reads one blob, and reports how many bytes it read.
func (r *scrub) look(ctx context.Context, l listed) (int64, error) {
	s := r.store
	if err := s.begin(ctx); err != nil {
		return 0, err
	}
	defer s.ops.Done()
	path := s.tree.blob(l.ID)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, r.missing(ctx, l.ID)
	}
	if err != nil {
		return 0, err
	}
	defer f.Close() // only read from
	cold := s.cfg.Now().Sub(l.Used) > recentlyUsed
	if cold {
		disk.DropCache(f)
	}
	r.buf, err = readChecked(f, l.ID, r.buf[:0])
	if cold {
		disk.DropCache(f)
	}
	switch {
	case errors.Is(err, blobnet.ErrCorrupt):
		if err := s.condemn(ctx, l.ID, path, f); err != nil {
			return 0, err
		}
		r.res.Corrupt++
		if r.cfg.OnCorrupt != nil {
			r.cfg.OnCorrupt(l.ID)
		}
		r.buf = r.buf[:0]
	case err != nil:
		return 0, err
	case l.crc == noSum:
		s.noteSum(l.ID, r.buf)
	}
	n := int64(len(r.buf))
	r.res.Blobs++
	r.res.Bytes += n
	return max(n, l.Size), nil
}

// missing takes a blob without a file out of the index, unless it was deleted
// or put meanwhile.
func (r *scrub) missing(ctx context.Context, id blobnet.ID) error {
	gone, err := r.store.dropMissing(ctx, id)
	if err != nil || !gone {
		return err
	}
	r.res.Missing++
	r.store.tell(Event{Kind: EventMissing, ID: id})
	if r.cfg.OnMissing != nil {
		r.cfg.OnMissing(id)
	}
	return nil
}

func (s *Store) dropMissing(ctx context.Context, id blobnet.ID) (bool, error) {
	if err := s.claims.take(ctx, id); err != nil {
		return false, err
	}
	defer s.claims.drop(id)
	if _, err := os.Lstat(s.tree.blob(id)); !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	idx, err := s.takeIndex(ctx)
	if err != nil {
		return false, err
	}
	defer func() { s.index <- idx }()
	if err := s.flush(ctx, idx, flushOptions{}); err != nil {
		return false, err
	}
	e, err := idx.find(id)
	if err != nil || e.size < 0 {
		return false, err
	}
	return true, errors.Join(s.markUncleanOwned(), s.erase(ctx, idx, []row{{id: id}}))
}

// pacer spreads reading evenly over time. What was not used it does not save up.
type pacer struct {
	rate int64     // bytes a second; not above zero: without bound
	next time.Time // not before then is more to be read
}

func (p *pacer) spend(n int64) {
	if p.rate <= 0 {
		return
	}
	if now := time.Now(); p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
}

// pacerSlack is the wait that is not worth a timer.
const pacerSlack = 2 * time.Millisecond

func (p *pacer) wait(ctx context.Context) error {
	d := time.Until(p.next)
	if d < pacerSlack {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
