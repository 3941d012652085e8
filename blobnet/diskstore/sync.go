package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/disk"
)

// fsyncs is how many files are synced at a time. Most of that time is waiting
// for the disk, and a file system's journal serves many waiters with one write.
const fsyncs = 16

// leafSet is a set of leaf folders, a bit each.
type leafSet [leaves / 64]uint64

func (l *leafSet) add(n int)      { l[n/64] |= 1 << (n % 64) }
func (l *leafSet) remove(n int)   { l[n/64] &^= 1 << (n % 64) }
func (l *leafSet) has(n int) bool { return l[n/64]&(1<<(n%64)) != 0 }

func (l *leafSet) addAll(other *leafSet) {
	for i, bits := range other {
		l[i] |= bits
	}
}

// dirt is what a power loss may still take: blobs whose files were not synced,
// and folders with names that were not.
type dirt struct {
	ids    []blobnet.ID
	bytes  int64
	leaves leafSet
}

func (d *dirt) add(id blobnet.ID, size int64) {
	d.ids = append(d.ids, id)
	d.bytes += size
	d.leaves.add(leaf(id))
}

// Sync implements blobnet.Syncer. Files go first, many at a time, then the
// folders that name them, then the index.
func (s *Store) Sync(ctx context.Context) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.ops.Done()
	if err := s.sync(ctx); err != nil {
		if disk.IsFull(err) || isFull(err) {
			err = fmt.Errorf("%w: %w", blobnet.ErrFull, err)
		}
		return fmt.Errorf("syncing blob store: %w", err)
	}
	return nil
}

func (s *Store) sync(ctx context.Context) error {
	select {
	case <-s.syncing:
		defer func() { s.syncing <- struct{}{} }()
	case <-ctx.Done():
		return ctx.Err()
	}
	s.mu.Lock()
	work, gen := s.dirt, s.queue.gen
	s.dirt = dirt{}
	s.queue.gen++
	s.mu.Unlock()
	if work.leaves == (leafSet{}) {
		return nil
	}
	if err := s.syncFiles(ctx, &work); err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.dirt.ids = append(work.ids, s.dirt.ids...)
		s.dirt.bytes += work.bytes
		s.dirt.leaves.addAll(&work.leaves)
		return err
	}
	// From here on the blobs are safe; if the index cannot be told, a start
	// after a crash checks more than it had to.
	idx, err := s.takeIndex(ctx)
	if err != nil {
		return err
	}
	defer func() { s.index <- idx }()
	return s.flush(ctx, idx, flushOptions{durable: true, synced: gen})
}

// manyBlobs is how many blobs are synced together with all else on their disk,
// where the system can do that: with so many small files it takes a fraction of
// the time of one fsync for each.
const manyBlobs = 4096

// syncFiles syncs the files and folders of work.
func (s *Store) syncFiles(ctx context.Context, work *dirt) error {
	if len(work.ids) >= manyBlobs && s.syncDisk != nil && ctx.Err() == nil && s.syncDisk() == nil {
		s.named.addAll(&work.leaves)
		return nil
	}
	files, fctx := errgroup.WithContext(ctx)
	files.SetLimit(fsyncs)
	for _, id := range work.ids {
		if fctx.Err() != nil {
			break
		}
		files.Go(func() error { return s.syncBlob(fctx, id) })
	}
	if err := errors.Join(files.Wait(), ctx.Err()); err != nil {
		return err
	}

	dirs, dctx := errgroup.WithContext(ctx)
	dirs.SetLimit(fsyncs)
	sync := func(path string) {
		dirs.Go(func() error {
			if dctx.Err() != nil {
				return nil
			}
			return s.syncDir(path)
		})
	}
	named := true
	for n := range leaves {
		if work.leaves.has(n) {
			sync(s.tree.leaf(n))
			named = named && s.named.has(n)
		}
	}
	// A folder's own name is in the root, which needs a sync only until one was
	// done while this one was there.
	if !named {
		sync(s.tree.root)
	}
	if err := errors.Join(dirs.Wait(), ctx.Err()); err != nil {
		return err
	}
	s.named.addAll(&work.leaves)
	return nil
}

// syncBlob makes one blob's file durable. After an fsync that did not work the
// operating system may take the bytes for written and forget them, so a second
// fsync would prove nothing: the file is written again instead.
func (s *Store) syncBlob(ctx context.Context, id blobnet.ID) error {
	if ctx.Err() != nil {
		return nil // another one's error ends the sync
	}
	path := s.tree.blob(id)
	f, err := os.OpenFile(path, disk.OpenToSync, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // deleted or evicted meanwhile
	}
	if err != nil {
		return err
	}
	err = errors.Join(s.fsync(f), f.Close())
	if err == nil {
		return nil
	}
	if rerr := s.rewrite(ctx, id, path); rerr != nil {
		return fmt.Errorf("%w; writing blob %s again: %w", err, id, rerr)
	}
	return nil
}

// rewrite replaces a blob's file by a synced copy of itself.
func (s *Store) rewrite(ctx context.Context, id blobnet.ID, path string) error {
	if err := s.claims.take(ctx, id); err != nil {
		return err
	}
	defer s.claims.drop(id)
	old, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	blob, err := readChecked(old, id, nil)
	if err = errors.Join(err, old.Close()); err != nil {
		return err
	}
	return s.write(id, path, blob, s.fsync)
}

// syncDir makes the names in a folder durable, where that needs a call.
func (s *Store) syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // NTFS does it by itself, and folders cannot be opened
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(s.fsync(f), f.Close())
}
