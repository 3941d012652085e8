package subscriber

import (
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

const (
	// inventoryTimeout is how long is looked for an inventory at a time.
	inventoryTimeout = 10 * time.Second
	// inventoryGrace is how long Follow with Once waits, when all is applied,
	// for inventories that are being looked for.
	inventoryGrace = time.Second
	// inventoryPause is the time after which is looked again for those that
	// were not to be had, if no release gives reason to do so before.
	inventoryPause = 10 * time.Minute
	// inventoryLookback is how many positions before the cursor Follow looks at
	// for releases whose inventory is missing.
	inventoryLookback = 1024
	// maxInventory is how many blobs of an inventory are fetched: they list
	// four million blobs.
	maxInventory = 130
	// maxLost is how many missing inventories are remembered.
	maxLost = 4096
	// Those of new releases are asked for at once, those that were missing a
	// few at a time.
	maxNewSought, maxLostSought = 64, 4
)

// inventories fetches the inventories of a channel's releases, so that blind
// mirrors can have them from this node, too. Nobody else needs them: it works
// beside the releases, which never wait for it. What cannot be had is tried
// again, what is malformed is left.
type inventories struct {
	cfg    Config
	order  Follow
	all    bool // the policy takes everything
	ctx    context.Context
	cancel context.CancelFunc
	fresh  errgroup.Group // those of new releases
	lookup sync.WaitGroup // run
	news   chan struct{}  // there is reason to try again

	mu   sync.Mutex   // guards lost
	lost []blobnet.ID // wait to be tried again, the oldest first
}

// keepInventories begins to look for inventories that earlier runs could not
// have. It ends with ctx or stop.
func keepInventories(ctx context.Context, cfg Config, order Follow, all bool) *inventories {
	k := &inventories{cfg: cfg, order: order, all: all, news: make(chan struct{}, 1)}
	k.ctx, k.cancel = context.WithCancel(ctx)
	k.fresh.SetLimit(maxNewSought)
	k.lookup.Go(func() {
		k.recall(k.ctx)
		k.retry(k.ctx)
	})
	return k
}

// stop ends all that is being looked for, once it had that long to come, and
// waits for the end. Nothing may be wanted any more.
func (k *inventories) stop(grace time.Duration) {
	idle := make(chan struct{})
	go func() {
		defer close(idle)
		_ = k.fresh.Wait() // has no errors
		k.lookup.Wait()
	}()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-idle:
	case <-timer.C:
	}
	k.cancel()
	<-idle
}

// want begins to look for the inventory of a release that is about to be
// applied: whoever publishes it may be gone after its last file.
func (k *inventories) want(r catalog.Release) {
	id := r.Manifest.Inventory
	if id == nil {
		return
	}
	if !k.fresh.TryGo(func() error { k.try(k.ctx, *id); return nil }) {
		k.lose(*id)
	}
	select {
	case k.news <- struct{}{}:
	default: // there is reason already
	}
}

// recall looks through the last releases before the cursor. What goes wrong is
// left to the next run.
func (k *inventories) recall(ctx context.Context) {
	cursor, err := k.cfg.Ledger.Cursor(ctx, k.order.Subscription, k.order.Channel)
	for after := max(0, cursor-inventoryLookback); err == nil && after < cursor; {
		var releases []catalog.Release
		if releases, err = k.cfg.Ledger.Releases(ctx, k.order.Channel, after, releasePage); len(releases) == 0 {
			return
		}
		for _, r := range releases {
			if after = r.Position; after <= cursor && r.Manifest.Inventory != nil && k.brought(ctx, r) {
				k.lose(*r.Manifest.Inventory) // what is in the store is not asked for
			}
		}
	}
}

// brought reports whether a file of the release is here, if the policy leaves any
// out.
func (k *inventories) brought(ctx context.Context, r catalog.Release) bool {
	if k.all {
		return true
	}
	ok, err := k.cfg.Ledger.WrittenBy(ctx, k.order.Subscription, k.order.Channel, r.Position)
	return ok && err == nil
}

// retry looks for what was not to be had, once if the order is, else now and
// then until ctx ends.
func (k *inventories) retry(ctx context.Context) {
	for {
		k.mu.Lock()
		lost := k.lost
		k.lost = nil
		k.mu.Unlock()
		var again errgroup.Group
		again.SetLimit(maxLostSought)
		for _, id := range lost {
			again.Go(func() error { k.try(ctx, id); return nil })
		}
		_ = again.Wait() // has no errors
		if k.order.Once {
			return
		}
		pause := time.NewTimer(inventoryPause)
		select {
		case <-k.news:
		case <-pause.C:
		case <-ctx.Done():
		}
		pause.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// try fetches the blobs of an inventory to the swarm's store, or remembers it
// as lost.
func (k *inventories) try(ctx context.Context, id blobnet.ID) {
	limited, cancel := context.WithTimeout(ctx, inventoryTimeout)
	defer cancel()
	n := 0
	for _, err := range codec.InventoryBlobs(limited, k.cfg.Swarm, id) {
		if err != nil && !errors.Is(err, codec.ErrInventory) {
			k.lose(id)
			return
		}
		if n++; err != nil || n >= maxInventory {
			return
		}
	}
}

func (k *inventories) lose(id blobnet.ID) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.lost = append(k.lost, id); len(k.lost) > maxLost {
		k.lost = k.lost[1:]
	}
}
