package inplace

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// Get gives the blob from the inner store, or else from a file that it lies in:
// the plaintext is read, padded and sealed, in dst itself, and is the blob if it
// hashes to id. If it is not, the file is not what it was; that is told in an
// Event, and the blob is not found there any more.
func (s *Store) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return s.get(ctx, id, dst, s.cfg.Inner.Get, false)
}

// GetToSend is Get for a caller who passes the bytes to somebody who checks them
// against id. It is what the inner store's GetToSend is, if that has one. Out of
// a file the blob is not hashed where its authenticator is known: another
// plaintext has the same one with a chance below one in 2^80. Nobody else may
// use it.
func (s *Store) GetToSend(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	inner := s.cfg.Inner.Get
	if x, ok := s.cfg.Inner.(interface {
		GetToSend(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error)
	}); ok {
		inner = x.GetToSend
	}
	return s.get(ctx, id, dst, inner, true)
}

type getFunc func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error)

func (s *Store) get(ctx context.Context, id blobnet.ID, dst []byte, inner getFunc, toSend bool) ([]byte, error) {
	out, err := inner(ctx, id, dst)
	if err == nil || !s.some.Load() || !errors.Is(err, blobnet.ErrNotFound) && !errors.Is(err, blobnet.ErrCorrupt) {
		return out, err
	}
	blob, placeErr := s.fromFiles(ctx, id, dst, toSend)
	if placeErr != nil {
		return dst, placeErr
	}
	if blob == nil {
		return dst, err // the inner store's
	}
	return blob, nil
}

// fromFiles is Get from files alone; nil if no file has the blob.
func (s *Store) fromFiles(ctx context.Context, id blobnet.ID, dst []byte, toSend bool) ([]byte, error) {
	places, err := s.places(ctx, id)
	if err != nil {
		return nil, fmt.Errorf("looking for blob %s in files: %w", id.Short(), err)
	}
	for _, p := range places {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		blob, err := s.read(ctx, id, p, dst, toSend)
		if err != nil || blob != nil {
			return blob, err
		}
	}
	return nil, nil
}

// places returns where a blob may lie.
func (s *Store) places(ctx context.Context, id blobnet.ID) ([]place, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	found, err := lookup(s, func() ([]place, error) { return s.db.places(ctx, id) })
	defer s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	for i := range found {
		if r, ok := s.overlay(found[i].file); ok {
			found[i].row = r
		}
	}
	for _, b := range []*batch{s.writing, s.pending} {
		if b == nil {
			continue
		}
		for _, c := range b.chunks[id] {
			if i := slices.IndexFunc(found, func(p place) bool { return p.file == c.file }); i >= 0 {
				found[i].claim = c
				continue
			}
			if r, ok := s.overlay(c.file); ok {
				found = append(found, place{c, r})
			}
		}
	}
	return found, nil
}

// lookup asks the database, unless that is damaged, and returns with mu held at
// a moment when what the answer lacks is in memory: who looked first at one and
// then at the other would miss what was written down in between.
func lookup[T any](s *Store, ask func() (T, error)) (answer T, err error) {
	for {
		s.mu.Lock()
		before := s.batches
		s.mu.Unlock()
		var got T
		if !s.broken.Load() {
			if got, err = ask(); sqlite.IsDamaged(err) {
				s.breaks(err)
				err = nil
				continue
			}
		}
		s.mu.Lock()
		if err != nil || s.batches == before {
			return got, err
		}
		s.mu.Unlock()
	}
}

// read seals the chunk at p again; nil if it is not what was sealed.
func (s *Store) read(ctx context.Context, id blobnet.ID, p place, dst []byte, toSend bool) ([]byte, error) {
	h, now, err := s.handles.take(p.row)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, s.vanished(ctx, p.row)
	case err != nil:
		s.eventOnce(p.file, now, Event{KindUnreadable, p.row.path, err})
		return nil, nil
	}
	defer s.handles.give(h)
	s.back(p.file)
	if now.size >= p.offset+p.size {
		blob, err := seal(h.f, p, dst)
		switch {
		case err == nil && toSend && p.tag != (tag{}) && tagOf(blob[len(dst):]) == p.tag:
			s.adopt(p.row, now)
			return blob, nil
		case err == nil && blobnet.Sum(blob[len(dst):]) == id:
			s.adopt(p.row, now)
			s.learn(id, p.claim, tagOf(blob[len(dst):]))
			return blob, nil
		case err != nil && !errors.Is(err, io.EOF):
			s.eventOnce(p.file, now, Event{KindUnreadable, p.row.path, err})
			return nil, nil
		}
	}
	s.eventOnce(p.file, now, Event{KindChanged, p.row.path, fmt.Errorf("%d bytes at offset %d are not those of blob %s", p.size, p.offset, id.Short())})
	return nil, unlessFull(s.forgetClaim(ctx, id, p.file))
}

