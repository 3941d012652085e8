package fetch

import (
	"context"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Want is one blob that somebody wants, with what is known of it.
type Want struct {
	ID blobnet.ID
	// Tree is the BLAKE3 hash and Size the length in bytes of the sealed blob,
	// so that parts of it can be had from several peers. Zero: unknown. A Size
	// that no blob has counts as unknown; a wrong one costs time, no more.
	Tree  [32]byte
	Size  int
	Class blobnet.Class
	// Due is when the blob should be there; zero: when convenient. It orders
	// the wants of one Class.
	Due time.Time
}

// size is Size if a blob can have it, or else 0.
func (w *Want) size() int {
	if w.Size < 0 || w.Size > blobnet.MaxBlobSize {
		return 0
	}
	return w.Size
}

// Haver is a Peer that can be asked what it has. Have returns, in the order of
// ids, whether it has each; it is free to lie. A Peer that is no Haver is asked
// for the blobs themselves.
type Haver interface {
	Have(ctx context.Context, ids []blobnet.ID) ([]bool, error)
}

// Limiter bounds the rate at which peers are asked for bytes.
//
// Take takes n bytes for the peer of that name and class if they may be asked
// for now, and returns 0; else it takes nothing and returns how long until it
// makes sense to try again. It never blocks, and may be called from many
// goroutines at once. Where n is more than it would ever give at once it must
// let n through in debt, or the blob never comes.
type Limiter interface {
	Take(peer string, class blobnet.Class, n int) (wait time.Duration)
}

// Get appends the blob to dst, from the store if it is there and else from the
// peers, as blobnet.Source says. Gets of one blob at the same time share one
// request. If nobody has the blob the error is a *NotFoundError.
func (s *Swarm) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return s.Fetch(ctx, Want{ID: id, Class: blobnet.Foreground}, dst)
}

// Fetch is Get of a blob of which more is known.
func (s *Swarm) Fetch(ctx context.Context, w Want, dst []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return dst, err
	}
	f := s.join(ctx, w.ID)
	defer s.leave(f)
	select {
	case <-f.done:
	case <-ctx.Done():
		return dst, fmt.Errorf("fetching blob %s: %w", w.ID.Short(), ctx.Err())
	}
	if f.err != nil {
		return dst, fmt.Errorf("fetching blob %s: %w", w.ID.Short(), f.err)
	}
	return append(dst, f.blob...), nil
}

// GetRange appends a part of a blob to dst for a reader who waits for it, as
// blobnet.Ranger says. See FetchRange.
func (s *Swarm) GetRange(ctx context.Context, id blobnet.ID, r blobnet.Range, dst []byte) ([]byte, error) {
	w := Want{ID: id, Tree: r.Tree, Size: r.Size, Class: blobnet.Stream, Due: time.Now()}
	return s.FetchRange(ctx, w, r.Offset, r.Length, dst)
}

// FetchRange appends length bytes of the blob from offset on to dst.
func (s *Swarm) FetchRange(ctx context.Context, w Want, offset, length int, dst []byte) ([]byte, error) {
	if offset < 0 || length <= 0 || length > blobnet.MaxBlobSize || offset > blobnet.MaxBlobSize-length {
		return dst, fmt.Errorf("fetching blob %s: no blob has %d bytes at offset %d", w.ID.Short(), length, offset)
	}
	blob, err := s.Fetch(ctx, w, nil)
	if err != nil {
		return dst, err
	}
	if offset+length > len(blob) {
		return dst, fmt.Errorf("fetching blob %s: it has %d bytes, none at offset %d", w.ID.Short(), len(blob), offset+length-1)
	}
	return append(dst, blob[offset:offset+length]...), nil
}
