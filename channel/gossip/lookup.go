package gossip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// LookUp is SyncTopic for a topic that this node does not listen to: it takes in
// what others list, and neither joins the topic's room nor announces its key.
// So only those who are asked, by it and by discovery, learn that it is
// interested. What it knows of the topic by that alone it tells nobody.
func (g *Gossip) LookUp(ctx context.Context, topic string) (answered int, err error) {
	if err := g.Hide(topic); err != nil {
		return 0, err
	}
	return g.SyncTopic(ctx, topic)
}

// Browse is LookUp that asks whoever else is connected, too, 128 of them at most:
// they may know of the topic though they neither listen to it nor announce it. It is
// for who looks once, and says that he does.
func (g *Gossip) Browse(ctx context.Context, topic string) (answered int, err error) {
	if err := g.Hide(topic); err != nil {
		return 0, err
	}
	return g.syncTopic(ctx, topic, g.neighbours()...)
}

// neighbours are connected peers, in random order.
func (g *Gossip) neighbours() []peer.ID {
	all := slices.DeleteFunc(g.cfg.Host.Network().Peers(), func(p peer.ID) bool { return g.conduct.banned(p) })
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(len(all), maxNeighbours)]
}

// Hide says that the topic was or will be looked up: channels that are known
// from it alone are told to nobody. It may be called before Run.
func (g *Gossip) Hide(topic string) error {
	if err := channel.ValidTopic(topic); err != nil {
		return fmt.Errorf("looking up: %w", err)
	}
	t := target{topic: topic}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lookups[t] == nil {
		g.lookups[t] = newInterest(t)
	}
	return nil
}

// browsed is the interest in a topic that is listened to or looked up.
func (g *Gossip) browsed(t target) *interest {
	g.mu.Lock()
	defer g.mu.Unlock()
	if in := g.interests[t]; in != nil {
		return in
	}
	return g.lookups[t]
}

// hidden reports whether a channel is known from looking up a topic alone. That
// the node has it would show what it looked up.
func (g *Gossip) hidden(info catalog.Info) bool {
	if info.Reason != catalog.Listed {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	var topics []string // who asks for one above is told of it too
	for _, t := range info.Root.Topics {
		topics = append(append(topics, t), channel.ParentTopics(t)...)
	}
	open := slices.ContainsFunc(topics, func(topic string) bool { return g.interests[target{topic: topic}] != nil })
	return !open && slices.ContainsFunc(topics, func(topic string) bool { return g.lookups[target{topic: topic}] != nil })
}

// shows reports whether a channel may be told of to who asks for a listing.
func (s *server) shows(ctx context.Context, id channel.ID) (bool, error) {
	if s.hidden == nil {
		return true, nil
	}
	info, err := s.ledger.Channel(ctx, id)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && !s.hidden(info), err
}
