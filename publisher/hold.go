package publisher

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/seq"
)

const (
	// idBatch is how many ids go into one question to the store.
	idBatch = 1024
	// maxBlobs bounds the blobs of one release: 4 TiB in chunks of 1 MiB, and
	// 128 MiB of ids in memory. Index blobs that somebody else made may repeat
	// one id without end.
	maxBlobs = 1 << 22
)

// held collects blobs that are to stay in the store. Pins come before the check
// that the blobs are there, so that nothing is evicted in between.
type held struct {
	p   *Publisher
	ids []blobnet.ID // pinned, where the store can
}

func (p *Publisher) hold() *held { return &held{p: p} }

// files holds all blobs of the files. One that is not in the store gives
// ErrMissing and names the file.
func (h *held) files(ctx context.Context, entries []channel.FileEntry) error {
	return h.p.eachBatch(ctx, entries, h.pin)
}

// add holds what all yields.
func (h *held) add(ctx context.Context, all iter.Seq2[blobnet.ID, error]) error {
	for ids, err := range seq.Batches(all, idBatch) {
		if err == nil {
			err = h.pin(ctx, ids)
		}
		if err == nil {
			err = h.p.has(ctx, ids, func(int) string { return "" })
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (h *held) pin(ctx context.Context, ids []blobnet.ID) error {
	if len(h.ids)+len(ids) > maxBlobs {
		return fmt.Errorf("%w: more than %d blobs in one release", channel.ErrLimit, maxBlobs)
	}
	if pinner, ok := h.p.cfg.Blobs.(blobnet.Pinner); ok {
		if err := pinner.Pin(ctx, ids...); err != nil {
			return fmt.Errorf("pinning: %w", err)
		}
	}
	h.ids = append(h.ids, ids...)
	return nil
}

// drop takes the pins back, also when ctx has ended.
func (h *held) drop(ctx context.Context) {
	if pinner, ok := h.p.cfg.Blobs.(blobnet.Pinner); ok && len(h.ids) > 0 {
		// A pin too many keeps a blob too long, which is no reason to hide the
		// error that led here.
		_ = pinner.Unpin(context.WithoutCancel(ctx), h.ids...)
	}
	h.ids = nil
}

// present checks that every blob of the files is in the store.
func (p *Publisher) present(ctx context.Context, entries []channel.FileEntry) error {
	count := 0
	return p.eachBatch(ctx, entries, func(_ context.Context, ids []blobnet.ID) error {
		if count += len(ids); count > maxBlobs {
			return fmt.Errorf("%w: more than %d blobs in one release", channel.ErrLimit, maxBlobs)
		}
		return nil
	})
}

// fileBlob is a blob and the file that it is of.
type fileBlob struct {
	id   blobnet.ID
	file int
}

// eachBatch has do called with the blobs of the files, many at a time, and then
// checks that the store has them.
func (p *Publisher) eachBatch(ctx context.Context, entries []channel.FileEntry, do func(context.Context, []blobnet.ID) error) error {
	at := 0
	all := func(yield func(fileBlob, error) bool) {
		for at = range entries {
			for id, err := range codec.Blobs(ctx, p.cfg.Blobs, entries[at].File()) {
				if err != nil {
					err = fmt.Errorf("file %q: %w", entries[at].Name, missing(err))
				}
				if !yield(fileBlob{id, at}, err) || err != nil {
					return
				}
			}
		}
	}
	ids := make([]blobnet.ID, 0, idBatch)
	for group, err := range seq.Batches(all, idBatch) {
		if err != nil {
			return err
		}
		ids = ids[:0]
		for _, b := range group {
			ids = append(ids, b.id)
		}
		if err := do(ctx, ids); err != nil {
			return err
		}
		if err := p.has(ctx, ids, func(i int) string { return fmt.Sprintf("file %q: ", entries[group[i].file].Name) }); err != nil {
			return err
		}
	}
	return nil
}

func (p *Publisher) has(ctx context.Context, ids []blobnet.ID, of func(i int) string) error {
	has, err := p.cfg.Blobs.Has(ctx, ids...)
	if err != nil {
		return err
	}
	for i, ok := range has {
		if !ok {
			return fmt.Errorf("%sblob %s: %w", of(i), ids[i].Short(), ErrMissing)
		}
	}
	return nil
}

// missing makes a store's "not found" ours, which says what to do.
func missing(err error) error {
	if errors.Is(err, blobnet.ErrNotFound) && !errors.Is(err, ErrMissing) {
		return fmt.Errorf("%w (%v)", ErrMissing, err)
	}
	return err
}
