package erasure

import (
	"context"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

const (
	// keptIndexes bounds the bytes of index blobs that a Source keeps, the root
	// beside them: some ninety, over as many GiB of a file in chunks of 1 MiB.
	keptIndexes = 16 << 20
	// keptLosses bounds how many stripes a Source knows to be lost.
	keptLosses = 1 << 16
)

// memory is what a Source made already, and what it could not: a walk through an
// index comes by it again and again.
type memory struct {
	mu    sync.Mutex // guards what follows
	top   []byte     // the root index, if it had to be made
	made  map[blobnet.ID][]byte
	bytes int // of made
	lost  map[stripeKey]error
}

// stripeKey names a stripe of index blobs.
type stripeKey struct {
	index  blobnet.ID
	number int
}

// index makes the index blob at a place of a stripe, unless that was tried.
func (s *Source) index(ctx context.Context, p place) ([]byte, error) {
	key, id := stripeKey{p.Index, p.Number}, p.Data[p.in].ID
	blob, err := s.memory.recall(key, id)
	if blob != nil || err != nil {
		return blob, err
	}
	blob, err = s.one(ctx, p.Stripe, p.in)
	switch {
	case err == nil:
		s.memory.keep(id, blob)
	case ctx.Err() == nil:
		s.memory.lose(key, err)
	}
	return blob, err
}

func (m *memory) recall(key stripeKey, id blobnet.ID) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if blob := m.made[id]; blob != nil {
		return blob, nil
	}
	return nil, m.lost[key]
}

// keep keeps an index blob, which nobody writes to any more.
func (m *memory) keep(id blobnet.ID, blob []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.made == nil {
		m.made = make(map[blobnet.ID][]byte)
	}
	m.bytes += len(blob) - len(m.made[id])
	m.made[id] = blob
	for other, b := range m.made { // any: made again it costs a stripe
		if m.bytes <= keptIndexes {
			break
		}
		m.bytes -= len(b)
		delete(m.made, other)
	}
}

// lose notes that what is lost of a stripe cannot be made.
func (m *memory) lose(key stripeKey, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lost == nil {
		m.lost = make(map[stripeKey]error)
	}
	if len(m.lost) < keptLosses {
		m.lost[key] = err
	}
}

func (m *memory) root() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.top
}

func (m *memory) keepRoot(blob []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.top = blob
}

// lostStripe notes a stripe of index blobs that was tried elsewhere.
func (s *Source) lostStripe(stripe codec.Stripe, err error) {
	if stripe.Level > 0 {
		s.memory.lose(stripeKey{stripe.Index, stripe.Number}, err)
	}
}
