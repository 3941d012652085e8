package subscriber

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

// body returns what a release says, nil if it has been skipped. A body in a
// blob is fetched and given to the ledger, which checks what its key may name.
func (f *follower) body(ctx context.Context, r catalog.Release) (*channel.Body, error) {
	if r.Body != nil {
		return r.Body, nil
	}
	ref := r.Manifest.BodyRef
	if ref == nil {
		f.skip(r, "", fmt.Errorf("release %d: %w", r.Seq, ErrSealed))
		return nil, nil
	}
	blob, err := f.cfg.Swarm.Get(ctx, ref.ID, nil)
	if err != nil {
		return nil, fmt.Errorf("its body: %w", err)
	}
	body, err := openBody(blob, *ref)
	if err != nil {
		f.skip(r, "", fmt.Errorf("release %d: %w: %w", r.Seq, ErrRefused, err))
		return nil, f.cfg.Ledger.RefuseBody(ctx, r.Channel, r.Hash, err.Error())
	}
	err = f.cfg.Ledger.PutBody(ctx, r.Channel, r.Hash, body)
	if errors.Is(err, catalog.ErrRefused) {
		f.skip(r, "", fmt.Errorf("release %d: %w: %w", r.Seq, ErrRefused, err))
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &body, nil
}

func openBody(blob []byte, ref codec.Ref) (channel.Body, error) {
	plain, err := codec.Open(nil, blob, ref)
	if err != nil {
		return channel.Body{}, err
	}
	return channel.DecodeBody(plain)
}
