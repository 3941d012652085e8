package inplace

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// File is a file that is being registered, by its writer or its reader. Its
// methods may be called from many goroutines at once.
type File struct {
	s    *Store
	once sync.Once
	id   int64

	fresh bool
}

// Fresh reports whether nothing of the file was registered before.
func (f *File) Fresh() bool { return f.fresh }

// Begin begins to register the file at an absolute path. What was registered
// there earlier stays if the file has not changed since. While a File is open,
// changes of its size and time mean nothing. One of Done, Drop and Close must
// end it.
//
// made says that the caller has just made the file, so that there is nothing
// to look for.
func (s *Store) Begin(ctx context.Context, path string, made bool) (_ *File, err error) {
	if !filepath.IsAbs(path) {
		return nil, fmt.Errorf("registering %s: not an absolute path", path)
	}
	s.some.Store(true)
	var r row
	if !made {
		if r, err = s.fileAt(ctx, path); err != nil {
			return nil, fmt.Errorf("registering %s: %w", path, err)
		}
	}
	if r.id != 0 && r.stamp != unknown {
		info, err := os.Stat(path)
		if err != nil || stampOf(info) != r.stamp {
			s.eventOnce(r.id, r.stamp, Event{KindChanged, path, nil})
			if err := unlessFull(s.forgetFile(ctx, r.id)); err != nil {
				return nil, fmt.Errorf("registering %s: %w", path, err)
			}
			r.id = 0
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	fresh := r.id == 0
	if fresh {
		r = row{id: s.next, path: path, stamp: unknown}
		s.next++
	}
	g := s.growing[r.id]
	if g == nil {
		g = &growth{row: r}
		s.growing[r.id], s.paths[path] = g, r.id
	}
	g.users++
	return &File{s: s, id: r.id, fresh: fresh}, nil
}

// fileAt finds the file at a path, in memory and in the database.
func (s *Store) fileAt(ctx context.Context, path string) (r row, err error) {
	r, err = lookup(s, func() (row, error) { return s.db.fileAt(ctx, path) })
	defer s.mu.Unlock()
	if newer, ok := s.overlay(r.id); ok {
		r = newer
	}
	if r.path != path {
		r = row{} // it has another path now
	}
	for _, b := range []*batch{s.writing, s.pending} {
		if newer, ok := b.at(path); ok && newer.id > r.id {
			r = newer
		}
	}
	if g := s.growing[s.paths[path]]; g != nil && g.row.id > r.id {
		r = g.row
	}
	return r, err
}

// overlay is what is known of a file beside the database. mu is held.
func (s *Store) overlay(id int64) (row, bool) {
	if g := s.growing[id]; g != nil {
		return g.row, true
	}
	for _, b := range []*batch{s.pending, s.writing} {
		if b != nil {
			if r, ok := b.files[id]; ok {
				return r, true
			}
		}
	}
	return row{}, false
}

// Add takes note that the chunk of ref, ref.Size bytes of plaintext, lies at
// offset in the file. blob is the sealed chunk, or nil if it is not at hand; it
// is not kept. From now on it is served from there. That it can not be
// written down is told in an Event and is no error: it is served all the same
// until the process ends.
func (f *File) Add(ctx context.Context, ref codec.Ref, offset uint64, blob []byte) {
	s := f.s
	if ref.Size > codec.MaxChunkSize || offset > 1<<62 {
		return // no chunk
	}
	s.mu.Lock()
	g := s.growing[f.id]
	if g == nil { // it has ended
		s.mu.Unlock()
		return
	}
	s.pending.set(g.row)
	s.pending.add(ref.ID, claim{f.id, int64(offset), int64(ref.Size), ref.Key, tagOf(blob)})
	due := s.pending.rows() >= batchRows && s.writing == nil
	s.mu.Unlock()
	if due {
		s.record(ctx)
	}
}

// Hold keeps index blobs in the inner store, which has them or gets them, as
// long as the file is known: they are pinned.
func (f *File) Hold(ids ...blobnet.ID) {
	s := f.s
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.growing[f.id]
	if g == nil {
		return
	}
	s.pending.set(g.row)
	for _, id := range ids {
		s.pending.held = append(s.pending.held, held{file: f.id, id: id})
	}
}

// Registered reports whether the file at an absolute path is known and looks
// as it did.
func (s *Store) Registered(ctx context.Context, path string) (bool, error) {
	if !s.some.Load() {
		return false, nil
	}
	r, err := s.fileAt(ctx, path)
	if err != nil || r.id == 0 {
		return false, err
	}
	info, err := os.Stat(path)
	return err == nil && stampOf(info) == r.stamp, nil
}

// Claimed reports whether the blob id lies in the file at an absolute path, as
// far as is known.
func (s *Store) Claimed(ctx context.Context, path string, id blobnet.ID) (bool, error) {
	places, err := s.places(ctx, id)
	return slices.ContainsFunc(places, func(p place) bool { return p.row.path == path }), err
}

// record is flush whose failure is told in an Event.
func (s *Store) record(ctx context.Context) {
	if err := s.flush(ctx); err != nil && ctx.Err() == nil {
		s.event(Event{KindUnrecorded, s.cfg.Path, err})
	}
}

// Done ends the registration of a file that is complete and has the absolute
// path now. What was registered at that path before is forgotten; made says that
// no file was there, so that nobody could be served from it meanwhile.
func (f *File) Done(ctx context.Context, path string, made bool) error {
	info, err := os.Stat(path)
	if err != nil {
		f.Close()
		return fmt.Errorf("registering %s: %w", path, err)
	}
	s := f.s
	var old row
	if !made {
		if old, err = s.fileAt(ctx, path); err != nil {
			f.Close()
			return fmt.Errorf("registering %s: %w", path, err)
		}
	}
	replaces := old.id != 0 && old.id != f.id
	s.mu.Lock()
	if g := s.growing[f.id]; g != nil {
		delete(s.paths, g.row.path)
		s.paths[path] = f.id
		g.row.path, g.row.stamp = path, stampOf(info)
		s.pending.set(g.row)
	}
	due := s.pending.rows() >= batchRows
	s.mu.Unlock()
	if replaces { // before anybody takes the new file for the old
		err = unlessFull(s.forgetFile(ctx, old.id))
	}
	f.Close()
	if due {
		s.record(ctx)
	}
	return err
}

// Drop ends the registration, and forgets all of the file.
func (f *File) Drop(ctx context.Context) error {
	f.Close()
	return f.s.forgetFile(ctx, f.id)
}

// Close ends the registration of a file that stays as it is, say because the
// rest of it comes another time. After Done or Drop it does nothing.
func (f *File) Close() {
	f.once.Do(func() {
		s := f.s
		s.mu.Lock()
		defer s.mu.Unlock()
		if g := s.growing[f.id]; g != nil {
			if g.users--; g.users == 0 {
				delete(s.growing, f.id)
				if s.paths[g.row.path] == f.id {
					delete(s.paths, g.row.path)
				}
			}
		}
	})
}

// Forget forgets all that lies in the file at an absolute path, because it is
// deleted.
func (s *Store) Forget(ctx context.Context, path string) error {
	if !s.some.Load() {
		return nil
	}
	r, err := s.fileAt(ctx, path)
	if err == nil && r.id != 0 {
		err = s.forgetFile(ctx, r.id)
	}
	if err != nil {
		return fmt.Errorf("forgetting what was in %s: %w", path, err)
	}
	return nil
}

// forgetFile forgets a file and all in it.
func (s *Store) forgetFile(ctx context.Context, id int64) error {
	if err := s.turn(ctx); err != nil {
		return err
	}
	defer s.endTurn()
	s.handles.forget(id)
	s.mu.Lock() // nothing is being written: the turn is ours
	s.pending.drop(id)
	delete(s.gone, id)
	s.mu.Unlock()
	var unpin []blobnet.ID
	err := s.erase(ctx, func(tx *sql.Tx) (err error) {
		unpin, err = eraseFiles(context.WithoutCancel(ctx), tx, "SELECT ?", id)
		return err
	})
	if err == nil && len(unpin) > 0 {
		err = s.cfg.Inner.Unpin(ctx, unpin...)
	}
	return err
}

// forgetClaim forgets that a blob lies in a file, or in all files if file is 0.
func (s *Store) forgetClaim(ctx context.Context, id blobnet.ID, file int64) error {
	if err := s.turn(ctx); err != nil {
		return err
	}
	defer s.endTurn()
	s.mu.Lock()
	claims := s.pending.chunks[id]
	var left []claim
	for _, c := range claims {
		if file != 0 && c.file != file {
			left = append(left, c)
		}
	}
	s.pending.count -= len(claims) - len(left)
	if s.pending.chunks[id] = left; len(left) == 0 {
		delete(s.pending.chunks, id)
	}
	s.mu.Unlock()
	return s.erase(ctx, func(tx *sql.Tx) error {
		_, err := tx.Exec("DELETE FROM chunk WHERE id = ? AND (file = ? OR ? = 0)", id[:], file, file)
		return err
	})
}

// erase writes, unless the database is damaged. The turn is the caller's.
func (s *Store) erase(ctx context.Context, fn func(*sql.Tx) error) error {
	if s.broken.Load() {
		return nil
	}
	err := s.db.write(ctx, fn)
	if sqlite.IsDamaged(err) {
		s.breaks(err)
		return nil
	}
	return err
}
