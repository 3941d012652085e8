package gossip

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// maxContext is how many envelopes of a message may be known already. A relay
// could else be made to carry a lot of old news with a little of new.
const maxContext = 2

// judgeChannel decides about a message in a channel's room. It rejects only
// what every follower rejects, whatever it knows; it accepts, and so relays,
// only what moved the Ledger forward.
func (g *Gossip) judgeChannel(ctx context.Context, in *interest, src peer.ID, data []byte) pubsub.ValidationResult {
	envelopes, err := DecodeBundle(data)
	if err != nil {
		return pubsub.ValidationReject
	}
	// All of it is parsed before any of it is offered, so that what every node
	// rejects is rejected whole.
	items := make([]*feed.Item, len(envelopes))
	for i, e := range envelopes {
		it, err := feed.Parse(e)
		if err != nil {
			return verdict(feed.Refuse(err))
		}
		if !it.Channel.IsZero() && it.Channel != in.channel {
			return pubsub.ValidationReject // everybody here knows which channel this room is of
		}
		items[i] = it
	}
	t := tally{g: g, in: in, src: src}
	if len(items) >= 2 && items[0].Contradicts(items[1]) {
		// A proof of a fork tells also those that know neither side. Its sides are
		// not offered one by one: of two histories one may be such that nobody
		// could accept it, and that is not the fault of who shows it.
		o, err := g.cfg.Ledger.OfferFork(ctx, in.channel, feed.Fork{A: envelopes[0], B: envelopes[1]})
		if err != nil {
			return pubsub.ValidationIgnore
		}
		if t.proof(o); t.rejected {
			return pubsub.ValidationReject
		}
		envelopes = envelopes[2:]
	}
	var late [][]byte // manifests that overtook their predecessors
	for _, e := range envelopes {
		o, err := g.cfg.Ledger.OfferGossip(ctx, e)
		if err != nil {
			return pubsub.ValidationIgnore
		}
		if waitable(o) {
			late = append(late, e)
			continue
		}
		if t.add(o); t.rejected {
			return pubsub.ValidationReject
		}
	}
	if len(late) > 0 {
		g.wait(ctx, &t, late)
	}
	return t.result()
}

// waitable reports whether the envelope could be accepted as soon as others
// before it have been.
func waitable(o feed.Outcome) bool {
	return o.Verdict == feed.Gap && !o.Relay() && o.Kind == feed.KindManifest
}

// wait offers manifests again whenever the Ledger has moved, until they fit or
// gapWait is over. Most gaps are gone after a moment; for the others, the peer
// that sent the message is asked for what is missing. The message is thereby
// relayed as soon as it is known to be good, and not lost to those behind us.
func (g *Gossip) wait(ctx context.Context, t *tally, late [][]byte) {
	in := t.in
	g.plan.want(t.src, in.target, gapGrace, false)
	in.mu.Lock()
	full := in.waiting >= maxWaiting
	if !full {
		in.waiting++
	}
	in.mu.Unlock()
	if full {
		t.unfit = true
		return
	}
	defer func() {
		in.mu.Lock()
		in.waiting--
		in.mu.Unlock()
	}()
	ctx, cancel := context.WithTimeout(ctx, gapWait)
	defer cancel()
	for len(late) > 0 {
		in.mu.Lock()
		progress := in.progress
		in.mu.Unlock()
		for len(late) > 0 {
			o, err := g.cfg.Ledger.OfferGossip(ctx, late[0])
			if err != nil {
				t.unfit = true
				return
			}
			if waitable(o) {
				break
			}
			late = late[1:]
			if t.add(o); t.rejected {
				return
			}
		}
		if len(late) == 0 {
			return
		}
		select {
		case <-progress:
		case <-ctx.Done():
			t.unfit = true
			return
		}
	}
}

// tally sums up what became of the envelopes of one message.
type tally struct {
	g   *Gossip
	in  *interest
	src peer.ID

	news     int
	known    int
	unfit    bool // there is something that did not fit what we know
	rejected bool
}

// note does what an outcome asks for, whatever becomes of the message.
func (t *tally) note(o feed.Outcome) {
	g := t.g
	if o.Changed {
		t.in.moved()
		g.learn(o.Root)
	}
	if o.Proof != nil {
		g.publishFork(o.Channel, *o.Proof, o.Err)
	}
	if (len(o.Want) > 0 || otherPast(o) || errors.Is(o.Err, feed.ErrPages)) && t.in.topic == "" {
		g.plan.want(t.src, t.in.target, gapGrace, false)
	}
}

// add sums up what became of one envelope.
func (t *tally) add(o feed.Outcome) {
	g := t.g
	switch t.note(o); {
	case o.Verdict == feed.Rejected:
		t.rejected = true
	case o.Verdict == feed.Forked && o.Proof != nil && (o.Kind == feed.KindManifest || o.Kind == feed.KindRoot):
		// Passed on is the proof, which everybody understands, and not this half
		// of it, which others may refuse.
		t.unfit = true
	case o.Relay():
		t.news++
		if o.Verdict == feed.Accepted {
			g.event(Event{Kind: EventHeard, Peer: t.src, Channel: o.Channel, Topic: t.in.topic, Accepted: 1})
			if o.Kind == feed.KindRoot {
				g.announce(t.in)
			}
		}
	case o.Verdict == feed.Duplicate && g.news.take(o.Hash):
		t.news++
	case o.Verdict == feed.Duplicate || o.Verdict == feed.Stale:
		t.known++
	default:
		t.unfit = true
	}
}

// proof sums up what became of a proof of a fork.
func (t *tally) proof(o feed.Outcome) {
	switch t.note(o); {
	case o.Verdict == feed.Rejected:
		t.rejected = true
	case o.Changed:
		t.news++
	case o.Verdict == feed.Duplicate:
		t.known++
	default:
		t.unfit = true
	}
}

func (t *tally) result() pubsub.ValidationResult {
	switch {
	case t.rejected:
		return pubsub.ValidationReject
	case t.news > 0 && !t.unfit && t.known <= maxContext:
		return pubsub.ValidationAccept
	}
	return pubsub.ValidationIgnore
}

func verdict(o feed.Outcome) pubsub.ValidationResult {
	if o.Verdict == feed.Rejected {
		return pubsub.ValidationReject
	}
	return pubsub.ValidationIgnore
}

// publishFork passes a proof on to everybody, also to those that know neither
// side of it yet.
func (g *Gossip) publishFork(id channel.ID, proof feed.Fork, why error) {
	g.event(Event{Kind: EventFork, Channel: id, Err: fmt.Errorf("fork proven: %w", why)})
	a, b := proof.A, proof.B
	if !isEnvelope(a) || !isEnvelope(b) {
		return // a page of a snapshot is part of it: sync tells
	}
	if string(b) < string(a) {
		a, b = b, a // the same proof gives the same message everywhere
	}
	g.background(id, a, b)
}

func isEnvelope(data []byte) bool {
	_, err := channel.DecodeEnvelope(data)
	return err == nil
}

// background publishes envelopes in one message in the channel's room, if the
// channel is followed, without waiting.
func (g *Gossip) background(id channel.ID, envelopes ...[]byte) {
	t := target{channel: id}
	if !g.running() || g.interest(t) == nil {
		return
	}
	g.start(func() {
		ctx, cancel := context.WithTimeout(g.ctx, dialLimit)
		defer cancel()
		if err := g.broadcast(ctx, t, envelopes); err != nil && ctx.Err() == nil {
			g.event(Event{Kind: EventFailed, Channel: id, Err: err})
		}
	})
}
