package subscriber

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// ErrHeld: the channel is one of updates, and what is known of it may be old: what
// somebody withholds or replays must not be installed.
var ErrHeld = errors.New("held back")

// HeldEvent ("held"): nothing of a channel of kind update is written out until it
// is fresh again. It is told once, and again when the reason is another.
type HeldEvent struct {
	Event   string     `json:"event"`
	Channel channel.ID `json:"channel"`
	Reason  string     `json:"reason"` // stale or forked
	Message string     `json:"message"`
}

func (HeldEvent) event() {}

const (
	// soughtPatience is how long somebody has to answer before a channel is called
	// stale though nobody did.
	soughtPatience = 30 * time.Second
	soughtCheck    = time.Second // how often it is looked at meanwhile
)

// sought reports whether the channel was looked for, so that it can be told that it
// is stale: what has just been found has its heads last.
func (f *follower) sought() bool {
	return f.order.Once || f.cfg.Sought == nil || f.cfg.Sought(f.order.Channel) || time.Since(f.begun) >= soughtPatience
}

// held reports whether the channel is one whose files are not to be written now,
// and tells so.
func (f *follower) held(ctx context.Context) (bool, error) {
	if f.order.Stale {
		return false, nil
	}
	known := f.sought() // first: whoever answers may bring a head
	info, err := f.cfg.Ledger.Channel(ctx, f.order.Channel)
	if err != nil {
		return false, err
	}
	f.frozen = nil
	if info.Root.Kind != channel.Update {
		return false, nil
	}
	for _, l := range info.Logs {
		if l.Frozen {
			if f.frozen == nil {
				f.frozen = map[channel.PublicKey]bool{}
			}
			f.frozen[l.Log] = true
		}
	}
	reason, message := info.Hold()
	f.unsought = reason == "stale" && reason != f.told && !known
	if reason == "" {
		f.told = ""
	} else if reason != f.told && !f.unsought {
		f.told = reason
		f.emit(HeldEvent{Event: "held", Channel: f.order.Channel, Reason: reason, Message: message})
	}
	f.why, f.message = reason, message
	return reason != "", nil
}

// hold does what may be done while nothing is written: it learns what the releases
// say, so that they are listed, and has their blobs for others and for later. With
// Once it only says why.
func (f *follower) hold(ctx context.Context, cursor int64) error {
	if err := f.learnAndTell(ctx); err != nil {
		return err
	}
	if f.order.Once {
		return fmt.Errorf("%s: %w", f.message, ErrHeld)
	}
	if !f.all {
		return nil // a part would have to be chosen, and everything is more than is wanted
	}
	err := f.pending(ctx, max(cursor, f.mirrored))(func(r catalog.Release) error {
		if r.Manifest.Inventory != nil {
			var e MirroredEvent
			// What cannot be had is fetched when it is written.
			attended, heard := f.attend(ctx, r, false, false)
			_ = f.fetchInventory(attended, *r.Manifest.Inventory, &e)
			heard()
		}
		f.mirrored = r.Position
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		held, err := f.held(ctx)
		if err == nil && !held {
			err = errFresh
		}
		return err
	})
	if errors.Is(err, errFresh) {
		return nil
	}
	return err
}

// errFresh: the channel is not held back any more.
var errFresh = errors.New("fresh again")

// leaveForked leaves out a release of a log whose key has signed two histories:
// which of them stands is for a root to say. It is looked at again with every news.
func (f *follower) leaveForked(ctx context.Context, r catalog.Release) error {
	const message = "its publisher's key has signed two histories; a new root of the channel says which one stands"
	p := catalog.Passed{Reason: "forked"}
	if r.Body != nil {
		p.Files = len(r.Body.Entries)
		for _, e := range r.Body.Entries {
			p.Bytes += e.Size
		}
	}
	f.emit(PassedEvent{Event: "passed", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Files: p.Files, Bytes: p.Bytes, Reason: p.Reason, Message: message})
	return f.cfg.Ledger.Record(ctx, f.order.Subscription, f.order.Channel, catalog.Judged{Position: r.Position, Passed: []catalog.Passed{p}})
}
