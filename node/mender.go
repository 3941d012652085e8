package node

import (
	"context"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

// mender is this node's blobs, of which it takes note what a repair puts back.
// It may be used by many goroutines at once.
type mender struct {
	*inplace.Store
	tell func(blobnet.ID) // of each blob that it puts back
	mu   sync.Mutex
	back map[blobnet.ID]struct{} // guarded by mu: were not here, and are
}

func newMender(s *inplace.Store, tell func(blobnet.ID)) *mender {
	return &mender{Store: s, tell: tell, back: make(map[blobnet.ID]struct{})}
}

// Put puts a blob, and notes it if it was not here.
func (m *mender) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	return m.put(ctx, id, blob, m.Store.Put)
}

// PutVerified is Put for a caller who has just hashed the blob.
func (m *mender) PutVerified(ctx context.Context, id blobnet.ID, blob []byte) error {
	return m.put(ctx, id, blob, m.Store.PutVerified)
}

func (m *mender) put(ctx context.Context, id blobnet.ID, blob []byte, put func(context.Context, blobnet.ID, []byte) error) error {
	has, err := m.Store.Has(ctx, id)
	if err != nil {
		return err
	}
	if err := put(ctx, id, blob); err != nil || has[0] {
		return err
	}
	m.note(id)
	m.tell(id)
	return nil
}

func (m *mender) note(id blobnet.ID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.back[id] = struct{}{}
}

// count says which of lost are here again, whoever put them back, and counts
// all that was put back.
func (m *mender) count(ctx context.Context, lost []blobnet.ID, res *ScrubResult) error {
	here := 0
	for start := 0; start < len(lost); start += batch {
		ids := lost[start:min(start+batch, len(lost))]
		has, err := m.Store.Has(ctx, ids...)
		if err != nil {
			return err
		}
		for i, ok := range has {
			if ok {
				here++
				m.note(ids[i])
			}
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	res.Repaired = int64(len(m.back))
	res.Left = res.Rotten + res.Missing - int64(here)
	return nil
}
