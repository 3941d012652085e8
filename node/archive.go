package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/archive"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/outfile"
)

// ids yields the blobs that a request names, by ascending id.
func (n *Node) ids(ctx context.Context, req Named) (iter.Seq2[blobnet.ID, error], error) {
	switch {
	case req.All:
		return archive.All(ctx, n.blobs), nil
	case req.Entries != nil:
		entries, err := req.Entries.entries()
		if err != nil {
			return nil, err
		}
		var ids []blobnet.ID
		for _, e := range entries {
			for id, err := range codec.Blobs(ctx, n.blobs, e.File()) {
				if err != nil {
					return nil, listing(e, err)
				}
				if ids = append(ids, id); len(ids) > maxNamed {
					return nil, fmt.Errorf("%w: more than %d blobs named at once", channel.ErrLimit, maxNamed)
				}
			}
		}
		return sorted(ids), nil
	case len(req.IDs) > 0:
		return sorted(slices.Clone(req.IDs)), nil
	}
	return nil, badRequest("no blob named")
}

// sorted yields ids in order, each once. It takes ids over.
func sorted(ids []blobnet.ID) iter.Seq2[blobnet.ID, error] {
	slices.SortFunc(ids, blobnet.ID.Compare)
	ids = slices.Compact(ids)
	return func(yield func(blobnet.ID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

// exportPrefix begins the names of archives that are not whole yet. One that is
// being written is younger than what is swept.
const exportPrefix = ".aml-export-"

// Export writes blobs to a tar archive. A file appears under its name when it
// is whole; what is there already and is no regular file, such as a pipe, is
// written to as it is.
func (n *Node) Export(ctx context.Context, req ExportRequest, _ func(any)) (ArchiveResult, error) {
	ids, err := n.ids(ctx, req.Named)
	if err != nil {
		return ArchiveResult{}, err
	}
	disk.Sweep(filepath.Dir(req.Path), exportPrefix)
	out, err := outfile.Create(ctx, req.Path, exportPrefix+"*")
	if errors.Is(err, outfile.ErrFolder) {
		return ArchiveResult{}, badRequest("%w", err)
	}
	if err != nil {
		return ArchiveResult{}, fmt.Errorf("writing the archive %s: %w", req.Path, err)
	}
	defer out.Abort()
	stop := context.AfterFunc(ctx, func() { out.Close() }) // a pipe may have no reader
	defer stop()
	res, err := archive.Export(ctx, out, n.blobs, ids)
	if err == nil {
		err = out.Commit()
	}
	if err != nil {
		return ArchiveResult{}, fmt.Errorf("writing %s: %w", req.Path, err)
	}
	return ArchiveResult{Blobs: res.Blobs, Bytes: res.Bytes, Missing: res.Left, Without: res.Missing}, nil
}

// Import stores the blobs of a tar archive.
func (n *Node) Import(ctx context.Context, req ImportRequest, _ func(any)) (ArchiveResult, error) {
	in, err := outfile.Open(ctx, req.Path, os.O_RDONLY)
	if err != nil {
		return ArchiveResult{}, fmt.Errorf("reading the archive: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { in.Close() }) // a pipe's writer may write nothing
	defer stop()
	kept := &remembering{Store: n.blobs}
	res, err := archive.Import(ctx, in, kept)
	_ = in.Close() // it was only read
	out := ArchiveResult{Blobs: res.Blobs, Bytes: res.Bytes, Bad: res.Bad, Skipped: res.Skipped, Without: res.Corrupt}
	if ctx.Err() == nil { // an archive that is cut short may have been too large before that
		err = errors.Join(err, kept.check(ctx))
	}
	if errors.Is(err, archive.ErrTruncated) {
		return out, badRequest("reading %s: %w; want what blob-export writes, whole", req.Path, err)
	}
	if err != nil {
		return out, fmt.Errorf("reading %s: %w", req.Path, err)
	}
	return out, nil
}

// remembering notes what is put, since a store with a quota makes room for the
// last blobs of an archive by dropping the first.
type remembering struct {
	*inplace.Store
	ids []blobnet.ID // at most maxNamed: the first, which go first
}

func (r *remembering) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	return r.note(id, r.Store.Put(ctx, id, blob))
}

// PutVerified is here because the Store has it: an import prefers it to Put.
func (r *remembering) PutVerified(ctx context.Context, id blobnet.ID, blob []byte) error {
	return r.note(id, r.Store.PutVerified(ctx, id, blob))
}

func (r *remembering) note(id blobnet.ID, err error) error {
	if err == nil && len(r.ids) < maxNamed {
		r.ids = append(r.ids, id)
	}
	return err
}

// check gives ErrFull if some of it is gone again.
func (r *remembering) check(ctx context.Context) error {
	gone := 0
	for ids := range slices.Chunk(r.ids, batch) {
		has, err := r.Has(ctx, ids...)
		if err != nil {
			return err
		}
		for _, ok := range has {
			if !ok {
				gone++
			}
		}
	}
	if gone > 0 {
		return fmt.Errorf("%w: %d of the archive's %d blobs were dropped again to make room for others of it; raise the quota", blobnet.ErrFull, gone, len(r.ids))
	}
	return nil
}
