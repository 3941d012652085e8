package publisher

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

// Unpin takes back the pins of what releases have removed or replaced, and of what was
// ordered otherwise (catalog.UnpinFormer). Pins are counted, so that what another file
// or channel holds stays. Each publication does this; a program does it at its start, too,
// for what a kill has left. Being killed in the middle, or an error, leaves the rest to
// the next call, and no pin is taken back twice: the ledger has what is to be done, and
// the store, in the same step in which it does so, how far that is.
//
// It holds the ids of one file's blobs at a time, 128 MiB at most.
func (p *Publisher) Unpin(ctx context.Context) error {
	pinner, ok := p.cfg.Blobs.(blobnet.Pinner)
	if !ok {
		return nil
	}
	select {
	case p.unpin <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-p.unpin }()
	if err := p.unpinAll(ctx, pinner); err != nil {
		return fmt.Errorf("unpinning what was taken back: %w", err)
	}
	return nil
}

func (p *Publisher) unpinAll(ctx context.Context, pinner blobnet.Pinner) error {
	for {
		page, err := p.cfg.Ledger.Unpins(ctx, 0)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := p.unpinPage(ctx, pinner, page); err != nil {
			return err
		}
		if err := p.cfg.Ledger.ForgetUnpins(ctx, page[len(page)-1].No); err != nil {
			return err
		}
	}
}

// unpinPage takes the pins of files back, many blobs in one step.
func (p *Publisher) unpinPage(ctx context.Context, pinner blobnet.Pinner, page []catalog.Unpin) error {
	mark, err := pinner.UnpinnedTo(ctx)
	if err != nil {
		return err
	}
	var ids []blobnet.ID
	for _, file := range page {
		if file.No < mark.Number {
			continue
		}
		most := int64(maxBlobs)
		if file.No == mark.Number {
			most = mark.Left
		}
		// From the last one on: what lies below an index blob comes before it, so that
		// it is there as long as they are pinned.
		blobs := p.blobs(ctx, file.Entry, most)
		if err := ctx.Err(); err != nil { // they may not be all
			return err
		}
		for len(blobs) > 0 {
			left := max(0, len(blobs)-idBatch)
			ids, blobs = append(ids, blobs[left:]...), blobs[:left]
			if len(ids) < idBatch {
				continue
			}
			if err := pinner.UnpinTo(ctx, blobnet.Mark{Number: file.No, Left: int64(left)}, ids...); err != nil {
				return err
			}
			ids = ids[:0]
		}
	}
	return pinner.UnpinTo(ctx, blobnet.Mark{Number: page[len(page)-1].No}, ids...)
}

// blobs are the first most blobs of a file as they were pinned, as far as its index is
// here: what an index that is lost names stays pinned.
func (p *Publisher) blobs(ctx context.Context, e channel.FileEntry, most int64) (ids []blobnet.ID) {
	for id, err := range codec.Blobs(ctx, p.cfg.Blobs, e.File()) {
		if err != nil || int64(len(ids)) == most {
			break
		}
		ids = append(ids, id)
	}
	return ids
}
