package gossip

import (
	"context"
	"fmt"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
)

// checkListing checks that envelopes list one channel on the topic: at most
// maxRoots roots from version 1 on, the last of them naming the topic, or with
// below one that is below it, and then heads. It returns the channel. The signatures of version 1 are verified, those of the others
// by the Ledger. Whatever it refuses, every honest node refuses, except for
// what wraps channel.ErrVersion.
func checkListing(topic string, envelopes [][]byte, below bool) (channel.ID, error) {
	var id channel.ID
	var last channel.Root
	heads := 0
	for i, e := range envelopes {
		it, err := feed.Parse(e)
		if err != nil {
			return id, err
		}
		switch {
		case it.Kind == feed.KindRoot && heads == 0:
			env, err := channel.DecodeEnvelope(e)
			if err != nil {
				return id, err
			}
			if i == maxRoots {
				return id, fmt.Errorf("listing with more than %d roots: %w", maxRoots, channel.ErrLimit)
			}
			if i == 0 {
				last, err = channel.VerifyRoot(env, nil)
				id = it.Channel
			} else if last, err = channel.OpenRoot(env); err == nil && last.Version != uint64(i+1) {
				err = fmt.Errorf("root versions out of order: %w", channel.ErrMalformed)
			}
			if err != nil {
				return id, err
			}
		case it.Kind == feed.KindHead && i > 0 && it.Channel == id:
			heads++
		default:
			return id, fmt.Errorf("listing is not roots and then heads of one channel: %w", channel.ErrMalformed)
		}
	}
	if id.IsZero() || !slices.Contains(last.Topics, topic) && !(below && onTopic(last.Topics, topic)) {
		return id, fmt.Errorf("channel %s does not name topic %s: %w", id.Short(), topic, channel.ErrMalformed)
	}
	return id, nil
}

// onTopic reports whether one of a root's topics is the topic, or below it.
func onTopic(topics []string, topic string) bool {
	return slices.ContainsFunc(topics, func(t string) bool { return channel.OnTopic(t, topic) })
}

// takeListing offers to the Ledger a checked listing that src sent, where there is
// room. The outcomes are in order. What came by gossip is bound by the rate of its
// signers.
func (g *Gossip) takeListing(ctx context.Context, topic string, src peer.ID, id channel.ID, envelopes [][]byte, gossiped bool) ([]feed.Outcome, error) {
	err := g.cfg.Ledger.List(ctx, id, topic, g.source(src))
	if err != nil {
		return nil, err
	}
	var outcomes []feed.Outcome
	if gossiped {
		for _, e := range envelopes {
			o, err := g.cfg.Ledger.OfferGossip(ctx, e)
			if err != nil {
				return nil, err
			}
			outcomes = append(outcomes, o)
		}
	} else if outcomes, err = g.cfg.Ledger.OfferAll(ctx, envelopes); err != nil {
		return nil, err
	}
	for _, o := range outcomes {
		if o.Verdict == feed.Accepted && o.Kind == feed.KindRoot && o.Seq == 1 {
			g.event(Event{Kind: EventListed, Channel: id, Topic: topic})
		}
	}
	return outcomes, nil
}

// judgeTopic decides about a message in a topic's room: one channel's roots
// and heads.
func (g *Gossip) judgeTopic(ctx context.Context, in *interest, src peer.ID, data []byte) pubsub.ValidationResult {
	envelopes, err := DecodeBundle(data)
	if err != nil {
		return pubsub.ValidationReject
	}
	id, err := checkListing(in.topic, envelopes, false)
	if err != nil {
		return verdict(feed.Refuse(err))
	}
	outcomes, err := g.takeListing(ctx, in.topic, src, id, envelopes, true)
	if err != nil {
		return pubsub.ValidationIgnore
	}
	t := tally{g: g, in: in, src: src}
	followed := g.interest(target{channel: id})
	for _, o := range outcomes {
		before := t.known
		if t.add(o); o.Kind == feed.KindRoot {
			t.known = before // roots are what makes a listing proof of itself
		}
		if followed != nil {
			if o.Changed {
				followed.moved()
			}
			if len(o.Want) > 0 {
				g.plan.want(src, followed.target, gapGrace, false)
			}
		}
	}
	return t.result()
}

// listing returns what this node says about a channel on a topic. It reports
// false where it has nothing to say that proves itself: it lacks the roots, or
// a listing holds too few of them to reach one that names the topic.
func listing(ctx context.Context, l Past, id channel.ID, topic string) (section, bool, error) {
	roots, err := l.Roots(ctx, id, 1, maxRoots+1, MaxAnswer)
	if err != nil || len(roots) == 0 {
		return section{}, false, err
	}
	more := len(roots) > maxRoots
	roots = roots[:min(len(roots), maxRoots)]
	env, err := channel.DecodeEnvelope(roots[len(roots)-1])
	if err != nil {
		return section{}, false, err
	}
	last, err := channel.OpenRoot(env)
	if err != nil {
		return section{}, false, err
	}
	s := section{Key: id.Discovery(), Items: roots}
	if more || !onTopic(last.Topics, topic) {
		return s, onTopic(last.Topics, topic), nil
	}
	heads, err := l.Heads(ctx, id)
	if err != nil {
		return section{}, false, err
	}
	s.Items = append(s.Items, heads[:min(len(heads), MaxItems-len(roots))]...)
	for s.size() > MaxAnswer && len(s.Items) > len(roots) {
		s.Items = s.Items[:len(s.Items)-1]
	}
	return s, true, nil
}
