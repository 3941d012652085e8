package codec

import (
	"context"
	"iter"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Chunk is where one chunk of a file is, and what opens it.
type Chunk struct {
	Ref    Ref
	Offset uint64 // of its first byte in the file
	Index  uint64 // from 0
}

// Chunks yields the chunks of f in file order. Index blobs are had from src one
// by one as the walk reaches them, and checked; no more than one per level is
// held. After an error, which may be the first thing yielded, nothing follows.
func Chunks(ctx context.Context, src blobnet.Source, f File) iter.Seq2[Chunk, error] {
	t := &tree{src, f, MaxRefs}
	return t.chunks(ctx, 0)
}

// Blobs yields the ids of all blobs of f: every index blob before what lies
// below it, and the chunks in file order. It opens index blobs as Chunks does,
// but needs no chunk. A hostile publisher may make it yield one id many times.
func Blobs(ctx context.Context, src blobnet.Source, f File) iter.Seq2[blobnet.ID, error] {
	t := &tree{src, f, MaxRefs}
	return t.blobs(ctx)
}

func (t *tree) chunks(ctx context.Context, from uint64) iter.Seq2[Chunk, error] {
	return func(yield func(Chunk, error) bool) {
		w := walker{tree: t, from: from}
		w.visit = func(ref Ref, level int, offset uint64) bool {
			if level > 0 {
				return true
			}
			chunk := Chunk{Ref: ref, Offset: offset}
			if w.chunkSize > 0 {
				chunk.Index = offset / w.chunkSize
			}
			return yield(chunk, nil)
		}
		if err := w.walk(ctx); err != nil {
			yield(Chunk{}, err)
		}
	}
}

func (t *tree) blobs(ctx context.Context) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		w := walker{tree: t}
		w.visit = func(ref Ref, _ int, _ uint64) bool { return yield(ref.ID, nil) }
		if err := w.walk(ctx); err != nil {
			yield(blobnet.ID{}, err)
		}
	}
}

// walker goes through one file's tree, depth first.
type walker struct {
	*tree
	from      uint64                                       // refs that end at or before this offset are skipped
	visit     func(ref Ref, level int, offset uint64) bool // false ends the walk
	chunkSize uint64                                       // known once the root index was read
	stopped   bool
}

func (w *walker) walk(ctx context.Context) error {
	if err := w.file.validate(w.maxRefs); err != nil {
		return err
	}
	level := int(w.file.Depth)
	if err := ctx.Err(); err != nil {
		return err
	}
	if !w.visit(w.file.Root, level, 0) || level == 0 {
		return nil
	}
	refs, chunkSize, err := w.loadRoot(ctx)
	if err != nil {
		return err
	}
	w.chunkSize = chunkSize
	return w.below(ctx, refs, level, 0)
}

// below visits refs, those of an index of the given level, whose first byte is
// at offset in the file.
func (w *walker) below(ctx context.Context, refs []Ref, level int, offset uint64) error {
	for _, ref := range refs {
		end := offset + ref.Size
		if end <= w.from {
			offset = end
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if !w.visit(ref, level-1, offset) {
			w.stopped = true
			return nil
		}
		if level > 1 {
			below, err := w.load(ctx, ref, level-1, w.chunkSize)
			if err == nil {
				err = w.below(ctx, below, level-1, offset)
			}
			if err != nil || w.stopped {
				return err
			}
		}
		offset = end
	}
	return nil
}
