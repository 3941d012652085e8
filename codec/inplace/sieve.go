package inplace

import (
	"context"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Sieve is a Store for whoever fetches files: the chunks that it expects are
// written to files and registered by it, so that a Put of them keeps nothing.
type Sieve struct {
	*Store

	mu       sync.Mutex // guards expected
	expected map[blobnet.ID]int
}

// Sieve returns a Sieve before s.
func (s *Store) Sieve() *Sieve { return &Sieve{Store: s, expected: map[blobnet.ID]int{}} }

// Expect lets nothing be kept of id until as many calls of Arrived.
func (v *Sieve) Expect(id blobnet.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.expected[id]++
}

// Arrived ends what an Expect began.
func (v *Sieve) Arrived(id blobnet.ID) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.expected[id]--; v.expected[id] <= 0 {
		delete(v.expected, id)
	}
}

func (v *Sieve) expects(id blobnet.ID) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.expected[id] > 0
}

// Put puts what is not expected.
func (v *Sieve) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	if v.expects(id) {
		return ctx.Err()
	}
	return v.Store.Put(ctx, id, blob)
}

// PutVerified puts what is not expected.
func (v *Sieve) PutVerified(ctx context.Context, id blobnet.ID, blob []byte) error {
	if v.expects(id) {
		return ctx.Err()
	}
	return v.Store.PutVerified(ctx, id, blob)
}

// Keeper is a Sieve for whoever wants the blobs stored although they lie in
// files as well: what is put goes to the inner store, expected or not.
type Keeper struct{ *Store }

// Keeper returns a Keeper before s.
func (s *Store) Keeper() Keeper { return Keeper{s} }

// Expect does nothing.
func (Keeper) Expect(blobnet.ID) {}

// Arrived does nothing.
func (Keeper) Arrived(blobnet.ID) {}

// Put puts into the inner store.
func (k Keeper) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	return k.cfg.Inner.Put(ctx, id, blob)
}

// PutVerified puts into the inner store.
func (k Keeper) PutVerified(ctx context.Context, id blobnet.ID, blob []byte) error {
	return k.cfg.Inner.PutVerified(ctx, id, blob)
}
