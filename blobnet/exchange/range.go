package exchange

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/bao"
)

var _ blobnet.Ranger = (*Peer)(nil)

// GetRange asks the peer for a part of a blob with a proof, as blobnet.Ranger
// says. Beside the errors of Get it gives ErrProof if what came does not fit
// r.Tree and r.Size, which a wrong r causes as well as a wrong peer, and an error
// that wraps errors.ErrUnsupported if the peer serves no ranges: ask it for the
// whole blob then. No byte is in dst before it was verified.
func (p *Peer) GetRange(ctx context.Context, id blobnet.ID, r blobnet.Range, dst []byte) ([]byte, error) {
	out, err := p.c.getRange(ctx, id, r, dst)
	if err != nil {
		return dst, fmt.Errorf("getting %d bytes at %d of blob %s from peer %s: %w", r.Length, r.Offset, id.Short(), p.c.name, err)
	}
	return out, nil
}

func (c *client) getRange(ctx context.Context, id blobnet.ID, r blobnet.Range, dst []byte) ([]byte, error) {
	size := bao.ProofSize(r.Size, r.Offset, r.Length)
	if size == 0 {
		return nil, fmt.Errorf("a blob of %d bytes has no such range", r.Size)
	}
	f := frame{typ: typeRequest, flags: flagProof, id: id, offset: uint32(r.Offset), length: uint32(r.Length)}
	l, call, err := c.call(ctx, call{proof: size}, f)
	if err != nil {
		return nil, err
	}
	out, err := bao.Verify(dst, call.dst, r)
	spare := call.dst[:0]
	l.proofs.Put(&spare)
	if err != nil {
		l.report(Counts{Wasted: int64(size)})
		return nil, fmt.Errorf("%w: %w", ErrProof, err)
	}
	c.e.event(Event{Kind: KindDownload, Peer: c.id, ID: id, Bytes: int64(r.Length)})
	l.report(Counts{Useful: int64(r.Length), Overhead: int64(size - r.Length)})
	return out, nil
}
