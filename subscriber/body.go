package subscriber

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// body returns what a release says, nil if it says nothing or has been skipped. A
// body in a blob is fetched and given to the ledger, which checks what its key may
// name. Where there is no read key at all, the release may be mirrored instead.
func (f *follower) body(ctx context.Context, r catalog.Release, again bool) (*channel.Body, error) {
	if r.Body != nil {
		return r.Body, nil
	}
	if r.Silent {
		return nil, nil
	}
	if dead, err := f.dead(ctx, r); dead || err != nil {
		return nil, err // later releases have replaced and removed all of it, and mirrors may have let go of it
	}
	ref := r.Ref
	if ref == nil {
		return nil, f.sealed(ctx, r, again)
	}
	blob, err := f.getBody(ctx, r, again)
	if err != nil {
		return nil, err
	}
	body, err := channel.OpenBody(blob, *ref)
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

// dead reports whether a snapshot says that a release does not count any more.
func (f *follower) dead(ctx context.Context, r catalog.Release) (bool, error) {
	found, err := f.cfg.Ledger.Dead(ctx, r.Channel, r.Position-1, 1)
	return len(found) == 1 && found[0].Position == r.Position, err
}

// sealed passes over a release that is sealed.
func (f *follower) sealed(ctx context.Context, r catalog.Release, again bool) error {
	opened, err := f.unlocker.wait(ctx, r)
	switch {
	case err != nil || opened:
		return err
	case !f.unlocker.keyed && f.order.Blind:
		if left, err := f.leaveSealed(ctx, r, again); left || err != nil {
			return err
		}
		return f.mirror(ctx, r)
	}
	f.skip(r, "", fmt.Errorf("release %d, epoch %d: %w", r.Seq, r.Manifest.Epoch, ErrSealed))
	return nil
}
