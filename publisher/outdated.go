package publisher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/seq"
)

// outdated returns the files of this log that a release removes or replaces, and
// the time at which it must be issued at least to count for all of its names: of
// the words of several logs on one name the later counts, and of one second that of
// the greater key (CHANNELS.md, View).
func (p *Publisher) outdated(ctx context.Context, r Release, body channel.Body) (out []codec.File, after channel.Time, err error) {
	var names []string
	for _, gone := range body.Removals {
		names = append(names, gone.Name)
	}
	for _, e := range body.Entries {
		names = append(names, e.Name)
	}
	key := r.Key.Public()
	for _, name := range names {
		old, err := p.cfg.Ledger.Entry(ctx, r.Channel, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return nil, 0, fmt.Errorf("looking up %q: %w", name, err)
		case old.Log != key:
			if old.Log.Compare(key) > 0 {
				old.Issued++
			}
			after = max(after, old.Issued)
		case !old.Removed:
			out = append(out, old.File())
		}
	}
	return out, after, nil
}

// unpin lets the blobs of files go that no release of ours names any more. Pins
// are counted, so that what another file or channel holds stays. What goes wrong
// here only keeps a blob too long.
func (p *Publisher) unpin(ctx context.Context, files []codec.File) {
	pinner, ok := p.cfg.Blobs.(blobnet.Pinner)
	if !ok {
		return
	}
	ctx = context.WithoutCancel(ctx)
	for _, f := range files {
		for ids, err := range seq.Batches(codec.Blobs(ctx, p.cfg.Blobs, f), idBatch) {
			if err != nil || pinner.Unpin(ctx, ids...) != nil {
				break
			}
		}
	}
}
