package subscriber

import (
	"context"
	"errors"
	"fmt"
	"time"

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

const (
	// inventoryTimeout is how long is looked for an inventory.
	inventoryTimeout = 10 * time.Second
	// maxInventory is how many blobs of an inventory are fetched: they list
	// four million blobs.
	maxInventory = 130
)

// keepInventory fetches the blobs of the release's inventory, so that blind
// mirrors can have it from this node, too. Nobody else needs it: what cannot be
// had, or is malformed, is left.
func (f *follower) keepInventory(ctx context.Context, r catalog.Release) {
	if r.Manifest.Inventory == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, inventoryTimeout)
	defer cancel()
	n := 0
	for _, err := range codec.InventoryBlobs(ctx, f.cfg.Swarm, *r.Manifest.Inventory) {
		if n++; err != nil || n >= maxInventory {
			return
		}
	}
}
