package node

import (
	"context"
	"time"

	"github.com/anonymous-media-library/aml/channel/catalog"
)

const (
	// renewInterval is how often the heads of own channels are looked at.
	renewInterval = time.Minute
	// renewRetry is how soon it is tried again when nobody answered.
	renewRetry = 5 * time.Second
)

// renewHeads keeps heads fresh until ctx ends: those of own logs, and those of
// all logs of channels followed here in which a key of this home has the role
// head. Before that it ends doubts about own logs, which must not be called
// newest; makes the snapshots of own logs that are due; and begins the logs of keys
// that have taken another's place.
func (n *Node) renewHeads(ctx context.Context) error {
	for {
		left := n.settle(ctx)
		n.succeedAll(ctx)
		if err := n.pub.RenewHeads(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("renewing heads", "error", err)
		}
		if err := n.pub.Snapshots(ctx); err != nil && ctx.Err() == nil {
			n.log.Warn("making snapshots", "error", err)
		}
		left = n.renewDelegated(ctx) || left
		wait := renewInterval
		if left {
			wait = renewRetry
		}
		if pause(ctx, wait) != nil {
			return nil
		}
	}
}

// renewDelegated signs heads with head keys of this home. A head says that
// nothing newer is known, so others are asked first; while nobody answers none
// is signed, since a node that hears nobody knows nothing of the sort. It
// reports whether some are left for that reason.
func (n *Node) renewDelegated(ctx context.Context) (left bool) {
	keys := n.keys()
	if len(keys) == 0 {
		return false
	}
	infos, err := n.catalog.Channels(ctx)
	if err != nil {
		if ctx.Err() == nil { // a command that is over says nothing
			n.log.Warn("renewing heads", "error", err)
		}
		return false
	}
	for _, info := range infos {
		if info.Reason < catalog.Followed {
			continue
		}
		for _, key := range keys {
			if !n.pub.HeadsDue(info, key.Public()) {
				continue
			}
			who, err := n.ask(ctx, info.ID, namedPatience, 1)
			if err == nil && len(who) > 0 {
				err = n.pub.RenewHeadsBy(ctx, info.ID, key.PrivateKey)
			}
			if err != nil && ctx.Err() == nil {
				n.log.Warn("renewing heads", "error", err)
			}
			left = left || len(who) == 0
		}
	}
	return left
}
