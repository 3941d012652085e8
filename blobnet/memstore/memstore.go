// Package memstore keeps blobs in memory.
//
// It is for tests, and for nodes that only pass blobs on. It promises what
// blobnet.Store does as far as memory can: nothing survives the process. It
// must never write a file.
package memstore

import (
	"container/list"
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Config says how much to store.
type Config struct {
	// MaxSize is the quota in bytes of blobs; if zero, there is none.
	MaxSize int64
}

// Store implements blobnet.Store, VerifiedPutter, Deleter, Lister, Pinner,
// Syncer and Stater. Its methods may be called from many goroutines at once.
type Store struct {
	maxSize int64

	mu    sync.Mutex // guards what follows
	blobs map[blobnet.ID]*list.Element
	order *list.List // of blob, the one used longest ago first
	pins  map[blobnet.ID]int64
	mark  blobnet.Mark // of UnpinTo
	size  int64
}

type blob struct {
	id   blobnet.ID
	data []byte // never changed, so it is read without the lock
}

var _ interface {
	blobnet.Store
	blobnet.VerifiedPutter
	blobnet.Deleter
	blobnet.Lister
	blobnet.Pinner
	blobnet.Syncer
	blobnet.Stater
} = (*Store)(nil)

// New returns an empty store. A negative quota is none.
func New(cfg Config) *Store {
	return &Store{
		maxSize: max(0, cfg.MaxSize), blobs: make(map[blobnet.ID]*list.Element),
		order: list.New(), pins: make(map[blobnet.ID]int64),
	}
}

// Put implements blobnet.Store.
func (s *Store) Put(ctx context.Context, id blobnet.ID, data []byte) error {
	if len(data) <= blobnet.MaxBlobSize && blobnet.Sum(data) != id {
		return fmt.Errorf("storing blob %s: %w", id, blobnet.ErrCorrupt)
	}
	return s.PutVerified(ctx, id, data)
}

// PutVerified implements blobnet.VerifiedPutter.
func (s *Store) PutVerified(ctx context.Context, id blobnet.ID, data []byte) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(data) > blobnet.MaxBlobSize {
		return fmt.Errorf("storing blob %s: %w", id, blobnet.ErrTooLarge)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.blobs[id]; ok {
		s.order.MoveToBack(e)
		return nil
	}
	if !s.makeRoom(int64(len(data))) {
		return fmt.Errorf("storing blob %s: %w: the quota is %d bytes", id, blobnet.ErrFull, s.maxSize)
	}
	s.blobs[id] = s.order.PushBack(blob{id: id, data: slices.Clone(data)})
	s.size += int64(len(data))
	return nil
}

// makeRoom evicts until size more bytes fit, or reports that they cannot.
// Called with mu held.
func (s *Store) makeRoom(size int64) bool {
	need := s.size + size - s.maxSize
	if s.maxSize == 0 || need <= 0 {
		return true
	}
	var victims []*list.Element
	for e := s.order.Front(); e != nil && need > 0; e = e.Next() {
		if b := e.Value.(blob); s.pins[b.id] == 0 {
			victims = append(victims, e)
			need -= int64(len(b.data))
		}
	}
	if need > 0 {
		return false
	}
	for _, e := range victims {
		s.remove(e)
	}
	return true
}

func (s *Store) remove(e *list.Element) {
	b := s.order.Remove(e).(blob)
	delete(s.blobs, b.id)
	s.size -= int64(len(b.data))
}

// Get implements blobnet.Source.
func (s *Store) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	s.mu.Lock()
	e, ok := s.blobs[id]
	if !ok {
		s.mu.Unlock()
		return dst, fmt.Errorf("reading blob %s: %w", id, blobnet.ErrNotFound)
	}
	s.order.MoveToBack(e)
	data := e.Value.(blob).data
	s.mu.Unlock()
	return append(dst, data...), nil
}

// Has implements blobnet.Store.
func (s *Store) Has(ctx context.Context, ids ...blobnet.ID) ([]bool, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	have := make([]bool, len(ids))
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, id := range ids {
		_, have[i] = s.blobs[id]
	}
	return have, nil
}

// Delete implements blobnet.Deleter. If one of ids is pinned, none is deleted.
func (s *Store) Delete(ctx context.Context, ids ...blobnet.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		if _, stored := s.blobs[id]; stored && s.pins[id] > 0 {
			return fmt.Errorf("deleting blob %s: %w", id, blobnet.ErrPinned)
		}
	}
	for _, id := range ids {
		if e, ok := s.blobs[id]; ok {
			s.remove(e)
		}
	}
	return nil
}

// List implements blobnet.Lister. yield may use the store.
func (s *Store) List(ctx context.Context, yield func(blobnet.Info) error) error {
	s.mu.Lock()
	infos := make([]blobnet.Info, 0, len(s.blobs))
	for id := range s.blobs {
		infos = append(infos, blobnet.Info{ID: id, Size: int64(len(s.blobs[id].Value.(blob).data)), Pinned: s.pins[id] > 0, Pins: s.pins[id]})
	}
	s.mu.Unlock()
	slices.SortFunc(infos, func(a, b blobnet.Info) int { return a.ID.Compare(b.ID) })
	for _, info := range infos {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := yield(info); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// Pin implements blobnet.Pinner.
func (s *Store) Pin(ctx context.Context, ids ...blobnet.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range ids {
		s.pins[id]++
	}
	return nil
}

// Unpin implements blobnet.Pinner.
func (s *Store) Unpin(ctx context.Context, ids ...blobnet.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unpinLocked(ids)
	return nil
}

// UnpinTo implements blobnet.Pinner.
func (s *Store) UnpinTo(ctx context.Context, to blobnet.Mark, ids ...blobnet.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unpinLocked(ids)
	s.mark = to
	return nil
}

// UnpinnedTo implements blobnet.Pinner.
func (s *Store) UnpinnedTo(ctx context.Context) (blobnet.Mark, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mark, ctx.Err()
}

func (s *Store) unpinLocked(ids []blobnet.ID) {
	for _, id := range ids {
		if s.pins[id] > 1 {
			s.pins[id]--
		} else {
			delete(s.pins, id)
		}
	}
}

// Sync implements blobnet.Syncer, and has nothing to do.
func (s *Store) Sync(ctx context.Context) error { return ctx.Err() }

// Stats implements blobnet.Stater.
func (s *Store) Stats(ctx context.Context) (blobnet.Stats, error) {
	if err := ctx.Err(); err != nil {
		return blobnet.Stats{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st := blobnet.Stats{BlobCount: int64(len(s.blobs)), CurrentSize: s.size, MaxSize: s.maxSize}
	for id := range s.pins {
		if e, ok := s.blobs[id]; ok {
			st.Pinned++
			st.PinnedSize += int64(len(e.Value.(blob).data))
		}
	}
	return st, nil
}
