package gossip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// session compares notes with one peer about targets, for the plan.
func (g *Gossip) session(ctx context.Context, p peer.ID, targets []want) {
	targets = slices.DeleteFunc(targets, func(w want) bool { return w.topic != "" && g.interest(w.target) == nil })
	if len(targets) == 0 || !g.connected(p) {
		return // it is wanted again when it comes back
	}
	_, _ = g.talk(ctx, p, targets) // talk has told of any error
}

// talk runs one session and keeps the books on the peer. It returns the
// channels for which the peer answered.
func (g *Gossip) talk(ctx context.Context, p peer.ID, targets []want) (known []channel.ID, err error) {
	defer func() {
		switch {
		case err == nil:
			g.conduct.good(p)
		case errors.Is(err, ErrMisbehaved):
			g.conduct.lied(p)
			g.event(Event{Kind: EventMisbehaved, Peer: p, Err: err})
		case ctx.Err() == nil || outstayed(ctx):
			g.conduct.failed(p)
			g.event(Event{Kind: EventFailed, Peer: p, Err: err})
		}
	}()
	stream, err := g.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	clean := false
	stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer func() {
		stop()
		if !clean {
			_ = stream.Reset()
			return
		}
		_ = stream.SetDeadline(time.Now().Add(g.cfg.Patience)) // Close could wait for ever
		_ = stream.Close()
	}()

	pull := newPuller(g.cfg.Ledger, &g.claims, stream, g.cfg.Patience, g.synced)
	metered(ctx, pull.in)
	var ids []channel.ID
	for _, w := range targets {
		if w.topic == "" {
			ids = append(ids, w.channel)
		}
	}
	if len(ids) > MaxKeys {
		if ids, err = g.narrow(ctx, p, pull, ids); err != nil {
			return nil, err
		}
	}
	for ids := range slices.Chunk(ids, MaxKeys) {
		some, more, err := g.compare(ctx, p, pull, ids)
		known = append(known, some...)
		if err != nil {
			return known, err
		}
		for _, w := range targets {
			if w.knocked {
				delete(more, w.channel)
			}
		}
		if err := pull.knock(more); err != nil {
			return known, err
		}
	}
	for _, w := range targets {
		if w.topic != "" {
			if err := g.browse(ctx, p, pull, w.target); err != nil {
				return known, err
			}
		}
	}
	clean = true
	return known, nil
}

func (g *Gossip) dial(ctx context.Context, p peer.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, dialLimit)
	defer cancel()
	stream, err := g.cfg.Host.NewStream(ctx, p, SyncProtocol)
	if err != nil {
		return nil, fmt.Errorf("opening sync stream: %w", err)
	}
	return stream, nil
}

// compare catches up with the peer in each of ids. It returns those for which
// the peer answered, and those of which we have more than it.
func (g *Gossip) compare(ctx context.Context, p peer.ID, pull *puller, ids []channel.ID) (known []channel.ID, more map[channel.ID]bool, err error) {
	sections, err := pull.heads(ids)
	if err != nil {
		return nil, nil, err
	}
	more = make(map[channel.ID]bool)
	for _, id := range ids {
		in := g.interest(target{channel: id})
		s, ok := sections[id]
		var b brought
		if ok {
			if b, err = pull.channel(ctx, id, s); err != nil {
				return known, nil, fmt.Errorf("syncing channel %s: %w", id.Short(), err)
			}
			known = append(known, id)
			if in != nil {
				in.answers(p)
				g.retell(in, b.heads, b.encoded)
			}
			g.event(Event{Kind: EventSynced, Peer: p, Channel: id, Accepted: b.accepted, Behind: b.behind})
		} else if in != nil {
			in.forget(p)
		}
		info, err := g.cfg.Ledger.Channel(ctx, id)
		if err != nil {
			return known, nil, err
		}
		if ahead(info, s) {
			more[id] = true
		}
		if in != nil {
			in.hungers(b.behind || info.Behind || !info.HasRoot, b.accepted > 0, g.cfg.SyncInterval)
		}
	}
	return known, more, nil
}

// ahead reports whether we have something that a peer that answered with s has
// not.
func ahead(info catalog.Info, s section) bool {
	if !info.HasRoot || info.Root.Version > s.Root {
		return info.HasRoot
	}
	theirs := make(map[channel.PublicKey]logState, len(s.Logs))
	for _, l := range s.Logs {
		theirs[l.Log] = l
	}
	return slices.ContainsFunc(info.Logs, func(l catalog.LogInfo) bool {
		return l.Seq > theirs[l.Log].Seq || l.Snapshot > theirs[l.Log].Snapshot
	})
}

// synced is called for everything new that sync brought.
func (g *Gossip) synced(o feed.Outcome) {
	g.news.add(o.Hash)
	g.learn(o.Root)
	in := g.interest(target{channel: o.Channel})
	if in != nil {
		in.moved()
		if o.Kind == feed.KindRoot {
			g.announce(in)
		}
	}
	if o.Proof != nil {
		g.publishFork(o.Channel, *o.Proof, o.Err)
	}
}

// browse takes over what the peer lists on a topic.
func (g *Gossip) browse(ctx context.Context, p peer.ID, pull *puller, t target) error {
	accepted := 0
	err := pull.listing(t.topic, func(s section) error {
		if len(s.Items) == 0 {
			return lied("listing of topic %s: nothing about a channel", t.topic)
		}
		id, err := checkListing(t.topic, s.Items, true)
		if errors.Is(err, channel.ErrVersion) {
			return nil
		}
		if err != nil || id.Discovery() != s.Key {
			return lied("listing of topic %s: %w", t.topic, errors.Join(err, channel.ErrMalformed))
		}
		outcomes, err := g.takeListing(ctx, t.topic, p, id, s.Items, false)
		if err != nil {
			return ctx.Err() // it is our own want of room or luck
		}
		for _, o := range outcomes {
			if o.Verdict == feed.Rejected {
				return lied("listing of topic %s: %w", t.topic, o.Err)
			}
			if o.Verdict == feed.Accepted {
				accepted++
				g.learn(o.Root)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if in := g.browsed(t); in != nil {
		in.answers(p)
	}
	g.event(Event{Kind: EventSynced, Peer: p, Topic: t.topic, Accepted: accepted})
	return nil
}

// Sync compares notes about the channel with one peer, connected or with known
// addresses, now. It returns an error that wraps ErrNotFollowed where the peer
// does not know the channel, and ErrMisbehaved where it lies. It needs no Run.
func (g *Gossip) Sync(ctx context.Context, id channel.ID, p peer.ID) error {
	if g.conduct.banned(p) {
		return fmt.Errorf("syncing channel %s with %s: %w lately", id.Short(), p, ErrMisbehaved)
	}
	known, err := g.talk(ctx, p, []want{{target: target{channel: id}}})
	if err != nil {
		return fmt.Errorf("syncing channel %s with %s: %w", id.Short(), p, err)
	}
	if len(known) == 0 {
		return fmt.Errorf("syncing channel %s with %s: %w", id.Short(), p, ErrNotFollowed)
	}
	return nil
}
