package node

import (
	"context"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/subscriber"
)

const (
	// ownRetry is how soon it is tried again to read what could not be had, and
	// ownRetries the longest pause between later tries.
	ownRetry, ownRetries = time.Minute, time.Hour
)

// unread is an own channel of which something could not be read.
type unread struct {
	pause time.Duration
	due   time.Time
}

// keepReadingOwn makes known what others publish to channels of this home, until
// ctx ends: it opens what is sealed, and has bodies that lie in blobs. Manifests come
// by gossip, since own channels are joined; but what they say is read by who follows,
// and an owner need not. No file is fetched.
func (n *Node) keepReadingOwn(ctx context.Context) error {
	h := heard{ids: map[channel.ID]bool{}, news: make(chan struct{}, 1)}
	defer n.catalog.Watch(h.hear)()
	tick := time.NewTicker(ownRetry)
	defer tick.Stop()
	left := map[channel.ID]unread{}
	for first, news := true, (map[channel.ID]bool)(nil); ; first = false {
		for _, id := range n.ownUnfollowed(ctx) {
			before, waiting := left[id]
			if !first && !news[id] && !(waiting && !time.Now().Before(before.due)) {
				continue
			}
			delete(left, id)
			if n.readOwn(ctx, id) {
				continue
			}
			next := unread{pause: ownRetry}
			if waiting && !news[id] {
				next.pause = min(2*before.pause, ownRetries)
			}
			next.due = time.Now().Add(next.pause)
			left[id] = next
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			news = nil
		case <-h.news:
			if pause(ctx, turnPause) != nil {
				return nil
			}
			news = h.take()
		}
	}
}

// ownUnfollowed are the channels that this home publishes to and does not follow:
// who follows them reads them.
func (n *Node) ownUnfollowed(ctx context.Context) []channel.ID {
	owns, err := n.catalog.Owns(ctx)
	followed := map[channel.ID]bool{}
	if err == nil {
		followed, err = n.subscribed(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			n.log.Warn("listing own channels", "error", err)
		}
		return nil
	}
	var out []channel.ID
	for _, o := range owns {
		if !followed[o.Channel] {
			followed[o.Channel] = true // it may be there twice
			out = append(out, o.Channel)
		}
	}
	return out
}

// readOwn reads what can be read of a channel now, and reports whether that is all.
func (n *Node) readOwn(ctx context.Context, id channel.ID) bool {
	all := func() bool {
		info, err := n.catalog.Channel(ctx, id)
		return err == nil && info.Sealed == 0 && info.MissingBodies == 0
	}
	if all() {
		return true
	}
	if err := n.readWith(ctx, id, (*subscriber.Subscriber).Learn); err != nil && ctx.Err() == nil {
		n.log.Warn("reading what others publish to an own channel", "channel", address(id), "error", err)
	}
	return all()
}
