package inplace

import (
	"context"
	"database/sql"
	"maps"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

const (
	// batchRows is how many files and chunks are written down at a time.
	batchRows = 2048
	// maxUnwritten bounds what waits while the database cannot be written to;
	// what is over it is forgotten.
	maxUnwritten = 1 << 16
)

// batch is what waits to be written.
type batch struct {
	files  map[int64]row
	chunks map[blobnet.ID][]claim
	count  int // of claims
}

func newBatch() *batch { return &batch{files: map[int64]row{}, chunks: map[blobnet.ID][]claim{}} }

func (b *batch) rows() int {
	if b == nil {
		return 0
	}
	return len(b.files) + b.count
}

func (b *batch) add(id blobnet.ID, c claim) {
	for _, have := range b.chunks[id] {
		if have.file == c.file {
			return
		}
	}
	b.chunks[id] = append(b.chunks[id], c)
	b.count++
}

// drop forgets a file and the claims on it.
func (b *batch) drop(file int64) {
	delete(b.files, file)
	for id, claims := range b.chunks {
		left := slices.DeleteFunc(claims, func(c claim) bool { return c.file == file })
		b.count -= len(claims) - len(left)
		if b.chunks[id] = left; len(left) == 0 {
			delete(b.chunks, id)
		}
	}
}

// flush writes down what waits. If that cannot be done it goes on waiting.
func (s *Store) flush(ctx context.Context) error {
	s.mu.Lock()
	idle := s.pending.rows() == 0 && s.writing == nil
	s.mu.Unlock()
	if idle {
		return nil
	}
	if err := s.turn(ctx); err != nil {
		return err
	}
	defer s.endTurn()
	return s.flushOwned(ctx)
}

// turn waits for the right to write to the database.
func (s *Store) turn(ctx context.Context) error {
	select {
	case <-s.writer:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Store) endTurn() { s.writer <- struct{}{} }

// flushOwned is flush of whoever has the turn.
func (s *Store) flushOwned(ctx context.Context) error {
	s.mu.Lock()
	b := s.pending
	s.pending, s.writing = newBatch(), b
	s.mu.Unlock()
	var err error
	if b.rows() > 0 && !s.broken.Load() {
		err = s.db.write(ctx, func(tx *sql.Tx) error { return b.write(ctx, tx) })
	}
	if sqlite.IsDamaged(err) {
		s.breaks(err)
		err = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && b.rows() < maxUnwritten { // what came meanwhile is newer
		for id, r := range s.pending.files {
			b.files[id] = r
		}
		for id, claims := range s.pending.chunks {
			for _, c := range claims {
				b.add(id, c)
			}
		}
		s.pending = b
	}
	s.writing = nil
	return err
}

// breaks takes note of a damaged database: nothing is read from it any more,
// and Close moves it aside.
func (s *Store) breaks(err error) {
	if !s.broken.Swap(true) {
		s.event(Event{KindDatabase, s.cfg.Path, err})
	}
}

func (b *batch) write(ctx context.Context, tx *sql.Tx) error {
	ctx = context.WithoutCancel(ctx)
	var stmts [4]*sql.Stmt
	for i, query := range []string{
		"DELETE FROM chunk WHERE file IN (SELECT id FROM file WHERE path = ? AND id <> ?)",
		"DELETE FROM file WHERE path = ? AND id <> ?",
		`INSERT INTO file (id, path, size, mtime, dev, ino) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET path = excluded.path, size = excluded.size, mtime = excluded.mtime, dev = excluded.dev, ino = excluded.ino`,
		"INSERT INTO chunk (id, file, offset, size, key) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET offset = excluded.offset, size = excluded.size, key = excluded.key",
	} {
		var err error
		if stmts[i], err = tx.PrepareContext(ctx, query); err != nil {
			return err
		}
		defer stmts[i].Close()
	}
	for _, id := range slices.Sorted(maps.Keys(b.files)) { // a later one at a path replaces an earlier
		r := b.files[id]
		path := []byte(r.path)
		for _, stmt := range stmts[:2] {
			if _, err := stmt.ExecContext(ctx, path, id); err != nil {
				return err
			}
		}
		st := r.stamp
		if _, err := stmts[2].ExecContext(ctx, id, path, st.size, st.mtime, int64(st.device), int64(st.inode)); err != nil {
			return err
		}
	}
	ids := slices.SortedFunc(maps.Keys(b.chunks), blobnet.ID.Compare) // near one another in the file
	for _, id := range ids {
		for _, c := range b.chunks[id] {
			if _, err := stmts[3].ExecContext(ctx, id[:], c.file, c.offset, c.size, c.key[:]); err != nil {
				return err
			}
		}
	}
	return nil
}
