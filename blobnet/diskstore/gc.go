package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// GCConfig says what may go.
type GCConfig struct {
	// DryRun counts, and changes nothing.
	DryRun bool

	// Target is how many bytes of blobs may stay: those used longest ago that
	// are not pinned go until no more are left. If zero, all that are not pinned
	// go; if negative, none, and only leftovers do.
	Target int64

	// KeepQuarantine is how long files that were not what their names said are
	// kept; if zero, a week; if negative, not at all.
	KeepQuarantine time.Duration
}

const defaultKeepQuarantine = 7 * 24 * time.Hour

// GCResult is what a GC removed, or would have.
type GCResult struct {
	Blobs, Bytes           int64 // blobs that were not pinned
	Leftovers              int64 // half-written files, and folders without files
	Quarantined, BadBytes  int64 // files in quarantine
	IndexBefore, IndexSize int64 // bytes of the index file
	Left, LeftBytes        int64 // blobs that stay
}

// GC makes room: it deletes blobs down to a target, files that nobody will
// finish, old files in quarantine and empty folders, and makes the index as
// small as its rows. Puts and Gets go on meanwhile; what they use while GC looks
// at it stays. When it ends early the result says what was done.
func (s *Store) GC(ctx context.Context, cfg GCConfig) (GCResult, error) {
	if cfg.KeepQuarantine == 0 {
		cfg.KeepQuarantine = defaultKeepQuarantine
	}
	var res GCResult
	if err := s.begin(ctx); err != nil {
		return res, err
	}
	defer s.ops.Done()
	for _, step := range []func(context.Context, GCConfig, *GCResult) error{s.gcBlobs, s.gcLeftovers, s.gcQuarantine, s.gcIndex} {
		if err := step(ctx, cfg, &res); err != nil {
			return res, fmt.Errorf("collecting garbage of blob store: %w", err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	res.Left, res.LeftBytes = s.usage.count, s.usage.stored
	if cfg.DryRun {
		res.Left, res.LeftBytes = res.Left-res.Blobs, res.LeftBytes-res.Bytes
	}
	return res, nil
}

func (s *Store) gcBlobs(ctx context.Context, cfg GCConfig, res *GCResult) error {
	if cfg.Target < 0 {
		return nil
	}
	if cfg.DryRun {
		return s.withIndex(ctx, "reading index", func(idx *index) (err error) {
			res.Blobs, res.Bytes, err = idx.countOldest(ctx, idx.size-cfg.Target)
			return err
		})
	}
	for {
		count, freed := int64(0), int64(0)
		if err := s.withIndex(ctx, "deleting blobs", func(idx *index) error {
			need := idx.size - cfg.Target
			if need <= 0 {
				return nil
			}
			victims, err := idx.oldest(ctx, need, 0, s.claims.try)
			for _, v := range victims {
				defer s.claims.drop(v.id)
			}
			if err != nil {
				return err
			}
			before := idx.count
			freed, err = s.remove(ctx, idx, victims)
			count = before - idx.count
			return err
		}); err != nil {
			return err
		}
		res.Blobs += count
		res.Bytes += freed
		if count == 0 {
			return nil
		}
	}
}

// countOldest returns how many blobs would have to go for need bytes.
func (x *index) countOldest(ctx context.Context, need int64) (count, size int64, err error) {
	s, err := x.stmt("SELECT size FROM blobs WHERE pins = 0 ORDER BY used")
	if err != nil {
		return 0, 0, err
	}
	rows, err := s.QueryContext(ctx)
	if err != nil {
		return 0, 0, err
	}
	defer rows.Close() // Err tells
	for size < need && rows.Next() {
		var n int64
		if err := rows.Scan(&n); err != nil {
			return 0, 0, err
		}
		count, size = count+1, size+n
	}
	return count, size, rows.Err()
}

// gcLeftovers removes half-written files that nobody is writing, and folders
// without files.
func (s *Store) gcLeftovers(ctx context.Context, cfg GCConfig, res *GCResult) error {
	if err := s.tree.walk(func(id blobnet.ID, partial bool) error {
		if !partial {
			return ctx.Err()
		}
		if !s.claims.try(id) {
			return nil // it is being written
		}
		defer s.claims.drop(id)
		if !cfg.DryRun {
			if err := os.Remove(s.tree.blob(id) + part); errors.Is(err, fs.ErrNotExist) {
				return nil // its writer has just ended
			} else if err != nil {
				return err
			}
		}
		res.Leftovers++
		return nil
	}); err != nil {
		return err
	}
	// A Sync in the meantime would not know that a folder made again is new.
	select {
	case <-s.syncing:
		defer func() { s.syncing <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for n := range leaves {
		names, err := readNames(s.tree.leaf(n))
		if err != nil {
			return err
		}
		if _, err := os.Lstat(s.tree.leaf(n)); err != nil || len(names) > 0 {
			continue
		}
		if !cfg.DryRun {
			if os.Remove(s.tree.leaf(n)) != nil {
				continue // a Put has just come
			}
			s.named.remove(n)
		}
		res.Leftovers++
	}
	return nil
}

func (s *Store) gcQuarantine(_ context.Context, cfg GCConfig, res *GCResult) error {
	files, err := readNames(s.tree.quarantine())
	if err != nil {
		return err
	}
	for _, file := range files {
		fi, err := file.Info()
		if err != nil || s.cfg.Now().Sub(fi.ModTime()) < cfg.KeepQuarantine {
			continue
		}
		if !cfg.DryRun {
			if err := os.Remove(filepath.Join(s.tree.quarantine(), file.Name())); err != nil {
				return err
			}
		}
		res.Quarantined++
		res.BadBytes += fi.Size()
	}
	return nil
}

// gcIndex makes the index file as small as what is in it, if a quarter of it
// is not used. For that SQLite writes it anew, which needs room: on a full disk
// it stays as it is.
func (s *Store) gcIndex(ctx context.Context, cfg GCConfig, res *GCResult) error {
	return s.withIndex(ctx, "compacting index", func(idx *index) error {
		var pages, free, size int64
		for query, to := range map[string]*int64{"PRAGMA page_count": &pages, "PRAGMA freelist_count": &free, "PRAGMA page_size": &size} {
			if err := idx.conn.QueryRowContext(ctx, query).Scan(to); err != nil {
				return err
			}
		}
		res.IndexBefore, res.IndexSize = pages*size, pages*size
		if cfg.DryRun || free*4 < pages {
			return nil
		}
		if _, err := idx.conn.ExecContext(ctx, "VACUUM; PRAGMA wal_checkpoint(TRUNCATE)"); err != nil && !isFull(err) {
			return err
		}
		if err := idx.conn.QueryRowContext(ctx, "PRAGMA page_count").Scan(&pages); err != nil {
			return err
		}
		res.IndexSize = pages * size
		return nil
	})
}
