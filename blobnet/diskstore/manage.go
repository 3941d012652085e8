package diskstore

import (
	"context"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// withIndex calls fn with the index, in which everything is by then that was
// put or used before. On a full disk, where the index cannot be brought up to
// date, fn sees an older one: what reads goes on, and what writes meets the
// error itself.
func (s *Store) withIndex(ctx context.Context, doing string, fn func(*index) error) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.ops.Done()
	idx, err := s.takeIndex(ctx)
	if err != nil {
		return err
	}
	defer func() { s.index <- idx }()
	if err = s.flush(ctx, idx, flushOptions{}); err == nil || isFull(err) {
		err = fn(idx)
	}
	if err != nil {
		if isFull(err) {
			err = fmt.Errorf("%w: %w", blobnet.ErrFull, err)
		}
		return fmt.Errorf("%s: %w", doing, err)
	}
	return nil
}

// Pin implements blobnet.Pinner: all of ids are pinned or none, and pins are
// durable when it returns, whatever a power loss does to the blobs.
func (s *Store) Pin(ctx context.Context, ids ...blobnet.ID) error {
	return s.withIndex(ctx, "pinning blobs", func(idx *index) error {
		return idx.write(ctx, true, func() error { return each(ids, idx.pin) })
	})
}

// Unpin implements blobnet.Pinner, as durably as Pin.
func (s *Store) Unpin(ctx context.Context, ids ...blobnet.ID) error {
	return s.withIndex(ctx, "unpinning blobs", func(idx *index) error {
		return idx.write(ctx, true, func() error { return each(ids, idx.unpin) })
	})
}

// UnpinTo implements blobnet.Pinner, as durably as Pin.
func (s *Store) UnpinTo(ctx context.Context, to blobnet.Mark, ids ...blobnet.ID) error {
	return s.withIndex(ctx, "unpinning blobs", func(idx *index) error {
		return idx.write(ctx, true, func() error {
			if err := each(ids, idx.unpin); err != nil {
				return err
			}
			_, err := idx.exec("UPDATE state SET unpin_number = ?, unpin_left = ?", to.Number, to.Left)
			return err
		})
	})
}

// UnpinnedTo implements blobnet.Pinner.
func (s *Store) UnpinnedTo(ctx context.Context) (mark blobnet.Mark, err error) {
	err = s.withIndex(ctx, "looking how far blobs were unpinned", func(idx *index) error {
		return idx.conn.QueryRowContext(ctx, "SELECT unpin_number, unpin_left FROM state").Scan(&mark.Number, &mark.Left)
	})
	return mark, err
}

// Pinned reports which of ids are pinned, stored or not.
func (s *Store) Pinned(ctx context.Context, ids ...blobnet.ID) ([]bool, error) {
	pinned := make([]bool, len(ids))
	return pinned, s.withIndex(ctx, "looking for pins", func(idx *index) error {
		for i, id := range ids {
			e, err := idx.find(id)
			if err != nil {
				return err
			}
			pinned[i] = e.pins > 0
		}
		return nil
	})
}

func each(ids []blobnet.ID, fn func(blobnet.ID) error) error {
	for _, id := range ids {
		if err := fn(id); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements blobnet.Deleter. If one of ids is pinned, none is deleted.
// A blob whose file another call is making at the same time (a Put, or a Sync
// that writes it again) may be there afterwards, as if it had been put a moment
// later.
func (s *Store) Delete(ctx context.Context, ids ...blobnet.ID) error {
	return s.withIndex(ctx, "deleting blobs", func(idx *index) error {
		for _, id := range ids {
			e, err := idx.find(id)
			if err != nil {
				return err
			}
			if e.pins > 0 && e.size >= 0 {
				return fmt.Errorf("%s: %w", id, blobnet.ErrPinned)
			}
		}
		victims := make([]row, 0, len(ids))
		for _, id := range ids {
			if s.claims.try(id) {
				defer s.claims.drop(id)
				victims = append(victims, row{id: id})
			}
		}
		_, err := s.remove(ctx, idx, victims)
		return err
	})
}

// Stats implements blobnet.Stater.
func (s *Store) Stats(ctx context.Context) (stats blobnet.Stats, err error) {
	err = s.withIndex(ctx, "counting blobs", func(idx *index) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		stats = blobnet.Stats{
			BlobCount: s.usage.count, CurrentSize: s.usage.stored, MaxSize: s.quota,
			Pinned: idx.pinned, PinnedSize: idx.pinnedSize,
		}
		return nil
	})
	return stats, err
}

// listPage is how many blobs List reads at a time.
const listPage = 1024

// List implements blobnet.Lister. The index is free between pages, so yield
// may be slow and may use the store.
func (s *Store) List(ctx context.Context, yield func(blobnet.Info) error) error {
	var after blobnet.ID
	first := true
	for {
		var page []listed
		err := s.withIndex(ctx, "listing blobs", func(idx *index) (err error) {
			page, err = idx.page(ctx, after, first)
			return err
		})
		if err != nil {
			return err
		}
		for _, l := range page {
			if err := yield(l.Info); err != nil {
				return err
			}
		}
		if len(page) < listPage {
			return nil
		}
		after, first = page[len(page)-1].ID, false
	}
}

// listed is what the index says of a stored blob.
type listed struct {
	blobnet.Info
	crc int64
}

// page returns the next blobs in order of id: those from after on, without
// after itself unless first.
func (x *index) page(ctx context.Context, after blobnet.ID, first bool) ([]listed, error) {
	query := "SELECT id, size, pins, used, crc FROM blobs WHERE id > ? AND size >= 0 ORDER BY id LIMIT ?"
	if first {
		query = "SELECT id, size, pins, used, crc FROM blobs WHERE id >= ? AND size >= 0 ORDER BY id LIMIT ?"
	}
	s, err := x.stmt(query)
	if err != nil {
		return nil, err
	}
	rows, err := s.QueryContext(ctx, after[:], listPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close() // Err tells
	page := make([]listed, 0, listPage)
	for rows.Next() {
		var l listed
		var id []byte
		var used int64
		if err := rows.Scan(&id, &l.Size, &l.Pins, &used, &l.crc); err != nil {
			return nil, err
		}
		copy(l.ID[:], id)
		l.Pinned, l.Used = l.Pins > 0, time.UnixMicro(used)
		page = append(page, l)
	}
	return page, rows.Err()
}
