package node

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/seq"
)

// What is announced of files is what is here: the root blobs that were ingested,
// fetched or followed and that the store, or a file, still holds.

// lookAgainPause is how long changes gather before what is held is looked
// through.
const lookAgainPause = 10 * time.Second

// lookAgain says that something was deleted.
func (n *Node) lookAgain() {
	select {
	case n.deleted <- struct{}{}:
	default: // it is known already
	}
}

// keepHeld announces what is here and stops announcing what is not, until ctx
// ends: when something was deleted, and by interval, since blobs are evicted,
// files vanish and disks are mounted again without anybody's word.
func (n *Node) keepHeld(ctx context.Context) error {
	interval := n.cfg.Reannounce
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			n.holdAll(ctx)
		case <-n.deleted:
		}
		if err := n.letGoOfGone(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("looking which announced files are here", "error", err)
		}
		_ = pause(ctx, lookAgainPause)
	}
}

// holdAll announces every file that is known and here.
func (n *Node) holdAll(ctx context.Context) {
	if n.cfg.Resume {
		_ = n.serveRoots(ctx)
	}
	infos, err := n.catalog.Channels(ctx)
	for _, info := range infos {
		if err == nil && info.Reason != catalog.Listed {
			err = n.holdEntries(ctx, info.ID)
		}
	}
	if err != nil && ctx.Err() == nil {
		n.log.Warn("announcing what is here", "error", err)
	}
}

// letGoOfGone stops announcing files whose root blob is not here any more.
func (n *Node) letGoOfGone(ctx context.Context) error {
	for keys := range slices.Chunk(n.net.keys.holding(), batch) {
		ids := make([]blobnet.ID, len(keys))
		for i, k := range keys {
			ids[i] = blobnet.ID(k)
		}
		has, err := n.blobs.Has(ctx, ids...)
		if err != nil {
			return err
		}
		var gone []tracker.Key
		for i, ok := range has {
			if !ok {
				gone = append(gone, keys[i])
			}
		}
		n.net.keys.letGo(gone...)
	}
	return nil
}

// hold announces those of the files with these roots that are here.
func (n *Node) hold(ctx context.Context, roots ...blobnet.ID) error {
	net, err := n.online(ctx)
	if err != nil {
		return err
	}
	for ids := range slices.Chunk(roots, batch) {
		has, err := n.blobs.Has(ctx, ids...)
		if err != nil {
			return err
		}
		var keys []tracker.Key
		for i, ok := range has {
			if ok {
				keys = append(keys, tracker.Key(ids[i]))
			}
		}
		if err := net.keys.hold(ctx, keys...); err != nil {
			return err
		}
	}
	return nil
}

// holdEntries announces every file in the channel's view whose root blob is
// here.
func (n *Node) holdEntries(ctx context.Context, id channel.ID) error {
	roots := func(yield func(blobnet.ID, error) bool) {
		for e, err := range n.catalog.Entries(ctx, id, catalog.EntryFilter{}) {
			if !yield(e.Root.ID, err) || err != nil {
				return
			}
		}
	}
	for ids, err := range seq.Batches(roots, batch) {
		if err == nil {
			err = n.hold(ctx, ids...)
		}
		if err != nil {
			return fmt.Errorf("announcing %s: %w", address(id), err)
		}
	}
	return nil
}

// holdFile announces a file that was just written.
func (n *Node) holdFile(ctx context.Context, f FileEvent) {
	if err := n.net.keys.hold(ctx, tracker.Key(f.Root)); err != nil && ctx.Err() == nil {
		n.log.Warn("announcing", "file", f.Name, "error", err)
	}
}
