package codec

import (
	"context"
	"fmt"
)

// builder makes the index tree while the refs of chunks come in file order. It
// keeps at most one unfinished index per level. One goroutine at a time.
type builder struct {
	dst     Putter
	maxRefs int
	open    [MaxDepth + 1][]Ref // open[n]: refs of the unfinished index of level n+1
	buf     []byte              // for sealing, reused
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
	for level, key := range keys {
		if err := b.close(ctx, level, key); err != nil {
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
		if level >= top && len(b.open[level]) == 1 {
			return b.open[level][0], uint8(level), nil
		}
		if len(b.open[level]) == 0 {
			continue
		}
		key, err := newKey()
		if err != nil {
			return Ref{}, 0, err
		}
		if err := b.close(ctx, level, key); err != nil {
			return Ref{}, 0, err
		}
	}
}

// close seals open[level] into an index of level level+1, puts it, and adds its
// ref one level up.
func (b *builder) close(ctx context.Context, level int, key Key) error {
	if level == MaxDepth {
		return fmt.Errorf("file wants a tree deeper than %d: %w", MaxDepth, ErrTooLarge)
	}
	refs := b.open[level]
	var size uint64
	for i := range refs {
		size += refs[i].Size
	}
	plain, err := encodeIndex(level+1, refs)
	if err != nil {
		return fmt.Errorf("encoding an index: %w", err)
	}
	b.buf, err = Seal(b.buf[:0], plain, key)
	if err != nil {
		return err
	}
	ref := MakeRef(b.buf, key, size)
	if err := put(ctx, b.dst, ref.ID, b.buf); err != nil {
		return fmt.Errorf("putting index blob %s: %w", ref.ID.Short(), err)
	}
	b.open[level] = refs[:0]
	b.open[level+1] = append(b.open[level+1], ref)
	return nil
}
