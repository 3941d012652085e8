package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/anonymous-media-library/aml/blobnet"
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
				if err := n.pinInventory(ctx, *r.Manifest.Inventory); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("pinning release %d of %s again: %w", r.Seq, address(o.Channel), err)
				}
			}
		}
	}
	return n.blobs.Sync(ctx)
}

// pinInventory pins all blobs of a release as its publication did.
func (n *Node) pinInventory(ctx context.Context, id blobnet.ID) error {
	for ids, err := range seq.Batches(codec.InventoryBlobs(ctx, n.blobs, id), batch) {
		if err != nil {
			return err
		}
		if err := n.blobs.Pin(ctx, ids...); err != nil {
			return err
		}
	}
	for ids, err := range seq.Batches(codec.Inventory(ctx, n.blobs, id), batch) {
		if err != nil {
			return err
		}
		if err := n.blobs.Pin(ctx, ids...); err != nil {
			return err
		}
	}
	return nil
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
