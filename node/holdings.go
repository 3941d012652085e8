package node

import (
	"context"
	"errors"
	"io/fs"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/copies"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

const (
	// sampleSize is how many blobs of a release are asked about: all of them if
	// there are no more, else a random choice.
	sampleSize = 512
	// maxWalked is how many blobs of a release are counted, and chosen from: a
	// release may claim any number.
	maxWalked = 1 << 20
)

// part is a blob of a release, and the file that it is of, if that is known.
type part struct {
	id   blobnet.ID
	file string
}

// question is what is asked about one release.
type question struct {
	row   ReleaseCopies
	ids   []blobnet.ID
	files []string // of each of ids; "" for none
	roots []tracker.Key
}

// question chooses what to ask about a release: of one that can be read, what its
// live files need; of another, what its inventory lists.
func (n *Node) question(ctx context.Context, r catalog.Release, src blobnet.Source) (question, error) {
	q := question{row: ReleaseCopies{Log: r.Log, Seq: r.Seq, Issued: r.Manifest.Issued, Spread: []SpreadInfo{}}}
	sample := copies.NewSample[part](sampleSize)
	add := func(p part) bool {
		if sample.Seen() >= maxWalked {
			q.row.More = true
			return false
		}
		sample.Add(p)
		return true
	}
	note := func(err error, what string) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n.log.Debug("listing the blobs of a release", "seq", r.Seq, "error", err)
		q.row.Note = what
		return nil
	}
	switch {
	case r.Silent:
	case r.Body != nil:
		q.row.Title = r.Body.Title
		if err := n.liveParts(ctx, r, src, &q, add, note); err != nil {
			return q, err
		}
	case r.Manifest.Inventory != nil:
		q.row.Unread = true
		add(part{id: *r.Manifest.Inventory})
		for id, err := range codec.Inventory(ctx, src, *r.Manifest.Inventory) {
			if err != nil {
				if err := note(err, "nobody gives its whole inventory"); err != nil {
					return q, err
				}
				break
			}
			if !add(part{id: id}) {
				break
			}
		}
	}
	q.row.Blobs = sample.Seen()
	for _, p := range sample.Items() {
		q.ids, q.files = append(q.ids, p.id), append(q.files, p.file)
	}
	q.row.Asked = len(q.ids)
	if len(q.ids) == 0 {
		return q, nil
	}
	has, err := n.blobs.Has(ctx, q.ids...)
	for _, here := range has {
		if here {
			q.row.Here++
		}
	}
	return q, err
}

// liveParts adds what the files of a release need that are in the channel's view.
func (n *Node) liveParts(ctx context.Context, r catalog.Release, src blobnet.Source, q *question, add func(part) bool, note func(error, string) error) error {
	for _, e := range r.Body.Entries {
		switch now, err := n.catalog.Entry(ctx, r.Channel, e.Name); {
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return err
		case err != nil || now.Removed || now.Position != r.Position:
			continue
		}
		q.row.Files++
		if len(q.roots) < maxFoundBy {
			q.roots = append(q.roots, tracker.Key(e.Root.ID))
		}
		for id, err := range codec.Needed(ctx, src, e.File()) {
			if err != nil {
				if err := note(err, "nobody gives the whole index of "+e.Name); err != nil {
					return err
				}
				break
			}
			if !add(part{id, e.Name}) {
				return nil
			}
		}
	}
	// What is said of files that are not live is of no use to anybody new.
	if r.Ref != nil && q.row.Files > 0 {
		add(part{id: r.Ref.ID})
	}
	return nil
}

// newestReleases returns the releases of a channel that came last, as far as there
// is anything in them, the newest first.
func (n *Node) newestReleases(ctx context.Context, id channel.ID, limit int, do func(catalog.Release) error) error {
	positions, err := n.catalog.Newest(ctx, id, limit)
	for _, at := range positions {
		if err != nil {
			break
		}
		var found []catalog.Release
		if found, err = n.catalog.Releases(ctx, id, at-1, 1); err == nil && len(found) == 1 && found[0].Position == at {
			err = do(found[0]) // one at a time: what they say may be large
		}
	}
	return err
}
