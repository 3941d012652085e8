package diskstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/disk"
)

// Put implements blobnet.Store. A disk without room, or below Config.MinFree,
// gives ErrFull as a full quota does.
func (s *Store) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	if len(blob) > blobnet.MaxBlobSize {
		return fmt.Errorf("storing blob %s: %w", id, blobnet.ErrTooLarge)
	}
	if blobnet.Sum(blob) != id {
		return fmt.Errorf("storing blob %s: %w", id, blobnet.ErrCorrupt)
	}
	return s.PutVerified(ctx, id, blob)
}

// PutVerified implements blobnet.VerifiedPutter. A wrong claim does no more harm
// than a disk that changes bytes: the next Get finds it. It never replaces a
// blob that is there.
func (s *Store) PutVerified(ctx context.Context, id blobnet.ID, blob []byte) error {
	if len(blob) > blobnet.MaxBlobSize {
		return fmt.Errorf("storing blob %s: %w", id, blobnet.ErrTooLarge)
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.ops.Done()
	turn, err := none, s.keepUp(ctx)
	if err == nil {
		turn, err = s.put(ctx, id, blob)
	}
	s.wrote(turn, err)
	if err != nil {
		if disk.IsFull(err) || isFull(err) {
			err = fmt.Errorf("%w: %w", blobnet.ErrFull, err)
		}
		return fmt.Errorf("storing blob %s: %w", id, err)
	}
	return nil
}

// put also returns which try of the disk it was.
func (s *Store) put(ctx context.Context, id blobnet.ID, blob []byte) (turn try, err error) {
	if err := s.claims.take(ctx, id); err != nil {
		return none, err
	}
	defer s.claims.drop(id)
	path, size := s.tree.blob(id), int64(len(blob))
	switch fi, err := os.Lstat(path); {
	case err == nil && fi.Size() == size && holds(path, blob):
		s.touch(id, noSum)
		return none, nil
	case err == nil: // torn or rotten: make room for the good one
		if blobnet.Sum(blob) != id {
			return none, blobnet.ErrCorrupt // the file may be the good one
		}
		if err := s.forget(ctx, id, path); err != nil {
			return none, err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return none, err
	}
	if turn, err = s.admit(); err != nil {
		return none, err
	}
	if err := s.markUnclean(ctx); err != nil {
		return turn, err
	}
	if err := s.reserve(ctx, size); err != nil {
		return turn, err
	}
	if err := s.write(id, path, blob, nil); err != nil {
		s.release(size)
		return turn, err
	}
	s.account(id, size, s.sums.note(id, blob))
	return turn, nil
}

// holds reports whether the file is there and has just the bytes of blob. That
// takes a tenth of the time of hashing it, where the system has it in memory.
func holds(path string, blob []byte) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close() // only read from
	buf := make([]byte, min(len(blob), 64<<10))
	for len(blob) > 0 {
		n, err := io.ReadFull(f, buf[:min(len(buf), len(blob))])
		if err != nil || !bytes.Equal(buf[:n], blob[:n]) {
			return false
		}
		blob = blob[n:]
	}
	return true
}

// write makes the file: complete under its final name, or not there at all. If
// fsync is not nil it is called before the file gets that name. It is written
// in the folder where it stays: file systems that keep a folder's files together
// then work on many places at once. The caller has the claim on id.
func (s *Store) write(id blobnet.ID, path string, blob []byte, fsync func(*os.File) error) error {
	temp := path + part
	f, err := s.create(id, temp)
	if err != nil {
		return err
	}
	switch _, err = f.Write(blob); {
	case err == nil && fsync != nil:
		err = fsync(f)
	case err == nil:
		disk.StartWriteback(f, 0, len(blob))
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

// create makes the file, and the folder for it when it is the first there.
func (s *Store) create(id blobnet.ID, temp string) (*os.File, error) {
	const flags = os.O_CREATE | os.O_TRUNC | os.O_WRONLY
	f, err := os.OpenFile(temp, flags, 0o600)
	// A GC may take the folder away again, being empty, before the file is in it.
	for range 100 {
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err := s.tree.makeLeaf(leaf(id)); err != nil {
			return nil, err
		}
		f, err = os.OpenFile(temp, flags, 0o600)
	}
	return f, err
}

// account notes a file that was just made, for the index and for Sync.
func (s *Store) account(id blobnet.ID, size, crc int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage.reserved -= size
	s.usage.stored += size
	s.usage.count++
	s.usage.announce()
	s.queue.rows = append(s.queue.rows, row{id: id, size: size, used: s.stamp(), gen: s.queue.gen, crc: crc})
	s.dirt.add(id, size)
	s.wake()
}

// quarantineFiles is how many files that did not hash to their name are kept
// for whoever wants to know why; later ones are removed.
const quarantineFiles = 16

// forget takes away a file that is not the blob it is named after, and the
// blob from the index. The caller has the claim on id.
func (s *Store) forget(ctx context.Context, id blobnet.ID, path string) error {
	if err := s.markUnclean(ctx); err != nil {
		return err
	}
	idx, err := s.takeIndex(ctx)
	if err != nil {
		return err
	}
	defer func() { s.index <- idx }()
	if err := s.setAside(path); err != nil {
		return err
	}
	return s.erase(ctx, idx, []row{{id: id}})
}

// setAside moves a bad file out of the way.
func (s *Store) setAside(path string) error {
	kept, err := readNames(s.tree.quarantine())
	if err == nil && len(kept) < quarantineFiles {
		now := s.cfg.Now()
		_ = os.Chtimes(path, now, now) // since when it is there; GC asks
		err = os.Rename(path, filepath.Join(s.tree.quarantine(), filepath.Base(path)))
	} else {
		err = os.Remove(path)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("removing a damaged blob: %w", err)
	}
	return nil
}
