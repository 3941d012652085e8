package codec

import (
	"context"
	"fmt"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// stripeKey names a stripe while a file is encoded.
type stripeKey struct {
	level  int    // of the blobs in it: 0 for chunks
	index  uint64 // which index, of those above this level, lists it
	number int    // which of that index's
}

// stripe is the parity of the blobs that were added so far.
type stripe struct {
	mu      sync.Mutex // guards what follows
	parity  [][]byte   // as long as a blob of the level can be, zero behind longest
	longest int        // bytes of the longest blob added
}

// parities computes the parity of one file's blobs while they are sealed, in any
// order. All methods may be called from many goroutines.
type parities struct {
	code      Eraser
	chunkBlob int // bytes of the longest chunk's blob

	mu   sync.Mutex // guards what follows
	open map[stripeKey]*stripe
	free [2][][]byte // zeroed buffers: of the length of a chunk's blob, and of an index's
}

func newParities(code Eraser, chunkBlob int) *parities {
	return &parities{code: code, chunkBlob: chunkBlob, open: make(map[stripeKey]*stripe)}
}

// place returns the stripe of the nth blob of a level, and its place in it.
func (p *parities) place(level int, n uint64, maxRefs int) (stripeKey, int) {
	in := int(n % uint64(maxRefs))
	data := p.code.Coding().Data
	return stripeKey{level, n / uint64(maxRefs), in / data}, in % data
}

// add adds one blob to its stripe. It keeps no reference to blob.
func (p *parities) add(key stripeKey, place int, blob []byte) error {
	s := p.stripe(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	parts := make([][]byte, len(s.parity))
	for i := range parts {
		parts[i] = s.parity[i][:len(blob)]
	}
	s.longest = max(s.longest, len(blob))
	if err := p.code.Add(parts, place, blob); err != nil {
		return fmt.Errorf("computing parity: %w", err)
	}
	return nil
}

func (p *parities) stripe(key stripeKey) *stripe {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.open[key]
	if s == nil {
		s = &stripe{}
		kind, size := min(key.level, 1), p.chunkBlob
		if kind > 0 {
			size = maxCodedBlob
		}
		for range p.code.Coding().Parity {
			if n := len(p.free[kind]); n > 0 {
				s.parity = append(s.parity, p.free[kind][n-1])
				p.free[kind] = p.free[kind][:n-1]
			} else {
				s.parity = append(s.parity, make([]byte, size))
			}
		}
		p.open[key] = s
	}
	return s
}

// finish puts the parity blobs of a stripe to which all blobs were added.
func (p *parities) finish(ctx context.Context, dst Putter, key stripeKey) (ids []blobnet.ID, err error) {
	s := p.stripe(key)
	for _, buf := range s.parity {
		blob := buf[:s.longest]
		id := blobnet.Sum(blob)
		if err := put(ctx, dst, id, blob); err != nil {
			return nil, fmt.Errorf("putting parity blob %s: %w", id.Short(), err)
		}
		clear(blob)
		ids = append(ids, id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.open, key)
	kind := min(key.level, 1)
	p.free[kind] = append(p.free[kind], s.parity...)
	return ids, nil
}
