package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber"
)

// defaultPatience is how long a request that must end waits without any
// progress.
const defaultPatience = time.Minute

// once catches up and returns.
func (n *Node) once(ctx context.Context, sub catalog.Subscription, stale bool, patience time.Duration, emit func(any)) (SubscribeResult, error) {
	idle := patience == 0
	if idle {
		patience = defaultPatience
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(patience, func() {
		cancel(n.late(context.WithoutCancel(ctx), sub, patience))
	})
	defer timer.Stop()

	var res SubscribeResult
	count := func(e any) {
		if idle {
			timer.Reset(patience)
		}
		switch e := e.(type) {
		case ManifestEvent:
			res.Releases++
		case FileEvent:
			res.Files++
			res.Bytes += e.Size
		case PassedEvent:
			res.Passed += e.Files
		case MirroredEvent:
			res.Mirrored++
		}
		emit(e)
	}
	ids, err := n.channelsOf(ctx, sub, count)
	for _, id := range ids {
		if err == nil {
			err = n.catchUp(ctx, sub, id, stale, count)
			err = n.addCurrency(ctx, &res.Currency, id, err)
		}
	}
	if err == nil {
		_, err = n.letGo(ctx) // the process may be about to end
	}
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return res, err
}

// late says that what a subscription follows did not come up to date in time. What
// nobody was found to have is not found; what was heard of is only behind.
func (n *Node) late(ctx context.Context, sub catalog.Subscription, patience time.Duration) error {
	known := false
	if sub.Topic != "" {
		listed, err := n.catalog.ListedOn(ctx, sub.Topic)
		known = err != nil || len(listed) > 0
	} else if a, err := channel.ParseAddress(sub.Address); err == nil {
		info, err := n.catalog.Channel(ctx, a.ID)
		known = err == nil && info.HasRoot
	}
	return notUpToDate(targetOf(sub), known, patience)
}

// notUpToDate is the error of waiting for a channel or topic in vain.
func notUpToDate(what string, known bool, patience time.Duration) error {
	if !known {
		return notFound("nobody who has %s was found within %s; is a follower or the publisher reachable? name one with --peer", what, patience)
	}
	return fmt.Errorf("%s is not up to date after %s; is a follower or the publisher reachable? name one with --peer", what, patience)
}

// catchUp asks followers until at least one has answered, applies what it
// brought, and asks again until nothing new came.
func (n *Node) catchUp(ctx context.Context, sub catalog.Subscription, id channel.ID, stale bool, emit func(any)) error {
	if err := n.net.gossip.Follow(id); err != nil {
		return fmt.Errorf("following %s: %w", address(id), err)
	}
	for applied := int64(-1); ; {
		if err := n.synced(ctx, id); err != nil {
			return err
		}
		info, err := n.catalog.Channel(ctx, id)
		if err != nil {
			return err
		}
		if fork := forked(info); info.Position == applied && (!info.Behind || fork != nil) {
			return fork
		}
		err = n.apply(ctx, sub, id, true, stale, emit)
		if errors.Is(err, subscriber.ErrHeld) {
			if info.Behind && pause(ctx, syncRetry) == nil {
				continue // another follower may have what is missing
			}
			return fmt.Errorf("%s is not to be installed now: %w. Its files stay as they were; --stale with --once writes them all the same", address(id), err)
		}
		if err != nil {
			return err
		}
		applied = info.Position
	}
}

// addCurrency adds that of a channel to that of those before. err is what there was
// before, and goes first.
func (n *Node) addCurrency(ctx context.Context, sum *Currency, id channel.ID, err error) error {
	one, oneErr := n.currency(context.WithoutCancel(ctx), id)
	sum.Forked = sum.Forked || one.Forked
	if sum.Fresh == nil || one.Stale() {
		sum.Fresh = one.Fresh
	}
	if err != nil {
		return err
	}
	return oneErr
}

// forked is an error if a log of the channel is frozen: what it signed before
// stands, but nothing can be called up to date.
func forked(info catalog.Info) error {
	for _, l := range info.Logs {
		if l.Frozen {
			return fmt.Errorf("%s: %w: its publisher %s signed two histories; what came before them is here, see channel-show", address(info.ID), channel.ErrChain, l.Log)
		}
	}
	return nil
}

// syncRetry is the pause before followers are asked again when none answered.
const syncRetry = 500 * time.Millisecond

// synced returns when at least one follower of the channel has answered and the
// channel's root is known.
func (n *Node) synced(ctx context.Context, id channel.ID) error {
	for {
		answered, err := n.net.gossip.SyncAll(ctx, id)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			n.log.Debug("syncing", "channel", address(id), "error", err)
		}
		if answered > 0 {
			info, err := n.catalog.Channel(ctx, id)
			if err != nil {
				return err
			}
			if info.HasRoot {
				return nil
			}
		}
		if err := pause(ctx, syncRetry); err != nil {
			return err
		}
	}
}
