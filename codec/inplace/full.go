package inplace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// isFull reports whether err says that the disk, or the inner store, is full.
func isFull(err error) bool {
	return errors.Is(err, blobnet.ErrFull) || disk.IsFull(err) || sqlite.IsFull(err)
}

// asFull lets an error of a full disk wrap blobnet.ErrFull.
func asFull(err error) error {
	if isFull(err) && !errors.Is(err, blobnet.ErrFull) {
		return fmt.Errorf("%w: %w", blobnet.ErrFull, err)
	}
	return err
}

// unlessFull is err, or nil if the disk is full: what could not be forgotten is
// found gone once more by whoever asks for it next, or when its file's row is written.
func unlessFull(err error) error {
	if isFull(err) {
		return nil
	}
	return err
}

// waiting is what could not be written down because the disk is full.
type waiting struct {
	files  []int64
	claims []waitingClaim // sorted by id
}

type waitingClaim struct {
	id blobnet.ID
	claim
}

// flushForReader is flush for a reader, whom a full disk does not stop: he gets
// what is not in the database beside it. The turn is the caller's.
func (s *Store) flushForReader(ctx context.Context) (w waiting, err error) {
	if err := s.flushOwned(ctx); err == nil || !isFull(err) {
		return w, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w.files = slices.Collect(maps.Keys(s.pending.files))
	for id, claims := range s.pending.chunks {
		for _, c := range claims {
			w.claims = append(w.claims, waitingClaim{id, c})
		}
	}
	slices.SortFunc(w.claims, func(a, b waitingClaim) int { return a.id.Compare(b.id) })
	return w, nil
}

// beside counts what of w the database does not have.
func (d *database) beside(ctx context.Context, w waiting) (u Usage, err error) {
	if len(w.files)+len(w.claims) == 0 {
		return u, nil
	}
	known := map[int64]bool{} // files that the database has
	for _, id := range w.files {
		r, err := d.file(ctx, id)
		if err != nil {
			return u, err
		}
		if known[id] = r.path != ""; !known[id] {
			u.Files++
		}
	}
	has, err := d.db.PrepareContext(ctx, "SELECT EXISTS (SELECT 1 FROM chunk WHERE id = ? AND file = ?)")
	if err != nil {
		return u, err
	}
	defer has.Close()
	for _, c := range w.claims {
		there, asked := known[c.file]
		old := false
		if there || !asked { // its file's row is there
			if err := has.QueryRowContext(ctx, c.id[:], c.file).Scan(&old); err != nil {
				return u, err
			}
		}
		if !old {
			u.Blobs++
			u.Bytes += sealedSize(c.size)
		}
	}
	return u, nil
}

// merge adds to a page what waits and belongs into it: to the last page all that
// is left, to another what comes before its end.
func (l *lister) merge() {
	n := 0
	for _, c := range l.waiting {
		if !l.end && bytes.Compare(c.id[:], l.last) > 0 {
			break
		}
		l.page = append(l.page, blobnet.Info{ID: c.id, Size: sealedSize(c.size)})
		n++
	}
	if l.waiting = l.waiting[n:]; n == 0 {
		return
	}
	slices.SortFunc(l.page, func(a, b blobnet.Info) int { return a.ID.Compare(b.ID) })
	l.page = slices.CompactFunc(l.page, func(a, b blobnet.Info) bool { return a.ID == b.ID })
}
