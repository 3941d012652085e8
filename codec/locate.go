package codec

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
)

// cachedIndexes is how many index blobs a Locator keeps opened: at most 1 MiB,
// enough for two distant places of the deepest file.
const cachedIndexes = 8

// Locator finds the chunk that holds a byte of a file. It gets each index blob
// once and keeps the last few that it used. It may be used from many goroutines
// at once; those that want one index blob at the same time cause one Get.
type Locator struct {
	tree    tree
	err     error // what is wrong with the File
	indexes *cache[indexKey, indexValue]
}

type indexKey struct {
	level  int
	offset uint64 // of its first byte in the file
}

type indexValue struct {
	index // never written again
	shape
}

// NewLocator returns a Locator of f that gets index blobs from src. It does no
// I/O; what is wrong with f comes out of the first At.
func NewLocator(src blobnet.Source, f File) *Locator { return newLocator(src, f, MaxRefs) }

func newLocator(src blobnet.Source, f File, maxRefs uint64) *Locator {
	return &Locator{
		tree:    tree{src, f, maxRefs},
		err:     f.validate(maxRefs),
		indexes: newCache[indexKey, indexValue](cachedIndexes, nil),
	}
}

// At returns the chunk that holds the byte at off, which must be in the file;
// that of an empty file is at 0. It gets and checks the index blobs on the way,
// from the root on. A Get that several calls share ends with the ctx of the
// first: give all of them one.
func (l *Locator) At(ctx context.Context, off uint64) (Chunk, error) {
	if l.err != nil {
		return Chunk{}, l.err
	}
	return l.descend(off, func(ref Ref, level int, base uint64, want shape) (indexValue, error) {
		e, err := l.indexes.get(indexKey{level, base}, func() (v indexValue, err error) {
			if level == int(l.tree.file.Depth) {
				v.index, v.shape, err = l.tree.loadRoot(ctx)
				return v, err
			}
			v.shape = want
			v.index, err = l.tree.load(ctx, ref, level, want)
			return v, err
		})
		if err != nil {
			return indexValue{}, err
		}
		defer l.indexes.put(e)
		return e.value, nil
	})
}

// Peek is At without waiting: false if an index blob on the way is not here.
func (l *Locator) Peek(off uint64) (Chunk, bool) {
	if l.err != nil {
		return Chunk{}, false
	}
	chunk, err := l.descend(off, func(_ Ref, level int, base uint64, _ shape) (indexValue, error) {
		e := l.indexes.ready(indexKey{level, base})
		if e == nil {
			return indexValue{}, blobnet.ErrNotFound
		}
		defer l.indexes.put(e)
		return e.value, nil
	})
	return chunk, err == nil
}

// descend goes from the root to the chunk at off; index gives the refs of an
// index blob, the root if it is of the file's own depth.
func (l *Locator) descend(off uint64, index func(ref Ref, level int, base uint64, want shape) (indexValue, error)) (Chunk, error) {
	level := int(l.tree.file.Depth)
	ref := l.tree.file.Root
	var base uint64
	var want shape
	for ; level > 0; level-- {
		below, err := index(ref, level, base, want)
		if err != nil {
			return Chunk{}, err
		}
		want = below.shape
		full := span(want.chunkSize, level-1, l.tree.maxRefs)
		i := (off - base) / full
		if i >= uint64(len(below.refs)) {
			return Chunk{}, fmt.Errorf("no byte at %d in a file of %d: %w", off, l.tree.file.Size, ErrIndex)
		}
		ref = below.refs[i]
		base += i * full
	}
	chunk := Chunk{Ref: ref, Offset: base}
	if want.chunkSize > 0 {
		chunk.Index = base / want.chunkSize
	}
	return chunk, nil
}
