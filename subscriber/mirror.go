package subscriber

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/codec"
)

// MirroredEvent ("mirrored"): the blobs of a release that this node cannot read
// are here, so that others can have them.
type MirroredEvent struct {
	Event   string `json:"event"`
	Channel string `json:"channel"`
	Log     string `json:"log"`
	Seq     uint64 `json:"seq"`
	Blobs   int64  `json:"blobs"`             // of all that the release consists of
	Missing int64  `json:"missing,omitempty"` // nobody has these any more
}

func (MirroredEvent) event() {}

// maxMirrored bounds the blobs of one release that are mirrored: 4 TiB in chunks
// of 1 MiB.
const maxMirrored = 1 << 22

// mirror has all blobs of a sealed release, as its inventory names them, in the
// swarm's store. What nobody has of a release that others follow is left: it may
// have been removed from the channel, which is sealed as well.
func (f *follower) mirror(ctx context.Context, r catalog.Release) error {
	id := r.Manifest.Inventory
	if id == nil {
		return nil
	}
	e := MirroredEvent{Event: "mirrored", Channel: r.Channel.String(), Log: r.Log.String(), Seq: r.Seq}
	later, err := f.cfg.Ledger.Releases(ctx, r.Channel, r.Position, 1)
	if err != nil {
		return err
	}
	watched, stop := f.untilDead(ctx, r)
	attended, heard := f.attend(watched, r, false, false)
	err = endOf(attended, f.fetchInventory(attended, *id, &e))
	heard()
	died := stop()
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case died: // what came of it is let go of
		return nil
	case errors.Is(err, codec.ErrInventory):
		f.skip(r, "", fmt.Errorf("release %d: %w", r.Seq, err))
		return nil
	case errors.Is(err, blobnet.ErrNotFound) && len(later) > 0:
		e.Missing = max(e.Missing, 1)
	case err != nil:
		return fmt.Errorf("mirroring: %w", err)
	case e.Missing > 0 && len(later) == 0:
		return fmt.Errorf("mirroring: %w: %d of %d blobs", blobnet.ErrNotFound, e.Missing, e.Blobs)
	}
	f.emit(e)
	return nil
}

// untilDead returns a context that ends when a snapshot calls a release dead, or when
// it can be read after all, because this node was made a member meanwhile; and what
// ends the watching and says whether either is so. What can be read comes again as news.
func (f *follower) untilDead(parent context.Context, r catalog.Release) (ctx context.Context, stop func() bool) {
	ctx, cancel := context.WithCancel(parent)
	news, opened := make(chan feed.Kind, 2), false
	unwatch := f.cfg.Ledger.Watch(func(id channel.ID, kind feed.Kind) {
		if id == r.Channel && (kind == feed.KindSnapshot || kind == feed.KindManifest) {
			select {
			case news <- kind:
			default: // there is news already
			}
		}
	})
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
			if dead, err := f.dead(ctx, r); dead && err == nil {
				cancel()
			}
			if !opened && ctx.Err() == nil {
				if opened = f.opened(ctx, r); opened {
					cancel()
				}
			}
		}
	})
	return ctx, func() bool {
		cancel()
		watching.Wait()
		unwatch()
		dead, err := f.dead(parent, r)
		return opened || dead && err == nil
	}
}

// opened looks whether a release can be read that could not be. Whoever calls it has
// the unlocker for himself.
func (f *follower) opened(ctx context.Context, r catalog.Release) bool {
	if err := f.unlocker.run(ctx); err != nil {
		return false // it is looked at again when there is news
	}
	still, err := f.cfg.Ledger.Sealed(ctx, r.Channel, r.Position-1, 1)
	return err == nil && (len(still) == 0 || still[0].Hash != r.Hash)
}

// leaveSealed reports whether the policy leaves out a release that cannot be
// read, tells of it, and remembers it for another policy.
func (f *follower) leaveSealed(ctx context.Context, r catalog.Release, again bool) (bool, error) {
	v := f.rules.Sealed(r.Manifest.Issued, f.cfg.Now())
	j := catalog.Judged{Position: r.Position, By: f.fingerprint}
	if !v.Take() {
		j.Passed = []catalog.Passed{{Reason: string(v.Reason)}}
		if !again {
			f.emit(PassedEvent{Event: "passed", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Reason: string(v.Reason), Message: v.Why})
		}
	} else if !again {
		return false, nil
	}
	return !v.Take(), f.cfg.Ledger.Record(ctx, f.order.Subscription, f.order.Channel, j)
}

// fetchInventory has the blobs of an inventory and those that it lists, and
// counts them.
func (f *follower) fetchInventory(ctx context.Context, id blobnet.ID, e *MirroredEvent) error {
	for _, err := range codec.InventoryBlobs(ctx, f.cfg.Swarm, id) {
		if err != nil {
			return err
		}
		if e.Blobs++; e.Blobs > maxInventory {
			return fmt.Errorf("%w: over %d blobs", codec.ErrInventory, maxInventory)
		}
	}
	var missing, all atomic.Int64
	listed := func(yield func(blobnet.ID, error) bool) {
		n := 0
		for id, err := range codec.Inventory(ctx, f.cfg.Swarm, id) {
			if n++; err == nil && n > maxMirrored {
				err = fmt.Errorf("%w: it lists over %d blobs", codec.ErrInventory, maxMirrored)
			}
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
	err := fetch.Each(ctx, f.cfg.Swarm, listed, func(id blobnet.ID) fetch.Want {
		return fetch.Want{ID: id, Class: blobnet.Repair, Patience: f.cfg.ProbeTimeout, Optional: true}
	}, func(_ blobnet.ID, blob []byte, _ bool) error {
		all.Add(1)
		if blob == nil {
			missing.Add(1)
		}
		return nil
	})
	e.Blobs, e.Missing = e.Blobs+all.Load(), missing.Load()
	return err
}
