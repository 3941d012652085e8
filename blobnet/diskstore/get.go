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
	out, err := s.get(ctx, id, dst, check)
	if err != nil {
		return dst, fmt.Errorf("reading blob %s: %w", id, err)
	}
	return out, nil
}

// get reads a blob. sure says whether bytes, and the checksum noted with them,
// are good.
func (s *Store) get(ctx context.Context, id blobnet.ID, dst []byte, sure checker) ([]byte, error) {
	path := s.tree.blob(id)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return dst, blobnet.ErrNotFound
	}
	if err != nil {
		return dst, err
	}
	defer f.Close() // only read from
	crc := noSum
	out, err := read(f, dst)
	if err == nil {
		crc, err = sure(s, ctx, id, out[len(dst):])
	}
	if err == nil {
		s.touch(id, crc)
		return out, nil
	}
	if errors.Is(err, blobnet.ErrCorrupt) {
		err = errors.Join(err, s.condemn(ctx, id, path, f))
	}
	return dst, err
}

// checker says whether blob is what id names, else ErrCorrupt. It returns the
// checksum if the index may not have it, else noSum.
type checker func(s *Store, ctx context.Context, id blobnet.ID, blob []byte) (crc int64, err error)

// check is the checker that hashes.
func check(_ *Store, _ context.Context, id blobnet.ID, blob []byte) (int64, error) {
	if blobnet.Sum(blob) != id {
		return noSum, blobnet.ErrCorrupt
	}
	return noSum, nil
}

// read appends what is in f to dst, or gives ErrCorrupt if that is no blob.
func read(f *os.File, dst []byte) ([]byte, error) {
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
	return out, nil
}

// readChecked is read and a look at the hash.
func readChecked(f *os.File, id blobnet.ID, dst []byte) ([]byte, error) {
	out, err := read(f, dst)
	if err == nil && blobnet.Sum(out[len(dst):]) != id {
		return dst, blobnet.ErrCorrupt
	}
	return out, err
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
