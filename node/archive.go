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
	"github.com/anonymous-media-library/aml/codec"
)

// ids yields the blobs that a request names, by ascending id where that costs
// no memory. What is wrong with the request is yielded first.
func (n *Node) ids(ctx context.Context, req Named) (iter.Seq2[blobnet.ID, error], error) {
	switch {
	case req.All:
		return archive.All(ctx, n.blobs), nil
	case req.Entries != nil:
		entries, err := req.Entries.entries()
		if err != nil {
			return nil, err
		}
		return func(yield func(blobnet.ID, error) bool) {
			for _, e := range entries {
				for id, err := range codec.Blobs(ctx, n.blobs, e.File()) {
					if err != nil {
						err = fmt.Errorf("listing the blobs of %q: %w", e.Name, err)
					}
					if !yield(id, err) || err != nil {
						return
					}
				}
			}
		}, nil
	case len(req.IDs) > 0:
		ids := slices.Clone(req.IDs)
		slices.SortFunc(ids, blobnet.ID.Compare)
		return func(yield func(blobnet.ID, error) bool) {
			for _, id := range slices.Compact(ids) {
				if !yield(id, nil) {
					return
				}
			}
		}, nil
	}
	return nil, badRequest("no blob named")
}

// Export writes blobs to a tar archive. A file appears under its name when it
// is whole; what is there already and is no regular file, such as a pipe, is
// written to as it is.
func (n *Node) Export(ctx context.Context, req ExportRequest, _ func(any)) (ArchiveResult, error) {
	ids, err := n.ids(ctx, req.Named)
	if err != nil {
		return ArchiveResult{}, err
	}
	var out *os.File
	done := func() error { return nil }
	if info, err := os.Stat(req.Path); err == nil && !info.Mode().IsRegular() {
		if info.IsDir() {
			return ArchiveResult{}, badRequest("%s is a folder; name the archive to write", req.Path)
		}
		if out, err = os.OpenFile(req.Path, os.O_WRONLY, 0); err != nil {
			return ArchiveResult{}, fmt.Errorf("writing the archive: %w", err)
		}
	} else {
		if out, err = os.CreateTemp(filepath.Dir(req.Path), ".aml-export-*"); err != nil {
			return ArchiveResult{}, fmt.Errorf("writing the archive: %w", err)
		}
		defer os.Remove(out.Name()) // it has its name by then, or is of no use
		done = func() error {
			return errors.Join(out.Sync(), os.Rename(out.Name(), req.Path))
		}
	}
	stop := context.AfterFunc(ctx, func() { out.Close() }) // a pipe may have no reader
	defer stop()
	res, err := archive.Export(ctx, out, n.blobs, ids)
	if err == nil {
		err = done()
	}
	if err = errors.Join(err, out.Close()); err != nil {
		return ArchiveResult{}, fmt.Errorf("writing %s: %w", req.Path, err)
	}
	return ArchiveResult{Blobs: res.Blobs, Bytes: res.Bytes, Bad: res.Left}, nil
}

// Import stores the blobs of a tar archive.
func (n *Node) Import(ctx context.Context, req ImportRequest, _ func(any)) (ArchiveResult, error) {
	in, err := os.Open(req.Path)
	if err != nil {
		return ArchiveResult{}, fmt.Errorf("reading the archive: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { in.Close() }) // a pipe may have no writer
	defer stop()
	res, err := archive.Import(ctx, in, n.blobs)
	_ = in.Close() // it was only read
	out := ArchiveResult{Blobs: res.Blobs, Bytes: res.Bytes, Bad: res.Bad, Skipped: res.Skipped}
	if err != nil {
		return out, fmt.Errorf("reading %s: %w", req.Path, err)
	}
	return out, nil
}
