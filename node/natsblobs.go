package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/natsbridge"
)

// Blobs go through NATS where a site cannot reach peers: what this node has of the
// channels that it bridges is put into the object store, and what it lacks is fetched
// from there like from any peer.

const (
	// natsBlobsAgain is how often releases that were not here whole are looked at again.
	natsBlobsAgain = 10 * time.Second
	// natsBlobsSweep is how often all releases are: what the store has forgotten is put
	// there anew.
	natsBlobsSweep = 6 * time.Hour
	// maxNATSPending bounds the releases that are looked at again before a sweep.
	maxNATSPending = 4096
)

// natsBlobs is the carrying of one bridge.
type natsBlobs struct {
	n     *Node
	store *natsbridge.Blobs
	ids   []channel.ID // none: all that are followed
	emit  func(any)
	wake  chan struct{} // holds one: there is news

	// Of the carrying goroutine alone.
	after   map[channel.ID]int64              // up to where releases were looked at
	pending map[channel.ID]map[int64]struct{} // positions of those that were not here whole
}

// natsBlobs carries blobs until ctx ends; wait returns then.
func (n *Node) natsBlobs(ctx context.Context, server natsbridge.Server, req BridgeNATSRequest, ids []channel.ID, emit func(any)) (wait func()) {
	var work sync.WaitGroup
	work.Go(func() {
		for failures := 0; ctx.Err() == nil; failures++ {
			err := n.carryNATSBlobs(ctx, server, req, ids, emit)
			if ctx.Err() != nil {
				return
			}
			emit(ErrorEvent{Event: "error", Message: "NATS: " + err.Error(), Retry: true})
			if pause(ctx, natsbridge.Backoff(failures)) != nil {
				return
			}
		}
	})
	return work.Wait
}

// carryNATSBlobs carries until ctx ends, or the store cannot be opened.
func (n *Node) carryNATSBlobs(ctx context.Context, server natsbridge.Server, req BridgeNATSRequest, ids []channel.ID, emit func(any)) error {
	conn, err := natsbridge.Dial(ctx, server, networkOf(req.NATSServer))
	if err != nil {
		return err
	}
	defer conn.Close()
	size := req.MaxBlobs
	if size == 0 {
		size = natsbridge.DefaultBlobs
	}
	store, err := conn.Blobs(ctx, req.Replicas, size, !req.ReadOnly)
	if err != nil {
		return err
	}
	defer n.net.bridges.lend(natsPeer{store, req.ReadOnly, n.log})()
	if req.ReadOnly {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	b := &natsBlobs{n: n, store: store, ids: ids, emit: emit, wake: make(chan struct{}, 1), after: map[channel.ID]int64{}, pending: map[channel.ID]map[int64]struct{}{}}
	defer n.catalog.Watch(func(channel.ID, feed.Kind) { tell(b.wake) })()
	return b.run(ctx)
}

// natsPeer is the store as one who has blobs.
type natsPeer struct {
	*natsbridge.Blobs
	readOnly bool
	log      *slog.Logger
}

// Get takes what is wrong in the store away, so that it is put there anew. Many may
// write to a store: what one of them has put there is no reason to ask it for nothing
// more, so it is not told as the store's lie but as a blob that is not there.
func (p natsPeer) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	got, err := p.Blobs.Get(ctx, id, dst)
	if !errors.Is(err, blobnet.ErrCorrupt) && !errors.Is(err, blobnet.ErrTooLarge) {
		return got, err
	}
	if !p.readOnly {
		if gone := p.Delete(ctx, id); gone != nil {
			p.log.Debug("deleting what is wrong in the object store", "blob", id.Short(), "error", gone)
		}
	}
	return got, fmt.Errorf("%w: %s", blobnet.ErrNotFound, err)
}

