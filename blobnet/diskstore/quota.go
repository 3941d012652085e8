package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
)

// usage is how much is stored, and what may still come.
type usage struct {
	stored   int64 // bytes of blobs with a file, whether in the index yet or not
	count    int64
	reserved int64 // bytes of Puts under way
	budget   int64 // bytes that may be written before the disk is asked again

	settled chan struct{} // closed when a Put under way ends; nil if nobody waits
}

// announce lets those go on who wait for a Put under way. Called with mu held.
func (u *usage) announce() {
	if u.settled != nil {
		close(u.settled)
		u.settled = nil
	}
}

func (s *Store) release(size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage.reserved -= size
	s.usage.announce()
}

// reserve makes room for size bytes and keeps it until account or release. It
// gives ErrFull, and evicts nothing, when there cannot be room.
func (s *Store) reserve(ctx context.Context, size int64) error {
	if err := s.checkDisk(size); err != nil {
		return err
	}
	if quota := s.currentQuota(); quota > 0 && size > quota {
		return fmt.Errorf("%w: the quota is %d bytes", blobnet.ErrFull, quota)
	}
	for range maxAttempts {
		if s.tryReserve(size) {
			return nil
		}
		freed, wait, err := s.makeRoom(ctx, size)
		if err != nil {
			return err
		}
		if freed > 0 || wait == nil {
			continue
		}
		select {
		case <-wait:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%w: too many writers for a quota of %d bytes", blobnet.ErrFull, s.currentQuota())
}

// maxAttempts is how often a Put tries to get room before others, or blobs in
// use, do. More than a few are needed only where the quota is about as small
// as what is being written at a time.
const maxAttempts = 1000

func (s *Store) currentQuota() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.quota
}

func (s *Store) tryReserve(size int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.quota > 0 && s.usage.stored+s.usage.reserved+size > s.quota {
		return false
	}
	s.usage.reserved += size
	return true
}

// makeRoom evicts once, so that size more bytes may fit. If whether they do
// depends on Puts under way, it returns what to wait for. It reports how much
// it freed.
func (s *Store) makeRoom(ctx context.Context, size int64) (freed int64, wait <-chan struct{}, err error) {
	idx, err := s.takeIndex(ctx)
	if err != nil {
		return 0, nil, err
	}
	defer func() { s.index <- idx }()
	if err := s.flush(ctx, idx, flushOptions{}); err != nil {
		return 0, nil, err
	}
	s.mu.Lock()
	need := s.usage.stored + s.usage.reserved + size - s.quota
	if s.quota == 0 || need <= 0 { // the limits were changed, or something deleted
		s.mu.Unlock()
		return 0, nil, nil
	}
	if need > idx.size-idx.pinnedSize {
		defer s.mu.Unlock()
		if s.usage.reserved == 0 && len(s.queue.rows) == 0 {
			return 0, nil, fmt.Errorf("%w: of the quota of %d bytes %d are pinned", blobnet.ErrFull, s.quota, idx.pinnedSize)
		}
		if len(s.queue.rows) > 0 {
			return 0, nil, nil // one has just ended: look again
		}
		if s.usage.settled == nil {
			s.usage.settled = make(chan struct{})
		}
		return 0, s.usage.settled, nil
	}
	s.mu.Unlock()
	freed, err = s.evict(ctx, idx, need)
	return freed, nil, err
}

// evict removes the blobs used longest ago, at least need bytes of them and
// some more, so that not every Put has to. The caller owns idx.
func (s *Store) evict(ctx context.Context, idx *index, need int64) (freed int64, err error) {
	victims, err := idx.oldest(ctx, need, min(s.currentQuota()/128, 64<<20), s.claims.try)
	for _, v := range victims {
		defer s.claims.drop(v.id)
	}
	if err != nil {
		return 0, err
	}
	return s.remove(ctx, idx, victims)
}

// remove deletes blobs, files first: on a full disk that is what makes the
// index writable again. It leaves out what is pinned, and what was used since
// the caller looked (a row's used is not what the index says). The caller owns
// idx and the claims on all victims.
func (s *Store) remove(ctx context.Context, idx *index, victims []row) (freed int64, err error) {
	if len(victims) == 0 {
		return 0, nil
	}
	if err := s.markUncleanOwned(); err != nil {
		return 0, err
	}
	// What was used or put before the claims were had is known after this,
	// unless the disk is full; then rows may be missing, and only files tell.
	err = s.flush(ctx, idx, flushOptions{})
	if err != nil && !isFull(err) {
		return 0, err
	}
	behind := err != nil
	due := make([]row, 0, len(victims))
	slices.SortFunc(victims, byID) // neighbours are on the same page of the index
	for _, v := range victims {
		e, err := idx.find(v.id)
		if err != nil {
			return 0, err
		}
		if e.size < 0 && !behind || e.pins > 0 || v.used != 0 && e.used != v.used {
			continue
		}
		v.size = max(0, e.size)
		due = append(due, v)
	}
	gone, err := s.unlink(due)
	for _, v := range gone {
		freed += v.size
	}
	return freed, errors.Join(err, s.erase(ctx, idx, gone))
}

// unlinks is how many files are removed at a time: a removal waits for the disk.
const unlinks = 8

// unlink removes the files of blobs, and returns those that are gone.
func (s *Store) unlink(due []row) ([]row, error) {
	var group errgroup.Group
	group.SetLimit(unlinks)
	errs := make([]error, len(due))
	for i := range due {
		group.Go(func() error {
			if err := os.Remove(s.tree.blob(due[i].id)); err != nil && !errors.Is(err, fs.ErrNotExist) {
				errs[i] = err
			}
			return nil
		})
	}
	_ = group.Wait() // errs has them
	gone := make([]row, 0, len(due))
	var first error
	for i, err := range errs {
		if err == nil {
			gone = append(gone, due[i])
		} else if first == nil {
			first = err
		}
	}
	return gone, first
}

// erase takes blobs whose files are gone out of the index and the sums. Pins
// stay. The caller owns idx and the claims.
func (s *Store) erase(ctx context.Context, idx *index, gone []row) error {
	if len(gone) == 0 {
		return nil
	}
	var before totals
	err := s.flush(ctx, idx, flushOptions{also: func() error {
		before = idx.totals
		for _, r := range gone {
			if err := idx.erase(r.id); err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage.stored -= before.size - idx.size
	s.usage.count -= before.count - idx.count
	s.full.roomMade()
	for _, r := range gone {
		s.dirt.leaves.add(leaf(r.id))
	}
	return nil
}
