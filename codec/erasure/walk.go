package erasure

import (
	"context"
	"errors"
	"iter"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// walk goes through the stripes of a file once, and makes the index blobs on the
// way that are lost. What lists an index was gone through just before it, so its
// stripe is known: no walk begins another, whatever a hostile index lists. It
// belongs to one goroutine.
type walk struct {
	*Source
	at   []map[blobnet.ID]place // by level: where the index blobs of it stand that the last index lists
	seen map[blobnet.ID]struct{}
}

// place is one of a stripe.
type place struct {
	codec.Stripe
	in int
}

// errSeen passes over an index blob that a hostile file lists again, and what
// lies below it: that is the same.
var errSeen = errors.New("index blob was seen before")

// stripes yields the stripes of the file as codec.Stripes does, those that are
// listed again left out. Who puts a stripe's lost blobs into the Source before
// it goes on saves the walk from making them.
func (s *Source) stripes(ctx context.Context) iter.Seq2[codec.Stripe, error] {
	return func(yield func(codec.Stripe, error) bool) {
		w := &walk{s, make([]map[blobnet.ID]place, s.cfg.File.Depth), make(map[blobnet.ID]struct{})}
		for stripe, err := range codec.Stripes(ctx, w, s.cfg.File) {
			if errors.Is(err, errSeen) {
				continue
			}
			if err == nil && stripe.Level > 0 {
				w.pass(stripe)
			}
			if !yield(stripe, err) {
				return
			}
		}
	}
}

func (w *walk) pass(stripe codec.Stripe) {
	if stripe.Number == 0 {
		w.at[stripe.Level] = make(map[blobnet.ID]place)
	}
	for i, m := range stripe.Data {
		w.at[stripe.Level][m.ID] = place{stripe, i}
	}
}

// Get gets an index blob for codec.Stripes.
func (w *walk) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	if _, ok := w.seen[id]; ok {
		return dst, errSeen
	}
	w.seen[id] = struct{}{}
	return w.get(ctx, id, dst, w.make)
}

func (w *walk) make(ctx context.Context, id blobnet.ID, why error) ([]byte, error) {
	if id == w.cfg.File.Root.ID {
		return w.root(ctx, why)
	}
	for _, level := range w.at {
		if p, ok := level[id]; ok {
			return w.index(ctx, p)
		}
	}
	return nil, why
}
