package gossip

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// receive reads the answer to a range and offers it, frame by frame, until
// something does not fit; the rest is read and dropped. It returns what the
// first that did not fit would want.
func (p *puller) receive(ctx context.Context, id channel.ID, r feed.Range, b *brought) ([]feed.Range, error) {
	key := id.Discovery()
	next, stopped := r.From, false
	var want []feed.Range
	for {
		a, err := p.next()
		if err != nil {
			return nil, err
		}
		if len(a.Sections) > 1 || len(a.Sections) == 1 && a.Sections[0].Key != key {
			return nil, lied("answer about another channel")
		}
		var items [][]byte
		if len(a.Sections) == 1 {
			items = a.Sections[0].Items
		}
		if uint64(len(items)) > r.To-next+1 {
			return nil, lied("more envelopes than were asked for")
		}
		if a.More && (len(items) == 0 || next+uint64(len(items)) > r.To) {
			return nil, lied("answer that does not end")
		}
		if !stopped && len(items) > 0 {
			if want, stopped, err = p.offer(ctx, id, r.Log, next, items, b); err != nil {
				return nil, err
			}
		}
		next += uint64(len(items))
		if !a.More {
			return want, nil
		}
	}
}

// offer gives the Ledger what must be the roots or manifests from number next
// on. It reports whether one of them did not fit, and what that one wants.
func (p *puller) offer(ctx context.Context, id channel.ID, log channel.PublicKey, next uint64, items [][]byte, b *brought) ([]feed.Range, bool, error) {
	kind := feed.KindRoot
	if log != (channel.PublicKey{}) {
		kind = feed.KindManifest
	}
	outcomes, err := p.ledger.OfferAll(ctx, items)
	if err != nil {
		return nil, false, fmt.Errorf("offering to the ledger: %w", err)
	}
	for _, o := range outcomes { // all, since all are in the Ledger now
		p.took(o, b)
	}
	for i, o := range outcomes {
		seq := next + uint64(i)
		switch {
		case b.excuses(o):
			b.behind = true
			return nil, true, nil
		case o.Verdict == feed.Rejected:
			return nil, false, lied("%s %d: %w", kind, seq, o.Err)
		case !o.Channel.IsZero() && o.Channel != id:
			return nil, false, lied("envelope of channel %s where channel %s was asked for", o.Channel.Short(), id.Short())
		case o.Kind == feed.KindNone, o.Verdict == feed.Ignored && o.Seq == 0:
			// Of a later version of aml, or of what we have just stopped to
			// follow, or a root that does not continue ours.
			b.behind = true
			if kind == feed.KindRoot && otherPast(o) {
				return b.before(seq), true, nil
			}
			return nil, true, nil
		case o.Kind != kind || o.Channel != id || o.Log != log || o.Seq != seq:
			return nil, false, lied("%s %d of log %s where %s %d of log %s was asked for", o.Kind, o.Seq, o.Log, kind, seq, log)
		case o.Verdict == feed.Gap, o.Verdict == feed.Forked, o.Verdict == feed.Ignored:
			if kind == feed.KindRoot {
				b.split = true
			}
			return o.Want, true, nil
		}
	}
	return nil, false, nil
}

// offerForks offers proofs that keys of the channel have signed two histories.
func (p *puller) offerForks(ctx context.Context, id channel.ID, forks []fork, b *brought) error {
	for _, f := range forks {
		o, err := p.ledger.OfferFork(ctx, id, feed.Fork{A: f.A, B: f.B})
		if err != nil {
			return fmt.Errorf("offering to the ledger: %w", err)
		}
		if o.Verdict == feed.Rejected {
			return lied("proof of a fork: %w", o.Err)
		}
		p.took(o, b)
	}
	return nil
}

// offerHeads offers the heads of a channel.
func (p *puller) offerHeads(ctx context.Context, id channel.ID, items [][]byte, b *brought) error {
	if len(items) == 0 {
		return nil
	}
	outcomes, err := p.ledger.OfferAll(ctx, items)
	if err != nil {
		return fmt.Errorf("offering to the ledger: %w", err)
	}
	for i, o := range outcomes {
		switch {
		case b.excuses(o):
			b.behind = true
			return nil
		case o.Verdict == feed.Rejected:
			return lied("head: %w", o.Err)
		case o.Kind == feed.KindNone:
			b.behind = true
		case o.Kind != feed.KindHead || o.Channel != id:
			return lied("%s of channel %s where a head of %s was asked for", o.Kind, o.Channel.Short(), id.Short())
		}
		b.heads, b.encoded = append(b.heads, o), append(b.encoded, items[i])
		p.took(o, b)
	}
	return nil
}

func (p *puller) took(o feed.Outcome, b *brought) {
	if o.Verdict == feed.Accepted {
		b.accepted++
	}
	if o.Changed || o.Proof != nil {
		p.notify(o)
	}
}