// run puts blobs into the store as they come.
func (b *natsBlobs) run(ctx context.Context) error {
	sweep := time.NewTicker(natsBlobsSweep)
	defer sweep.Stop()
	for failures := 0; ; {
		put, err := b.pass(ctx)
		if put > 0 {
			b.emit(BridgeEvent{Event: "bridge", State: "blobs", Server: b.store.Name(), Count: put})
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		wait := natsBlobsAgain
		if failures++; err == nil {
			failures = 0
		} else {
			b.emit(ErrorEvent{Event: "error", Message: "NATS: " + err.Error(), Retry: true})
			wait = natsbridge.Backoff(failures)
		}
		again := time.NewTimer(wait)
		select {
		case <-b.wakes(err):
		case <-again.C:
		case <-sweep.C:
			clear(b.after)
			clear(b.pending)
		case <-ctx.Done():
		}
		again.Stop()
	}
}

// wakes is the news, for which a store that fails is not asked sooner.
func (b *natsBlobs) wakes(err error) <-chan struct{} {
	if err != nil {
		return nil
	}
	return b.wake
}

// pass puts what is new there, and what was not here whole, and returns how many
// blobs it was.
func (b *natsBlobs) pass(ctx context.Context) (put int, err error) {
	ids := b.ids
	if len(ids) == 0 {
		infos, err := b.n.catalog.Channels(ctx)
		if err != nil {
			return 0, err
		}
		for _, info := range infos {
			if info.Reason >= catalog.Followed {
				ids = append(ids, info.ID)
			}
		}
	}
	for _, id := range ids {
		n, err := b.channel(ctx, id)
		if put += n; err != nil {
			return put, err
		}
	}
	return put, nil
}

func (b *natsBlobs) channel(ctx context.Context, id channel.ID) (put int, err error) {
	pending := b.pending[id]
	if pending == nil {
		pending = map[int64]struct{}{}
		b.pending[id] = pending
	}
	look := func(r catalog.Release) error {
		n, whole, err := b.release(ctx, r)
		put += n
		delete(pending, r.Position)
		if !whole && len(pending) < maxNATSPending {
			pending[r.Position] = struct{}{}
		}
		return err
	}
	for position := range pending {
		found, err := b.n.catalog.Releases(ctx, id, position-1, 1)
		if err != nil {
			return put, err
		}
		if len(found) == 0 || found[0].Position != position {
			delete(pending, position) // it is gone
			continue
		}
		if err := look(found[0]); err != nil {
			return put, err
		}
	}
	for r, err := range b.n.releasesAfter(ctx, id, b.after[id]) {
		if err == nil {
			err = look(r)
		}
		if err != nil {
			return put, err
		}
		b.after[id] = r.Position
	}
	return put, nil
}

// release puts the blobs of a release into the store that are here and not there, and
// reports whether all that it lists was here.
func (b *natsBlobs) release(ctx context.Context, r catalog.Release) (put int, whole bool, err error) {
	const at = 64
	whole = true
	var batch []blobnet.ID
	flush := func() error {
		n, all, err := b.put(ctx, batch)
		put, whole, batch = put+n, whole && all, batch[:0]
		return err
	}
	for id, err := range b.n.parts(ctx, r, b.n.blobs) {
		if err != nil {
			if ctx.Err() != nil {
				return put, false, context.Cause(ctx)
			}
			whole = whole && unreadable(err) // else the blob that lists others is not here
			continue
		}
		if batch = append(batch, id); len(batch) == at {
			if err := flush(); err != nil {
				return put, false, err
			}
		}
	}
	err = flush()
	return put, whole && err == nil, err
}

func (b *natsBlobs) put(ctx context.Context, ids []blobnet.ID) (put int, whole bool, err error) {
	there, err := b.store.Have(ctx, ids)
	if err != nil {
		return 0, false, err
	}
	whole = true
	for i, id := range ids {
		if there[i] {
			continue
		}
		data, err := b.n.blobs.Get(ctx, id, nil)
		if errors.Is(err, blobnet.ErrNotFound) {
			whole = false
			continue
		}
		if err == nil {
			err = b.store.Put(ctx, id, data)
		}
		if err != nil {
			return put, false, err
		}
		put++
	}
	return put, whole, nil
}
