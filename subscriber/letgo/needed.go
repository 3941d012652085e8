package letgo

import (
	"context"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

// spareNeeded takes those blobs out of a batch that anything else needs: a file in
// the view of any channel that is known, a body, an inventory or a keyring. Files of
// one plaintext may share blobs, and whoever publishes may name those of others.
func (l *LetGo) spareNeeded(ctx context.Context, b *batch) error {
	if len(b.ids) == 0 {
		return nil
	}
	infos, err := l.cfg.Ledger.Channels(ctx)
	if err != nil {
		return err
	}
	for _, info := range infos {
		if len(b.ids) == 0 {
			return nil
		}
		if err := l.spareEntries(ctx, b, info.ID); err != nil {
			return err
		}
		if err := l.spareReleases(ctx, b, info.ID); err != nil {
			return err
		}
	}
	return nil
}

// spareEntries looks through the files of a channel's view. An index that is not
// here names nothing that could be read.
func (l *LetGo) spareEntries(ctx context.Context, b *batch, id channel.ID) error {
	var page []catalog.Entry
	flush := func() error {
		roots := make([]blobnet.ID, len(page))
		for i, e := range page {
			roots[i] = e.Root.ID
		}
		has, err := l.cfg.Blobs.Has(ctx, roots...)
		if err != nil {
			return err
		}
		for i, e := range page {
			if !has[i] {
				delete(b.ids, e.Root.ID)
				continue
			}
			if err := l.spareFile(ctx, b, e.File()); err != nil {
				return err
			}
		}
		page = page[:0]
		return nil
	}
	for e, err := range l.cfg.Ledger.Entries(ctx, id, catalog.EntryFilter{}) {
		if err != nil {
			return err
		}
		if page = append(page, e); len(page) == idBatch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	if len(page) == 0 {
		return nil
	}
	return flush()
}

func (l *LetGo) spareFile(ctx context.Context, b *batch, f codec.File) error {
	delete(b.ids, f.Root.ID)
	if f.Depth == 0 {
		return nil
	}
	n := 0
	for id, err := range codec.Blobs(ctx, l.cfg.Blobs, f) {
		if err != nil {
			return ctx.Err() // the rest of it cannot be read here
		}
		if delete(b.ids, id); len(b.ids) == 0 {
			return nil
		}
		if n++; n > maxCandidates {
			return nil
		}
	}
	return nil
}

// spareReleases looks through a channel's releases for what they are made of
// beside their files, and for all of what cannot be read here. Dead releases that
// cannot be read need nothing.
func (l *LetGo) spareReleases(ctx context.Context, b *batch, id channel.ID) error {
	dead, err := l.dead(ctx, id)
	if err != nil {
		return err
	}
	for after := int64(0); ; {
		page, err := l.cfg.Ledger.Releases(ctx, id, after, 0)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, r := range page {
			after = r.Position
			if unread(r) && dead[r.Position] {
				continue
			}
			if r.Ref != nil {
				delete(b.ids, r.Ref.ID)
			}
			if inventory := r.Manifest.Inventory; inventory != nil {
				for id, err := range codec.InventoryBlobs(ctx, l.cfg.Blobs, *inventory) {
					if err != nil {
						break // it is not here
					}
					delete(b.ids, id)
				}
			}
			if len(r.Manifest.Sealed) > 0 {
				if s, err := channel.DecodeSealed(r.Manifest.Sealed); err == nil {
					delete(b.ids, s.Keyring)
				}
			}
			if unread(r) && r.Manifest.Inventory != nil {
				whole, err := l.spareListed(ctx, b, *r.Manifest.Inventory)
				if err != nil {
					return err
				}
				if !whole {
					b.unknown[id] = true
				}
			}
		}
	}
}
