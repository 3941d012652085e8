package codec

import (
	"context"
	"iter"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Member is one blob of a stripe.
type Member struct {
	ID   blobnet.ID
	Size int // bytes of the sealed blob
}

// Stripe is a run of blobs of a file, of which any Coding.Data give the others.
type Stripe struct {
	Coding Coding
	Level  int        // of the data blobs: 0 for chunks, n for indexes of level n
	Index  blobnet.ID // the index blob that lists them
	Number int        // which of its stripes, from 0
	Data   []Member   // at most Coding.Data: those that a short stripe lacks count as zeros
	Parity []Member   // Coding.Parity; each as long as the longest of Data
}

// Stripes yields the stripes of f, all those of an index before what lies below
// it, so that who repairs the blobs of one stripe lets the walk go on. If an
// index blob cannot be had or is malformed, that error is yielded; who goes on
// is shown what does not lie below it. A file without parity has no stripes.
func Stripes(ctx context.Context, src blobnet.Source, f File) iter.Seq2[Stripe, error] {
	return stripes(ctx, &tree{src, f, MaxRefs})
}

func stripes(ctx context.Context, t *tree) iter.Seq2[Stripe, error] {
	return func(yield func(Stripe, error) bool) {
		err := t.file.validate(t.maxRefs)
		if err != nil {
			yield(Stripe{}, err)
			return
		}
		if t.file.Depth == 0 {
			return
		}
		root, want, err := t.loadRoot(ctx)
		if err != nil {
			yield(Stripe{}, err)
			return
		}
		if root.coding.IsZero() {
			return
		}
		t.stripesOf(ctx, t.file.Root.ID, root, int(t.file.Depth), want, yield)
	}
}

// stripesOf yields the stripes of x, an index of the given level, and of those
// below it; false ends the walk.
func (t *tree) stripesOf(ctx context.Context, id blobnet.ID, x index, level int, want shape, yield func(Stripe, error) bool) bool {
	sizes := make(map[uint64]int, 2) // of the blobs, by what lies below: all are full but the last
	for n := range x.coding.stripes(len(x.refs)) {
		if err := ctx.Err(); err != nil {
			yield(Stripe{}, err)
			return false
		}
		refs, parity := x.stripe(n)
		s := Stripe{Coding: x.coding, Level: level - 1, Index: id, Number: n}
		longest := 0
		for _, ref := range refs {
			size, ok := sizes[ref.Size]
			if !ok {
				size = t.blobSize(ref, level-1, want)
				sizes[ref.Size] = size
			}
			longest = max(longest, size)
			s.Data = append(s.Data, Member{ref.ID, size})
		}
		for _, id := range parity {
			s.Parity = append(s.Parity, Member{id, longest})
		}
		if !yield(s, nil) {
			return false
		}
	}
	if level == 1 {
		return true
	}
	for _, ref := range x.refs {
		below, err := t.load(ctx, ref, level-1, want)
		if err != nil {
			if !yield(Stripe{}, err) || ctx.Err() != nil {
				return false
			}
			continue
		}
		if !t.stripesOf(ctx, ref.ID, below, level-1, want, yield) {
			return false
		}
	}
	return true
}

// blobSize returns how long the sealed blob of ref is, which lies level levels
// above the chunks. An index's length follows from the shape of the file.
func (t *tree) blobSize(ref Ref, level int, want shape) int {
	if level == 0 {
		return BlobSize(ref)
	}
	full := span(want.chunkSize, level-1, t.maxRefs)
	refs := make([]Ref, (ref.Size+full-1)/full)
	for i := range refs {
		refs[i].Size = min(full, ref.Size-uint64(i)*full)
	}
	x := index{refs: refs, coding: want.coding}
	x.parity = make([]blobnet.ID, want.coding.stripes(len(refs))*want.coding.Parity)
	plain, err := x.encode(level)
	if err != nil {
		return 0 // it was checked that such an index can be
	}
	return PaddedSize(len(plain)) + Overhead
}

// RootCopies returns the ids of the copies that a file with parity has of its
// root index, and calls put with each if put is not nil: to put back one that
// was lost. A file without parity has none.
func RootCopies(ctx context.Context, src blobnet.Source, f File, put func(id blobnet.ID, blob []byte) error) (ids []blobnet.ID, err error) {
	t := &tree{src, f, MaxRefs}
	if err := f.Validate(); err != nil || f.Depth == 0 {
		return nil, err
	}
	root, _, err := t.loadRoot(ctx)
	if err != nil || root.coding.IsZero() {
		return nil, err
	}
	return t.copies(root, put)
}

// copies makes the copies of root again, the root index of the file.
func (t *tree) copies(root index, put func(id blobnet.ID, blob []byte) error) (ids []blobnet.ID, err error) {
	plain, err := root.encode(int(t.file.Depth))
	if err != nil {
		return nil, err
	}
	err = rootCopies(t.file.Root.Key, plain, nil, root.coding.Parity, func(id blobnet.ID, blob []byte) error {
		ids = append(ids, id)
		if put != nil {
			return put(id, blob)
		}
		return nil
	})
	return ids, err
}
