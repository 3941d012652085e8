package letgo

import (
	"context"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

// A blind mirror cannot read tombstones. It obeys them by snapshots, which say which
// releases are dead: what those list, and no live release does, is nobody's any more.
// The manifest stays, and is served. The inventory goes last: while it is here, there
// is something to do.

// deadRelease is a dead release that cannot be read, with what it lists.
type deadRelease struct {
	channel   channel.ID
	listed    []blobnet.ID
	inventory []blobnet.ID // the blobs of which it consists, the topmost last
}

// unread reports whether nobody has opened a release here.
func unread(r catalog.Release) bool {
	return len(r.Manifest.Sealed) > 0 && r.Body == nil && r.Ref == nil && !r.Silent
}

// dead returns the positions of a channel's dead releases.
func (l *LetGo) dead(ctx context.Context, id channel.ID) (map[int64]bool, error) {
	out := map[int64]bool{}
	for after := int64(0); ; {
		page, err := l.cfg.Ledger.Dead(ctx, id, after, 0)
		if err != nil || len(page) == 0 {
			return out, err
		}
		for _, r := range page {
			after = r.Position
			out[after] = true
		}
	}
}

// passDead lets go of dead releases that cannot be read.
func (l *LetGo) passDead(ctx context.Context, look func(channel.ID) bool, res *Result) error {
	infos, err := l.cfg.Ledger.Channels(ctx)
	if err != nil {
		return err
	}
	b := newBatch()
	for _, info := range infos {
		if info.Root.Class != channel.Private || !look(info.ID) {
			continue
		}
		for after := int64(0); ; {
			page, err := l.cfg.Ledger.Dead(ctx, info.ID, after, 0)
			if err != nil {
				return err
			}
			if len(page) == 0 {
				break
			}
			for _, r := range page {
				after = r.Position
				if err := l.collectDead(ctx, b, r); err != nil {
					return err
				}
				if len(b.ids) < fewCandidates {
					continue
				}
				if err := l.doDead(ctx, b, res); err != nil {
					return err
				}
				b = newBatch()
			}
		}
	}
	return l.doDead(ctx, b, res)
}

// collectDead adds what a release lists, if its inventory is here.
func (l *LetGo) collectDead(ctx context.Context, b *batch, r catalog.Release) error {
	if !unread(r) || r.Manifest.Inventory == nil {
		return nil
	}
	d := deadRelease{channel: r.Channel}
	for id, err := range codec.InventoryBlobs(ctx, l.cfg.Blobs, *r.Manifest.Inventory) {
		if err != nil || len(d.inventory) > maxCandidates/idBatch {
			break // the rest is not here, or was let go of
		}
		d.inventory = append(d.inventory, id)
	}
	if len(d.inventory) == 0 {
		return ctx.Err()
	}
	slices.Reverse(d.inventory)
	for id, err := range codec.Inventory(ctx, l.cfg.Blobs, *r.Manifest.Inventory) {
		if err != nil || len(d.listed)+len(b.ids) > maxCandidates {
			break
		}
		d.listed = append(d.listed, id)
	}
	b.dead = append(b.dead, d)
	if err := l.candidates(ctx, b, d.listed); err != nil {
		return err
	}
	return l.candidates(ctx, b, d.inventory)
}

// spareListed takes out of a batch what an inventory lists, and reports whether all
// of the inventory is here.
func (l *LetGo) spareListed(ctx context.Context, b *batch, inventory blobnet.ID) (whole bool, err error) {
	n := 0
	for id, err := range codec.Inventory(ctx, l.cfg.Blobs, inventory) {
		if err != nil {
			return false, ctx.Err()
		}
		delete(b.ids, id)
		if n++; n > maxCandidates {
			return false, nil
		}
	}
	return true, nil
}

// doDead deletes what no live release lists, and nobody needs.
func (l *LetGo) doDead(ctx context.Context, b *batch, res *Result) error {
	if err := l.spareNeeded(ctx, b); err != nil {
		return err
	}
	gone := func(id blobnet.ID) bool { return !b.ids[id] }
	for _, d := range b.dead {
		if b.unknown[d.channel] { // a live release may list the same, and nobody else have it
			res.Waiting++
			continue
		}
		waits := false
		for _, ids := range [][]blobnet.ID{slices.DeleteFunc(d.listed, gone), slices.DeleteFunc(d.inventory, gone)} {
			pinned, err := l.release(ctx, ids)
			if err != nil {
				return err
			}
			if waits = waits || len(pinned) > 0; waits {
				ids = slices.DeleteFunc(ids, func(id blobnet.ID) bool { return pinned[id] })
			}
			deleted, late, err := l.erase(ctx, ids)
			if err != nil {
				return err
			}
			res.Deleted += deleted
			if waits = waits || late; waits {
				break
			}
		}
		if waits {
			res.Waiting++
		} else {
			res.Releases++
		}
	}
	return nil
}
