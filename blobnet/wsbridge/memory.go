package wsbridge

import (
	"context"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/semaphore"

	"github.com/anonymous-media-library/aml/blobnet"
)

// memory lends buffers for blobs, so many in all. Who waits is served in order.
type memory struct {
	left    *semaphore.Weighted
	pool    sync.Pool // of *[]byte
	waiting atomic.Int64
}

func newMemory(bytes int) *memory {
	return &memory{left: semaphore.NewWeighted(int64(bytes / blobnet.MaxBlobSize))}
}

// borrow returns an empty buffer, for which it may wait until ctx ends.
func (m *memory) borrow(ctx context.Context) (*[]byte, error) {
	if !m.left.TryAcquire(1) {
		m.waiting.Add(1)
		defer m.waiting.Add(-1)
		if err := m.left.Acquire(ctx, 1); err != nil {
			return nil, err
		}
	}
	if b, ok := m.pool.Get().(*[]byte); ok {
		*b = (*b)[:0]
		return b, nil
	}
	// Most blobs are a sealed chunk of 1 MiB; larger ones grow the buffer.
	b := make([]byte, 0, headSize+1<<20+64)
	return &b, nil
}

func (m *memory) giveBack(b *[]byte) {
	m.pool.Put(b)
	m.left.Release(1)
}

// scarce reports whether somebody waits.
func (m *memory) scarce() bool { return m.waiting.Load() > 0 }
