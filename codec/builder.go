package codec

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
)

// builder makes the index tree while the refs of chunks come in file order. It
// keeps at most one unfinished index per level. One goroutine at a time.
type builder struct {
	dst     Putter
	maxRefs int
	parity  *parities                  // nil if there is none
	open    [MaxDepth + 1][]Ref        // open[n]: refs of the unfinished index of level n+1
	ids     [MaxDepth + 1][]blobnet.ID // its parity
	closed  [MaxDepth + 1]uint64       // how many indexes of level n+1 are done
	plain   []byte                     // the last index that was sealed
	buf     []byte                     // for sealing, reused
}

// fills returns how many index blobs are full once chunks chunks have been
// added and were not one chunk before. Each wants a key of its own, which the
// caller of add draws: in an order that does not depend on scheduling.
func (b *builder) fills(chunks uint64) int {
	n := 0
	for ; chunks%uint64(b.maxRefs) == 0; chunks /= uint64(b.maxRefs) {
		n++
	}
	return n
}

// add takes the ref of the next chunk and seals the indexes that it fills, with
// keys.
func (b *builder) add(ctx context.Context, ref Ref, keys []Key) error {
	b.open[0] = append(b.open[0], ref)
	if err := b.stripe(ctx, 0, false); err != nil {
		return err
	}
	for level, key := range keys {
		if err := b.close(ctx, level, key, false); err != nil {
			return err
		}
	}
	return nil
}

// finish seals what is unfinished and returns the root, with its depth. There
// must have been at least one chunk.
func (b *builder) finish(ctx context.Context, newKey func() (Key, error)) (Ref, uint8, error) {
	top := MaxDepth
	for len(b.open[top]) == 0 {
		top--
	}
	for level := 0; ; level++ {
		if level >= top && len(b.open[level]) == 1 && (level > 0 || b.parity == nil) {
			root := b.open[level][0]
			return root, uint8(level), b.copies(ctx, root)
		}
		if len(b.open[level]) == 0 {
			continue
		}
		key, err := newKey()
		if err != nil {
			return Ref{}, 0, err
		}
		if err := b.close(ctx, level, key, level >= top); err != nil {
			return Ref{}, 0, err
		}
	}
}

// close seals open[level] into an index of level level+1, puts it, and adds its
// ref one level up. If it is known to be the root, it is of no stripe.
func (b *builder) close(ctx context.Context, level int, key Key, root bool) error {
	if level == MaxDepth {
		return fmt.Errorf("file wants a tree deeper than %d: %w", MaxDepth, ErrTooLarge)
	}
	if err := b.stripe(ctx, level, true); err != nil {
		return err
	}
	refs := b.open[level]
	var size uint64
	for i := range refs {
		size += refs[i].Size
	}
	var coding Coding
	if b.parity != nil {
		coding = b.parity.code.Coding()
	}
	plain, err := index{refs, coding, b.ids[level]}.encode(level + 1)
	if err != nil {
		return fmt.Errorf("encoding an index: %w", err)
	}
	b.plain = plain
	b.buf, err = Seal(b.buf[:0], plain, key)
	if err != nil {
		return err
	}
	ref := MakeRef(b.buf, key, size)
	if err := put(ctx, b.dst, ref.ID, b.buf); err != nil {
		return fmt.Errorf("putting index blob %s: %w", ref.ID.Short(), err)
	}
	b.open[level], b.ids[level] = refs[:0], b.ids[level][:0]
	n := b.closed[level]
	b.closed[level]++
	b.open[level+1] = append(b.open[level+1], ref)
	if b.parity == nil || root {
		return nil
	}
	stripe, place := b.parity.place(level+1, n, b.maxRefs)
	if err := b.parity.add(stripe, place, b.buf); err != nil {
		return err
	}
	return b.stripe(ctx, level+1, false)
}

// stripe puts the parity of the last refs of open[level] if their stripe is
// full, or if they are the last of their index and it is not.
func (b *builder) stripe(ctx context.Context, level int, last bool) error {
	if b.parity == nil {
		return nil
	}
	n := len(b.open[level])
	full := n%b.parity.code.Coding().Data == 0
	if full == last {
		return nil
	}
	key, _ := b.parity.place(level, b.closed[level]*uint64(b.maxRefs)+uint64(n-1), b.maxRefs)
	ids, err := b.parity.finish(ctx, b.dst, key)
	b.ids[level] = append(b.ids[level], ids...)
	return err
}

// copies puts the copies of the root index, which was sealed last.
func (b *builder) copies(ctx context.Context, root Ref) error {
	if b.parity == nil {
		return nil
	}
	return rootCopies(root.Key, b.plain, b.buf, b.parity.code.Coding().Parity, func(id blobnet.ID, blob []byte) error {
		if err := put(ctx, b.dst, id, blob); err != nil {
			return fmt.Errorf("putting a copy of the root index, blob %s: %w", id.Short(), err)
		}
		return nil
	})
}