// seal appends the sealed chunk at p to dst. Where the plaintext is not the one
// that the key sealed before, the result is none that may be shown to anybody.
func seal(f io.ReaderAt, p place, dst []byte) ([]byte, error) {
	size := int(p.size)
	start := len(dst)
	dst = slices.Grow(dst, codec.PaddedSize(size)+codec.Overhead)
	plain := dst[start : start+size]
	if n, err := f.ReadAt(plain, p.offset); n < size {
		return nil, err
	}
	blob, err := codec.SealOver(plain, p.key)
	if err != nil {
		return nil, err
	}
	return dst[:start+len(blob)], nil
}

// adopt takes note of how a file looks that has what it should: it was touched,
// or copied back.
func (s *Store) adopt(r row, now stamp) {
	if r.stamp == now || r.stamp == unknown {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.growing[r.id] != nil {
		return
	}
	if newer, ok := s.overlay(r.id); ok && newer.stamp != r.stamp {
		return
	}
	r.stamp = now
	s.pending.set(r) // written with the next that is
}

// learn takes note of the authenticator of a blob whose hash is right.
func (s *Store) learn(id blobnet.ID, c claim, t tag) {
	if c.tag == t {
		return
	}
	c.tag = t
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending.rows() >= batchRows { // it waits for somebody who writes
		return
	}
	for i, have := range s.pending.chunks[id] {
		if have.file == c.file {
			s.pending.chunks[id][i].tag = t
			return
		}
	}
	s.pending.add(id, c)
}

// vanished tells of a file that is not there, unless it got another name a
// moment ago or is about to. What is known of it stays: only the keys make its
// blobs again when it is back.
func (s *Store) vanished(ctx context.Context, r row) error {
	s.mu.Lock()
	now, known := s.overlay(r.id)
	growing := s.growing[r.id] != nil
	s.mu.Unlock()
	if growing {
		return nil
	}
	if !known && !s.broken.Load() {
		var err error
		if now, err = s.db.file(ctx, r.id); err != nil {
			return err
		}
	}
	if now.path != r.path {
		return nil
	}
	if away(r) {
		s.eventOnce(r.id, r.stamp, Event{KindUnreadable, r.path, errAway})
		return nil
	}
	if r.stamp == unknown { // it was not whole: what is left of it is begun anew
		s.eventOnce(r.id, r.stamp, Event{KindVanished, r.path, nil})
		return unlessFull(s.forgetFile(ctx, r.id))
	}
	s.handles.forget(r.id)
	s.eventOnce(r.id, r.stamp, Event{KindVanished, r.path, nil})
	if old := s.miss(r.id); old != 0 {
		return unlessFull(s.forgetFile(ctx, old))
	}
	return nil
}

var errAway = errors.New("the disk that it was on is not there")

// away reports whether the place of a file that is not there is on another disk
// now, as when its own is not mounted. It comes back, and only what is known of
// its chunks, their keys above all, makes their blobs again.
func away(r row) bool {
	for dir := filepath.Dir(r.path); ; dir = filepath.Dir(dir) {
		if info, err := os.Stat(dir); err == nil {
			device, _ := identity(info)
			return r.stamp != unknown && device != r.stamp.device
		}
		if dir == filepath.Dir(dir) {
			return true
		}
	}
}

// Has reports what is stored or lies in a file that is there. It reads no file:
// whether it is still what it was, Get finds out.
func (s *Store) Has(ctx context.Context, ids ...blobnet.ID) ([]bool, error) {
	has, err := s.cfg.Inner.Has(ctx, ids...)
	if err != nil || !s.some.Load() {
		return has, err
	}
	there := map[int64]bool{} // files that were looked at
	for i := range has {
		if has[i] {
			continue
		}
		places, err := s.places(ctx, ids[i])
		if err != nil {
			return nil, err
		}
		for _, p := range places {
			ok, looked := there[p.file]
			if !looked {
				info, err := os.Stat(p.row.path)
				ok = err == nil && info.Mode().IsRegular()
				if ok {
					s.back(p.file)
				}
				if errors.Is(err, fs.ErrNotExist) {
					if err := s.vanished(ctx, p.row); err != nil {
						return nil, err
					}
				}
				there[p.file] = ok
			}
			has[i] = has[i] || ok
		}
	}
	return has, nil
}
