package copies

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/bao"
)

// ErrLied: the peer has said that it has a blob, and does not give it, or gives
// other bytes. It is not failure: one that is busy, slow or away has not lied.
var ErrLied = errors.New("it says that it has a blob and does not give it")

// Peer is a Source that can be asked what it has, in the order of ids. It is free
// to lie. One that is a blobnet.Ranger, too, is asked for parts.
type Peer interface {
	blobnet.Source
	Have(ctx context.Context, ids []blobnet.ID) ([]bool, error)
}

// Prove has a peer give a blob that it said it has. Where the blob is here, 16 KiB
// of it that nobody can foresee are asked for; else all of it. It gives ErrLied, or
// what kept the peer from being asked.
func Prove(ctx context.Context, here blobnet.Source, p Peer, id blobnet.ID) error {
	blob, err := here.Get(ctx, id, nil)
	if ranger, ok := p.(blobnet.Ranger); ok && err == nil && len(blob) > 0 {
		r := blobnet.Range{Tree: bao.Root(blob), Size: len(blob), Length: min(len(blob), blobnet.RangeAlign)}
		r.Offset = rand.IntN(r.Size - r.Length + 1)
		_, err = ranger.GetRange(ctx, id, r, nil)
		if !errors.Is(err, errors.ErrUnsupported) {
			return verdict(err)
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	_, err = p.Get(ctx, id, blob[:0])
	return verdict(err)
}

func verdict(err error) error {
	if errors.Is(err, blobnet.ErrNotFound) || errors.Is(err, blobnet.ErrCorrupt) {
		return fmt.Errorf("%w: %w", ErrLied, err)
	}
	return err
}
