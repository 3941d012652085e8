package fetch

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Want is one blob that somebody wants, with what is known of it.
type Want struct {
	ID blobnet.ID
	// Tree is the BLAKE3 hash and Size the length in bytes of the sealed blob,
	// so that parts of it can be had from several peers. Zero: unknown. A Size
	// that no blob has counts as unknown; a wrong one costs time, no more.
	Tree [32]byte
	Size int
	// Class is what the blob is for. Say which: the zero Class is
	// blobnet.Stream, for which all others wait.
	Class blobnet.Class
	// Due is when the blob should be there; zero: when convenient. It orders
	// the wants of one Class.
	Due time.Time
	// Patience is how long the blob is waited for when every peer that can be
	// asked has said that it has it not; for one who can do without. Of several
	// who want it at a time the most patient counts. If zero,
	// Config.StallTimeout.
	Patience time.Duration
	// Optional lets an Each go on without a blob that nobody has: nil is
	// delivered.
	Optional bool
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

// Metered is a Peer that says how much of a blob has come. GetMetered is Get, and
// adds to came the bytes as they come, also those that turn out to be in vain. Of
// a Peer that is not Metered the Swarm guesses that.
type Metered interface {
	GetMetered(ctx context.Context, id blobnet.ID, dst []byte, came *atomic.Int64) ([]byte, error)
}

// Pinged is a Peer that knows its round trip: the least time in which it has
// answered anything, 0 if it has not.
type Pinged interface {
	RTT() time.Duration
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
	return s.await(ctx, s.join(ctx, w), 0, -1, dst)
}
