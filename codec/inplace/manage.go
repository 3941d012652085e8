package inplace

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Put stores a blob unless it lies in a file already.
func (s *Store) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	if here, err := s.lies(ctx, id, blob); here || err != nil {
		return err
	}
	return s.cfg.Inner.Put(ctx, id, blob)
}

// PutVerified is Put for a caller who has just hashed the blob.
func (s *Store) PutVerified(ctx context.Context, id blobnet.ID, blob []byte) error {
	if here, err := s.lies(ctx, id, blob); here || err != nil {
		return err
	}
	return s.cfg.Inner.PutVerified(ctx, id, blob)
}

// lies reports whether these very bytes come out of a file.
func (s *Store) lies(ctx context.Context, id blobnet.ID, blob []byte) (bool, error) {
	if !s.some.Load() {
		return false, nil
	}
	places, err := s.places(ctx, id)
	if err != nil || len(places) == 0 {
		return false, err
	}
	have, err := s.fromFiles(ctx, id, nil, false)
	if err != nil || have == nil {
		return false, err
	}
	if !bytes.Equal(have, blob) {
		return false, fmt.Errorf("putting blob %s: %w", id.Short(), blobnet.ErrCorrupt)
	}
	return true, nil
}

// Delete deletes from the inner store, and forgets where the blobs lie in
// files, which stay as they are.
func (s *Store) Delete(ctx context.Context, ids ...blobnet.ID) error {
	if err := s.cfg.Inner.Delete(ctx, ids...); err != nil || !s.some.Load() {
		return err
	}
	for _, id := range ids {
		places, err := s.places(ctx, id)
		if err == nil && len(places) > 0 {
			err = s.forgetClaim(ctx, id, 0)
		}
		if err != nil {
			return fmt.Errorf("deleting blob %s: %w", id.Short(), err)
		}
	}
	return nil
}

// List yields what is stored and what lies in files, in one order.
func (s *Store) List(ctx context.Context, yield func(blobnet.Info) error) error {
	if !s.some.Load() {
		return s.cfg.Inner.List(ctx, yield)
	}
	if err := s.turn(ctx); err != nil {
		return err
	}
	w, err := s.flushForReader(ctx)
	s.endTurn()
	if err != nil {
		return err
	}
	files := lister{s: s, last: []byte{}, waiting: w.claims}
	err = s.cfg.Inner.List(ctx, func(info blobnet.Info) error {
		if err := files.until(ctx, &info.ID, yield); err != nil {
			return err
		}
		return yield(info)
	})
	if err != nil {
		return err
	}
	return files.until(ctx, nil, yield)
}

// lister goes through the blobs in files, a page at a time.
type lister struct {
	s    *Store
	page []blobnet.Info
	last []byte
	end  bool

	waiting []waitingClaim // those that are in no page yet
}

const listPage = 1024

// until yields what comes before id, or all that is left if id is nil.
func (l *lister) until(ctx context.Context, id *blobnet.ID, yield func(blobnet.Info) error) error {
	for {
		if len(l.page) == 0 && !l.end {
			if err := l.load(ctx); err != nil {
				return fmt.Errorf("listing blobs in files: %w", err)
			}
		}
		if len(l.page) == 0 {
			return nil
		}
		next := l.page[0]
		if id != nil {
			order := next.ID.Compare(*id)
			if order > 0 {
				return nil
			}
			if order == 0 { // stored as well
				l.page = l.page[1:]
				return nil
			}
		}
		l.page = l.page[1:]
		if err := yield(next); err != nil {
			return err
		}
	}
}

func (l *lister) load(ctx context.Context) (err error) {
	if l.s.broken.Load() {
		l.end = true
		l.merge()
		return nil
	}
	rows, err := l.s.db.db.QueryContext(ctx, `
SELECT c.id, c.size FROM chunk c WHERE c.id > ? AND EXISTS (SELECT 1 FROM file f WHERE f.id = c.file
AND f.id NOT IN (SELECT value FROM json_each(?))) GROUP BY c.id ORDER BY c.id LIMIT ?`, l.last, l.s.goneFiles(), listPage)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var id []byte
		var size int64
		if err := rows.Scan(&id, &size); err != nil {
			return err
		}
		if len(id) != len(blobnet.ID{}) {
			continue
		}
		l.last = id
		l.page = append(l.page, blobnet.Info{ID: blobnet.ID(id), Size: sealedSize(size)})
	}
	l.end = len(l.page) < listPage
	if err := rows.Err(); err != nil {
		return err
	}
	l.merge()
	return nil
}
