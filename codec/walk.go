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
// below it, and the chunks in file order; of a file with parity also the copies
// of its root, behind that, and the parity blobs of an index behind it. It opens index blobs as Chunks does,
// but needs no chunk. A hostile publisher may make it yield one id many times.
func Blobs(ctx context.Context, src blobnet.Source, f File) iter.Seq2[blobnet.ID, error] {
	t := &tree{src, f, MaxRefs}
	return t.blobs(ctx)
}

// Needed yields the ids of the blobs that reading f needs: those of Blobs without
// parity and copies, in the same order.
func Needed(ctx context.Context, src blobnet.Source, f File) iter.Seq2[blobnet.ID, error] {
	t := &tree{src, f, MaxRefs}
	return func(yield func(blobnet.ID, error) bool) {
		w := walker{tree: t}
		w.visit = func(ref Ref, _ int, _ uint64) bool { return yield(ref.ID, nil) }
		if err := w.walk(ctx); err != nil {
			yield(blobnet.ID{}, err)
		}
	}
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
		w.other = func(id blobnet.ID) bool { return yield(id, nil) }
		w.visit = func(ref Ref, _ int, _ uint64) bool { return w.other(ref.ID) }
		if err := w.walk(ctx); err != nil {
			yield(blobnet.ID{}, err)
		}
	}
}

// walker goes through one file's tree, depth first.
type walker struct {
	*tree
	from    uint64                                       // refs that end at or before this offset are skipped
	visit   func(ref Ref, level int, offset uint64) bool // false ends the walk
	other   func(id blobnet.ID) bool                     // the same, for parity and copies; may be nil
	shape                                                // known once the root index was read
	stopped bool
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
	root, shape, err := w.loadRoot(ctx)
	if err != nil {
		return err
	}
	w.shape = shape
	if w.other != nil && !shape.coding.IsZero() {
		ids, err := w.copies(root, nil)
		if err != nil || !w.others(ids) {
			return err
		}
	}
	return w.below(ctx, root, level, 0)
}

// others visits ids; false ends the walk.
func (w *walker) others(ids []blobnet.ID) bool {
	for _, id := range ids {
		if w.other != nil && !w.other(id) {
			w.stopped = true
			return false
		}
	}
	return true
}

// below visits what x lists, an index of the given level, whose first byte is at
// offset in the file.
func (w *walker) below(ctx context.Context, x index, level int, offset uint64) error {
	if !w.others(x.parity) {
		return nil
	}
	for _, ref := range x.refs {
		end := offset + ref.Size
		if end <= w.from && w.from > 0 { // an empty chunk, that of an empty file, is at 0
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
			below, err := w.load(ctx, ref, level-1, w.shape)
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
