package inplace

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
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
	paths  map[string]int64 // of files, by path; may have more
	chunks map[blobnet.ID][]claim
	count  int // of claims
	held   []held
}

// held is an index blob of a file, to be pinned as long as the file is known.
type held struct {
	file   int64
	id     blobnet.ID
	pinned bool
}

func newBatch() *batch {
	return &batch{files: map[int64]row{}, paths: map[string]int64{}, chunks: map[blobnet.ID][]claim{}}
}

func (b *batch) set(r row) {
	b.files[r.id], b.paths[r.path] = r, r.id
}

// at returns the file at a path.
func (b *batch) at(path string) (row, bool) {
	if b == nil {
		return row{}, false
	}
	r, ok := b.files[b.paths[path]]
	return r, ok && r.path == path
}

func (b *batch) rows() int {
	if b == nil {
		return 0
	}
	return len(b.files) + b.count + len(b.held)
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
	b.held = slices.DeleteFunc(b.held, func(h held) bool { return h.file == file }) // none is pinned before it is written
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
	err := s.pinHeld(ctx, b)
	var unpin []blobnet.ID
	if err == nil && b.rows() > 0 && !s.broken.Load() {
		err = s.db.write(ctx, func(tx *sql.Tx) (err error) {
			unpin, err = b.write(ctx, tx)
			return err
		})
	}
	if sqlite.IsDamaged(err) {
		s.breaks(err)
		err = nil
	}
	if err == nil && len(unpin) > 0 {
		err = s.cfg.Inner.Unpin(ctx, unpin...)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && b.rows() < maxUnwritten { // what came meanwhile is newer
		for _, r := range s.pending.files {
			b.set(r)
		}
		for id, claims := range s.pending.chunks {
			for _, c := range claims {
				b.add(id, c)
			}
		}
		b.held = append(b.held, s.pending.held...)
		s.pending = b
	}
	s.writing = nil
	s.batches++
	return err
}

// pinHeld pins the index blobs of b that are not yet: a pin too many, after a
// crash, keeps a blob too long, one too few would lose it.
func (s *Store) pinHeld(ctx context.Context, b *batch) error {
	var ids []blobnet.ID
	for i := range b.held {
		if !b.held[i].pinned {
			ids = append(ids, b.held[i].id)
		}
	}
	if len(ids) == 0 {
		return nil
	}
	if err := s.cfg.Inner.Pin(ctx, ids...); err != nil {
		return err
	}
	for i := range b.held {
		b.held[i].pinned = true
	}
	return nil
}

// breaks takes note of a damaged database: nothing is read from it any more,
// and Close moves it aside.
func (s *Store) breaks(err error) {
	if !s.broken.Swap(true) {
		s.event(Event{KindDatabase, s.cfg.Path, err})
	}
}

// replaced are the files whose path another one has got.
const replaced = "SELECT id FROM file WHERE path = ? AND id <> ?"

// write writes b down, and returns what was pinned for files that others have
// replaced.
func (b *batch) write(ctx context.Context, tx *sql.Tx) (unpin []blobnet.ID, err error) {
	ctx = context.WithoutCancel(ctx)
	var stmts [4]*sql.Stmt
	for i, query := range []string{
		replaced,
		`INSERT INTO file (id, path, size, mtime, dev, ino) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET path = excluded.path, size = excluded.size, mtime = excluded.mtime, dev = excluded.dev, ino = excluded.ino`,
		`INSERT INTO chunk (id, file, offset, size, key, tag) VALUES (?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET offset = excluded.offset, size = excluded.size, key = excluded.key, tag = coalesce(excluded.tag, tag)`,
		"INSERT INTO held (file, id) VALUES (?, ?) ON CONFLICT DO NOTHING",
	} {
		if stmts[i], err = tx.PrepareContext(ctx, query); err != nil {
			return nil, err
		}
		defer stmts[i].Close()
	}
	for _, id := range slices.Sorted(maps.Keys(b.files)) { // a later one at a path replaces an earlier
		r := b.files[id]
		path := []byte(r.path)
		var old int64
		switch err := stmts[0].QueryRowContext(ctx, path, id).Scan(&old); {
		case err == nil:
			ids, err := eraseFiles(ctx, tx, replaced, path, id)
			if err != nil {
				return nil, err
			}
			unpin = append(unpin, ids...)
		case !errors.Is(err, sql.ErrNoRows):
			return nil, err
		}
		st := r.stamp
		if _, err := stmts[1].ExecContext(ctx, id, path, st.size, st.mtime, int64(st.device), int64(st.inode)); err != nil {
			return nil, err
		}
	}
	ids := slices.SortedFunc(maps.Keys(b.chunks), blobnet.ID.Compare) // near one another in the file
	for _, id := range ids {
		for _, c := range b.chunks[id] {
			if _, err := stmts[2].ExecContext(ctx, id[:], c.file, c.offset, c.size, c.key[:], c.tag.column()); err != nil {
				return nil, err
			}
		}
	}
	for _, h := range b.held {
		res, err := stmts[3].ExecContext(ctx, h.file, h.id[:])
		if err != nil {
			return nil, err
		}
		if n, err := res.RowsAffected(); err == nil && n == 0 {
			unpin = append(unpin, h.id) // it is pinned for this file already
		}
	}
	return unpin, nil
}

// eraseFiles deletes the files of a query and all that is known of them, and
// returns what was pinned for them.
func eraseFiles(ctx context.Context, tx *sql.Tx, files string, args ...any) ([]blobnet.ID, error) {
	ids, err := heldFor(ctx, tx, files, args...)
	if err != nil {
		return nil, err
	}
	for _, query := range []string{"DELETE FROM held WHERE file IN (%s)", "DELETE FROM chunk WHERE file IN (%s)", "DELETE FROM file WHERE id IN (%s)"} {
		if _, err := tx.ExecContext(ctx, fmt.Sprintf(query, files), args...); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
