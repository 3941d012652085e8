package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Get implements blobnet.Source. Every read is checked. A file that is not the
// blob any more is moved to the quarantine folder and forgotten, so that after
// ErrCorrupt the blob counts as missing and can be put again.
func (s *Store) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if err := s.begin(ctx); err != nil {
		return dst, err
	}
	defer s.ops.Done()
	path := s.tree.blob(id)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return dst, fmt.Errorf("reading blob %s: %w", id, blobnet.ErrNotFound)
	}
	if err != nil {
		return dst, fmt.Errorf("reading blob: %w", err)
	}
	defer f.Close() // only read from
	out, err := read(f, id, dst)
	switch {
	case err == nil:
		s.touch(id)
		return out, nil
	case errors.Is(err, blobnet.ErrCorrupt):
		err = errors.Join(err, s.condemn(ctx, id, path, f))
	}
	return dst, fmt.Errorf("reading blob %s: %w", id, err)
}

// read appends the blob in f to dst, or gives ErrCorrupt.
func read(f *os.File, id blobnet.ID, dst []byte) ([]byte, error) {
	fi, err := f.Stat()
	if err != nil {
		return dst, err
	}
	if fi.Size() > blobnet.MaxBlobSize {
		return dst, fmt.Errorf("file has %d bytes: %w", fi.Size(), blobnet.ErrCorrupt)
	}
	n := len(dst)
	out := slices.Grow(dst, int(fi.Size()))[:n+int(fi.Size())]
	switch _, err := io.ReadFull(f, out[n:]); {
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return dst, fmt.Errorf("file was cut short: %w", blobnet.ErrCorrupt)
	case err != nil:
		return dst, err
	}
	if blobnet.Sum(out[n:]) != id {
		return dst, blobnet.ErrCorrupt
	}
	return out, nil
}

// condemn sets the bad file f aside and tells of it, unless another call has
// meanwhile put a good one in its place.
func (s *Store) condemn(ctx context.Context, id blobnet.ID, path string, f *os.File) error {
	bad, err := s.condemnIf(ctx, id, path, f)
	if bad {
		s.tell(Event{Kind: EventCorrupt, ID: id})
	}
	return err
}

func (s *Store) condemnIf(ctx context.Context, id blobnet.ID, path string, f *os.File) (bool, error) {
	if err := s.claims.take(ctx, id); err != nil {
		return false, err
	}
	defer s.claims.drop(id)
	bad, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(bad, now) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, s.forget(ctx, id, path)
}

// Has implements blobnet.Store. It asks the file system, one call for each id.
func (s *Store) Has(ctx context.Context, ids ...blobnet.ID) ([]bool, error) {
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	defer s.ops.Done()
	have := make([]bool, len(ids))
	for i, id := range ids {
		if i%1024 == 1023 && ctx.Err() != nil {
			return nil, ctx.Err()
		}
		switch _, err := os.Lstat(s.tree.blob(id)); {
		case err == nil:
			have[i] = true
		case !errors.Is(err, fs.ErrNotExist):
			return nil, fmt.Errorf("looking for blob: %w", err)
		}
	}
	return have, nil
}
