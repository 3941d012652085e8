package gossip

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxRooms is how many rooms a node is in. Nobody remembers more of one peer, and
// pubsub greets with all of them in one RPC, which has to fit.
const maxRooms = MaxTopicsPerPeer

// room is a gossip topic of pubsub that we speak in, and, once entered, hear
// and relay. Relaying is enough: all work on a message is done by the
// validator, so there is no subscription whose buffer could overflow.
type room struct {
	name   string
	target target
	topic  *pubsub.Topic
	cancel func() // leaves; nil unless entered
}

// judge decides about one message.
type judge func(ctx context.Context, src peer.ID, data []byte) pubsub.ValidationResult

// open returns the room of an interest, or of a topic that we only speak on.
// g.opening is held.
func (g *Gossip) open(t target) (*room, error) {
	name, j := t.room(), g.judgeFor(t)
	g.mu.Lock()
	r := g.rooms[name]
	g.mu.Unlock()
	if r != nil {
		return r, nil
	}
	self := g.cfg.Host.ID()
	validator := func(ctx context.Context, src peer.ID, m *pubsub.Message) pubsub.ValidationResult {
		if src == self {
			return pubsub.ValidationAccept // the Ledger has it already
		}
		source := g.source(src)
		if !g.budget.begin(source, name) {
			return pubsub.ValidationIgnore
		}
		result := j(ctx, src, m.GetData())
		g.budget.end(source, name, result == pubsub.ValidationAccept && t.topic == "")
		if result == pubsub.ValidationReject {
			g.event(Event{Kind: EventRejected, Peer: src, Channel: t.channel, Topic: t.topic})
		}
		return result
	}
	err := g.mesh.RegisterTopicValidator(name, validator,
		pubsub.WithValidatorConcurrency(validating), pubsub.WithValidatorTimeout(2*gapWait))
	if err != nil {
		return nil, fmt.Errorf("joining gossip: %w", err)
	}
	topic, err := g.mesh.Join(name)
	if err != nil {
		_ = g.mesh.UnregisterTopicValidator(name)
		return nil, fmt.Errorf("joining gossip: %w", err)
	}
	if err := topic.SetScoreParams(roomScore()); err != nil {
		return nil, fmt.Errorf("joining gossip: %w", err)
	}
	r = &room{name: name, target: t, topic: topic}
	g.mu.Lock()
	g.rooms[name] = r
	g.mu.Unlock()
	return r, nil
}

// enter joins the room of the interest for hearing and relaying, and wants a
// session with everybody who is or comes in. Entering twice is entering once.
// Where it is in maxRooms already it stays outside, and what is new in this one
// comes by sync alone, until there is room.
func (g *Gossip) enter(in *interest) error {
	g.opening.Lock()
	defer g.opening.Unlock()
	if g.interest(in.target) != in {
		return nil // removed meanwhile
	}
	g.mu.Lock()
	known := g.rooms[in.room]
	g.mu.Unlock()
	if known != nil && known.cancel != nil {
		return nil
	}
	if g.entered >= maxRooms {
		g.announce(in)
		return nil
	}
	r, err := g.open(in.target)
	if err != nil {
		return err
	}
	relay, err := r.topic.Relay()
	if err != nil {
		return fmt.Errorf("joining gossip: %w", err)
	}
	events, err := r.topic.EventHandler()
	if err != nil {
		relay()
		return fmt.Errorf("joining gossip: %w", err)
	}
	ctx, stop := context.WithCancel(g.ctx)
	g.entered++
	r.cancel = func() {
		stop()
		events.Cancel()
		relay()
	}
	g.start(func() {
		defer stop()
		for {
			e, err := events.NextPeerEvent(ctx)
			if err != nil {
				return
			}
			if e.Type == pubsub.PeerJoin {
				g.event(Event{Kind: EventFollower, Peer: e.Peer, Channel: in.channel, Topic: in.topic})
				g.plan.want(e.Peer, in.target, 0, false) // and once more when it is in the mesh
			}
		}
	})
	g.announce(in)
	return nil
}

// roomLeft reports whether this node may enter one more room.
func (g *Gossip) roomLeft() bool {
	g.opening.Lock()
	defer g.opening.Unlock()
	return g.entered < maxRooms
}

// leave undoes open and enter.
func (g *Gossip) leave(in *interest) {
	g.opening.Lock()
	defer g.opening.Unlock()
	if !g.running() || g.interest(in.target) != nil {
		return
	}
	g.mu.Lock()
	r := g.rooms[in.room]
	delete(g.rooms, in.room)
	g.mu.Unlock()
	if r == nil {
		return
	}
	if r.cancel != nil {
		r.cancel()
		g.entered--
	}
	_ = r.topic.Close() // fails only when pubsub has stopped
	_ = g.mesh.UnregisterTopicValidator(in.room)
}

// speak returns the room of a channel or topic for publishing, without
// entering it.
func (g *Gossip) speak(t target) (*room, error) {
	g.opening.Lock()
	defer g.opening.Unlock()
	return g.open(t)
}

func (g *Gossip) judgeFor(t target) judge {
	return func(ctx context.Context, src peer.ID, data []byte) pubsub.ValidationResult {
		in := g.interest(t)
		if in == nil {
			return pubsub.ValidationIgnore
		}
		if t.topic != "" {
			return g.judgeTopic(ctx, in, src, data)
		}
		return g.judgeChannel(ctx, in, src, data)
	}
}

// topicOf returns the topic with the key, if this node has to do with it:
// listens to it, or knows a channel that is listed on it or below it.
func (g *Gossip) topicOf(ctx context.Context, key channel.Hash) (string, bool) {
	return g.topics.find(ctx, key, g.cfg.Ledger.Topics)
}

// learn remembers the topics of a root that the Ledger has accepted.
func (g *Gossip) learn(root *channel.Root) {
	if root != nil {
		g.topics.learn(root.Topics)
	}
}
