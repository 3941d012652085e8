package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/seq"
)

// recovered says what the store found when it opened, and pins again what is
// published here if the index that held the pins was lost.
func (n *Node) recovered(ctx context.Context) error {
	r := n.disk.Recovery()
	if r.Corrupt > 0 || r.Missing > 0 {
		n.log.Warn("the blob store lost blobs in a crash; they are fetched again where peers have them", "corrupt", r.Corrupt, "missing", r.Missing)
	}
	if !r.Rebuilt {
		return nil
	}
	n.log.Warn("the blob store's index was lost and has been rebuilt; pins set by hand or by ingest are gone, those of own channels are set again")
	owns, err := n.catalog.Owns(ctx)
	if err != nil {
		return err
	}
	for _, o := range owns {
		for after := int64(0); ; {
			releases, err := n.catalog.Releases(ctx, o.Channel, after, 0)
			if err != nil {
				return err
			}
			if len(releases) == 0 {
				break
			}
			for _, r := range releases {
				after = r.Position
				if r.Manifest.Inventory == nil || r.Log != o.Key {
					continue
				}
				if err := n.pinRelease(ctx, r); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("pinning release %d of %s again: %w", r.Seq, address(o.Channel), err)
				}
			}
		}
	}
	return n.blobs.Sync(ctx)
}

// pinRelease pins the blobs of a release as its publication did, but for files that
// the channel does not have any more: what was taken back is not to be had again.
func (n *Node) pinRelease(ctx context.Context, r catalog.Release) error {
	if r.Body == nil {
		return n.pinInventory(ctx, *r.Manifest.Inventory)
	}
	own := codec.InventoryBlobs(ctx, n.blobs, *r.Manifest.Inventory)
	if err := n.pinAll(ctx, own); err != nil {
		return err
	}
	var more []blobnet.ID
	if r.Ref != nil {
		more = append(more, r.Ref.ID)
	}
	if s, err := channel.DecodeSealed(r.Manifest.Sealed); err == nil && len(r.Manifest.Sealed) > 0 {
		more = append(more, s.Keyring)
	}
	if err := n.blobs.Pin(ctx, more...); err != nil {
		return err
	}
	for _, e := range r.Body.Entries {
		view, err := n.catalog.Entry(ctx, r.Channel, e.Name)
		if err != nil {
			return err
		}
		if view.Removed || view.Position != r.Position {
			continue
		}
		if err := n.pinAll(ctx, codec.Blobs(ctx, n.blobs, e.File())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// pinAll pins what all yields.
func (n *Node) pinAll(ctx context.Context, all iter.Seq2[blobnet.ID, error]) error {
	for ids, err := range seq.Batches(all, batch) {
		if err != nil {
			return err
		}
		if err := n.blobs.Pin(ctx, ids...); err != nil {
			return err
		}
	}
	return nil
}

// pinInventory pins all that a release consists of, of which no more is known.
func (n *Node) pinInventory(ctx context.Context, id blobnet.ID) error {
	if err := n.pinAll(ctx, codec.InventoryBlobs(ctx, n.blobs, id)); err != nil {
		return err
	}
	return n.pinAll(ctx, codec.Inventory(ctx, n.blobs, id))
}

// warnOfLostCatalogue says so if there are root keys here but no channel of
// one's own: publishing would found another channel, whose followers are none.
func (n *Node) warnOfLostCatalogue(ctx context.Context) error {
	owns, err := n.catalog.Owns(ctx)
	if err != nil || len(owns) > 0 {
		return err
	}
	keys, err := filepath.Glob(filepath.Join(n.cfg.Paths.Keys, "root-*.pem"))
	if err == nil && len(keys) > 0 {
		n.log.Warn("root keys are here, but the catalogue knows of no channel of yours: if it was lost, restore it before you publish, or you found a new channel that nobody follows",
			"catalogue", n.cfg.Paths.Catalog, "key", keys[0])
	}
	return nil
}
