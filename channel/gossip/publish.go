package gossip

import (
	"context"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Publish tells others of envelopes that the Ledger has accepted already: all
// of them to the channel's followers, and, where there is a root or a head
// among them, roots and heads to the listeners of the channel's topics. It
// follows the channel if that has not been done, and waits for Run to be
// ready. It returns once the messages are on their way; that nobody is there
// to hear them is no error, since whoever comes later syncs.
func (g *Gossip) Publish(ctx context.Context, id channel.ID, envelopes ...[]byte) error {
	if _, err := g.up(ctx); err != nil {
		return fmt.Errorf("publishing in channel %s: %w", id.Short(), err)
	}
	t := target{channel: id}
	if g.interest(t) == nil {
		if err := g.Follow(id); err != nil {
			return err
		}
	}
	if err := g.broadcast(ctx, t, envelopes); err != nil {
		return fmt.Errorf("publishing in channel %s: %w", id.Short(), err)
	}
	listed := false
	for _, e := range envelopes {
		it, err := feed.Parse(e)
		if err != nil {
			return fmt.Errorf("publishing in channel %s: %w", id.Short(), err)
		}
		listed = listed || it.Kind != feed.KindManifest && it.Kind != feed.KindSnapshot
	}
	if !listed {
		return nil
	}
	if in := g.interest(t); in != nil {
		g.announce(in)
	}
	if err := g.list(ctx, id); err != nil {
		return fmt.Errorf("listing channel %s: %w", id.Short(), err)
	}
	return nil
}

// list announces the channel on its topics.
func (g *Gossip) list(ctx context.Context, id channel.ID) error {
	info, err := g.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return err
	}
	if !info.HasRoot {
		return nil
	}
	g.learn(&info.Root)
	bundle, err := g.cfg.Ledger.Roots(ctx, id, 1, MaxBundle, MaxMessage/2)
	if err != nil {
		return err
	}
	if uint64(len(bundle)) < info.Root.Version {
		// Too many versions for one message: listeners ask for them.
		return nil
	}
	heads, err := g.cfg.Ledger.Heads(ctx, id)
	if err != nil {
		return err
	}
	bundle = append(bundle, heads[:min(len(heads), MaxBundle-len(bundle))]...)
	for _, topic := range info.Root.Topics {
		if err := g.broadcast(ctx, target{topic: topic}, bundle); err != nil {
			return fmt.Errorf("on topic %s: %w", topic, err)
		}
	}
	return nil
}

// broadcast publishes envelopes in a room.
func (g *Gossip) broadcast(ctx context.Context, t target, envelopes [][]byte) error {
	// A snapshot cannot be taken in before its pages were asked for, and must not
	// keep what it comes with from being passed on.
	var alone [][]byte
	envelopes = slices.DeleteFunc(slices.Clone(envelopes), func(e []byte) bool {
		it, err := feed.Parse(e)
		if err != nil || it.Kind != feed.KindSnapshot {
			return false
		}
		alone = append(alone, e)
		return true
	})
	messages, err := pack(envelopes)
	for _, e := range alone {
		if m, perr := EncodeBundle(e); perr == nil {
			messages = append(messages, m)
		}
	}
	if err != nil {
		return err
	}
	r, err := g.speak(t)
	if err != nil {
		return err
	}
	for _, m := range messages {
		if err := r.topic.Publish(ctx, m); err != nil {
			return fmt.Errorf("gossiping: %w", err)
		}
	}
	return nil
}
