package diskstore

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/disk"
)

// Limits is how much a store may keep. It can be changed while the store runs.
type Limits struct {
	// MaxSize is the quota in bytes of blobs; if zero, there is none. When a
	// Put would go over it, the blobs used longest ago that are not pinned are
	// evicted.
	MaxSize int64

	// MaxPercent is the quota as a percentage, up to 100, of the size of the
	// disk that holds the store; if zero, there is none of this kind. The size
	// is asked for now and then, so the quota follows a disk that is made
	// larger. With both, the smaller one holds.
	MaxPercent float64

	// MinFree is how many bytes Put leaves free on the disk: below that it
	// gives ErrFull and evicts nothing, and the store is serve-only. If zero,
	// 256 MiB; if negative, Put goes on until the disk is full.
	MinFree int64
}

func (c *Config) limits() Limits {
	return Limits{MaxSize: c.MaxSize, MaxPercent: c.MaxPercent, MinFree: c.MinFree}
}

const defaultMinFree = 256 << 20

func (l *Limits) validate() error {
	if l.MaxSize < 0 {
		return fmt.Errorf("blob store has a quota of %d bytes, below zero", l.MaxSize)
	}
	if !(l.MaxPercent >= 0 && l.MaxPercent <= 100) {
		return fmt.Errorf("blob store has a quota of %v percent, want 0 to 100", l.MaxPercent)
	}
	if l.MinFree == 0 {
		l.MinFree = defaultMinFree
	}
	return nil
}

// quota returns the limits as one number of bytes, 0 for none.
func (l Limits) quota(diskSize int64) int64 {
	if l.MaxPercent == 0 || diskSize <= 0 {
		return l.MaxSize
	}
	part := max(1, int64(float64(diskSize)/100*l.MaxPercent))
	if l.MaxSize > 0 {
		return min(l.MaxSize, part)
	}
	return part
}

// diskSize is disk.Size, or 0 where the system does not tell.
func (s *Store) diskSize() (int64, error) {
	size, err := disk.Size(s.tree.root)
	if errors.Is(err, errors.ErrUnsupported) {
		return 0, nil
	}
	return size, err
}

// Limits returns what holds now.
func (s *Store) Limits() Limits {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.limits
}

// SetLimits changes the limits. A smaller quota evicts nothing by itself: the
// next Put does, or GC. A store that was serve-only looks at the disk again.
func (s *Store) SetLimits(ctx context.Context, l Limits) error {
	if err := s.begin(ctx); err != nil {
		return err
	}
	defer s.ops.Done()
	if err := s.setLimits(l); err != nil {
		return fmt.Errorf("setting limits of blob store: %w", err)
	}
	return nil
}

func (s *Store) setLimits(l Limits) error {
	if err := l.validate(); err != nil {
		return err
	}
	size, err := s.diskSize()
	if err != nil && l.MaxPercent > 0 {
		return fmt.Errorf("asking for the size of the disk: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.limits, s.quota = l, l.quota(size)
	s.usage.budget = 0
	s.full.roomMade()
	return nil
}

// checkDisk gives ErrFull when size more bytes would leave less than the floor
// free on the disk. It asks the system once per some megabytes, not once per Put.
func (s *Store) checkDisk(size int64) error {
	s.mu.Lock()
	limits := s.limits
	if limits.MinFree < 0 && limits.MaxPercent == 0 {
		s.mu.Unlock()
		return nil
	}
	if s.usage.budget >= size {
		s.usage.budget -= size
		s.mu.Unlock()
		return nil
	}
	coming := s.usage.reserved
	s.mu.Unlock()
	free, err := s.freeSpace()
	if err != nil {
		return err
	}
	left := free - coming - max(0, limits.MinFree)
	if left < size && limits.MinFree >= 0 {
		return fmt.Errorf("%w: the disk has %d bytes free, %d are to stay so", errFloor, free, limits.MinFree)
	}
	total, err := s.diskSize()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.usage.budget = min((left-size)/4, 64<<20)
	if err == nil {
		s.quota = s.limits.quota(total)
	}
	return nil
}

// errFloor: the disk's free space is at the floor.
var errFloor = fmt.Errorf("%w: low disk", blobnet.ErrFull)

// freeSpace is disk.Free, or without end where the system does not tell.
func (s *Store) freeSpace() (int64, error) {
	free, err := disk.Free(s.tree.root)
	if errors.Is(err, errors.ErrUnsupported) {
		return math.MaxInt64 / 2, nil
	}
	if err != nil {
		return 0, fmt.Errorf("asking for free space: %w", err)
	}
	return free, nil
}
