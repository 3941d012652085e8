package node

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/diskstore"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

// StoreEvent ("store") says that the store takes no more blobs, or does again.
type StoreEvent struct {
	Event   string `json:"event"`
	State   string `json:"state"` // serve-only, writable
	Message string `json:"message,omitempty"`
}

// aboutStore is what StoreEvents and RottenEvents are about.
const aboutStore = "store"

// onStore takes note of what the store finds out while it works.
func (n *Node) onStore(e diskstore.Event) {
	switch e.Kind {
	case diskstore.EventServeOnly:
		n.log.Warn("the disk is full: what is stored is served, nothing new is stored", "error", e.Err)
		n.bus.send(aboutStore, StoreEvent{Event: "store", State: "serve-only", Message: e.Err.Error()})
	case diskstore.EventWritable:
		n.log.Warn("the disk has room again: blobs are stored")
		n.bus.send(aboutStore, StoreEvent{Event: "store", State: "writable"})
	case diskstore.EventCorrupt:
		n.rotten(RottenEvent{ID: e.ID, Message: "stored bytes do not hash to the blob's id any more; moved to quarantine"})
	case diskstore.EventMissing:
		n.rotten(RottenEvent{ID: e.ID, Message: "its file was deleted by something else"})
	}
}

// onInPlace takes note of files that are not what they were.
func (n *Node) onInPlace(e inplace.Event) {
	message := e.Kind.String()
	if e.Err != nil {
		message += ": " + e.Err.Error()
	}
	switch e.Kind {
	case inplace.KindChanged, inplace.KindVanished:
		n.rotten(RottenEvent{Path: e.Path, Message: message + "; what lay in it is not served any more"})
	default:
		n.log.Warn("blobs in files: "+e.Kind.String(), "path", e.Path, "error", e.Err)
	}
}

// rotten tells of damage, and has a blob got again if this node is on the
// network.
func (n *Node) rotten(e RottenEvent) {
	e.Event = "rotten"
	n.bus.send(aboutStore, e)
	if e.ID.IsZero() {
		n.log.Info("damaged: "+e.Message, "file", e.Path)
		return
	}
	n.log.Info("damaged: "+e.Message, "blob", e.ID)
	n.haveAgain(e.ID)
}

// haveAgain has a blob got again if this node is on the network.
func (n *Node) haveAgain(id blobnet.ID) {
	select {
	case n.damaged <- id:
	default: // a scrub finds it again
	}
}

// maxDamaged is how many damaged blobs wait to be had again.
const maxDamaged = 1024

// repairPatience is how long a damaged blob is looked for among the peers.
const repairPatience = 10 * time.Second

// repair gets damaged blobs again from connected peers until ctx ends.
func (n *Node) repair(ctx context.Context) error {
	for {
		var ids []blobnet.ID
		select {
		case id := <-n.damaged:
			ids = append(ids, id)
		case <-ctx.Done():
			return nil
		}
		for more := true; more && len(ids) < maxDamaged; {
			select {
			case id := <-n.damaged:
				ids = append(ids, id)
			default:
				more = false
			}
		}
		got, err := n.refetch(ctx, n.blobs, ids)
		if err != nil && ctx.Err() == nil {
			level := slog.LevelWarn
			if n.mending.Load() > 0 { // a scrub tries more, and says what came of it
				level = slog.LevelDebug
			}
			n.log.Log(ctx, level, "damaged blobs could not be had again", "blobs", len(ids)-got, "error", err)
		}
	}
}

// refetchers is how many blobs are got again at once.
const refetchers = 8

// refetch gets those of the blobs that are not in store into it, from whoever is
// connected or found under keys, and returns how many came. If all the rest is
// that nobody has them, the error wraps blobnet.ErrNotFound.
func (n *Node) refetch(ctx context.Context, store blobnet.Store, ids []blobnet.ID, keys ...tracker.Key) (got int, err error) {
	swarm, err := n.newSwarm(store, repairPatience, 0)
	if err != nil {
		return 0, err
	}
	defer n.net.gather(ctx, swarm, n.net.connected, keys...)()
	has, err := store.Has(ctx, ids...)
	if err != nil {
		return 0, err
	}
	var came atomic.Int64
	var nobody atomic.Pointer[fetch.NotFoundError]
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(refetchers)
	for i, id := range ids {
		if has[i] {
			continue
		}
		group.Go(func() error {
			_, err := swarm.Fetch(ctx, fetch.Want{ID: id, Class: blobnet.Repair}, nil)
			var missing *fetch.NotFoundError
			if errors.As(err, &missing) {
				nobody.Store(missing)
				return nil
			}
			if err == nil {
				came.Add(1)
			}
			if _, tells := store.(*mender); err == nil && !tells {
				n.bus.send(aboutStore, RottenEvent{Event: "rotten", ID: id, Message: "had again from a peer", Repaired: true})
			}
			return err
		})
	}
	err = group.Wait()
	if missing := nobody.Load(); err == nil && missing != nil {
		err = missing
	}
	return int(came.Load()), err
}

// connected returns the peers that speak the blob protocol now.
func (net *network) connected() []peer.ID {
	var out []peer.ID
	for _, p := range net.host.Network().Peers() {
		if known, err := net.host.Peerstore().SupportsProtocols(p, exchange.Protocol); err == nil && len(known) > 0 {
			out = append(out, p)
		}
	}
	return out
}
