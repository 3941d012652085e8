package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// puller is the asking end of the sync protocol on one stream. It keeps its
// peer to what was asked: whatever is more, elsewhere, out of order or refused
// by every honest node gives an error that wraps ErrMisbehaved.
type puller struct {
	ledger   Ledger
	claims   *claims
	c        conn
	in       *meter
	patience time.Duration
	notify   func(feed.Outcome) // for every outcome that is news
}

func newPuller(l Ledger, cl *claims, c conn, patience time.Duration, notify func(feed.Outcome)) *puller {
	return &puller{ledger: l, claims: cl, c: c, in: &meter{c: c, budget: patience}, patience: patience, notify: notify}
}

// brought is what one channel's comparison gave.
type brought struct {
	accepted int
	behind   bool // the peer, or a head it quoted, has more than we got
	heads    []feed.Outcome
	encoded  [][]byte // of heads
}

func lied(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrMisbehaved, fmt.Errorf(format, args...))
}

func (p *puller) ask(r request) error { return writeFrame(p.c, r, maxRequest, p.patience) }

// next reads one frame of an answer.
func (p *puller) next() (answer, error) {
	data, err := readFrame(p.in, maxFrame)
	if err != nil {
		if errors.Is(err, channel.ErrLimit) {
			return answer{}, lied("%w", err)
		}
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return answer{}, err
	}
	a, err := decodeAnswer(data)
	if err != nil {
		return answer{}, lied("%w", err)
	}
	return a, nil
}

// sections reads a whole answer of at most most sections, each channel once,
// and gives each to use as it comes.
func (p *puller) sections(most int, use func(section) error) error {
	seen := make(map[channel.Hash]bool)
	for {
		a, err := p.next()
		if err != nil {
			return err
		}
		if a.More && len(a.Sections) == 0 {
			return lied("answer that says nothing and wants to go on")
		}
		for _, s := range a.Sections {
			if len(seen) == most || seen[s.Key] {
				return lied("answer with more sections than were asked for")
			}
			seen[s.Key] = true
			if err := use(s); err != nil {
				return err
			}
		}
		if !a.More {
			return nil
		}
	}
}

// heads asks how far the peer is with the channels.
func (p *puller) heads(ids []channel.ID) (map[channel.ID]section, error) {
	r := request{Kind: askHeads}
	byKey := make(map[channel.Hash]channel.ID, len(ids))
	for _, id := range ids {
		key := id.Discovery()
		byKey[key] = id
		r.Keys = append(r.Keys, key)
	}
	if err := p.ask(r); err != nil {
		return nil, err
	}
	known := make(map[channel.ID]section)
	err := p.sections(len(ids), func(s section) error {
		id, asked := byKey[s.Key]
		if !asked || s.Root == 0 {
			return lied("answer about a channel that was not asked for, or without a root")
		}
		known[id] = s
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("asking for heads: %w", err)
	}
	return known, nil
}

// knock tells the peer that we have more of some channels than it, so that it
// asks us in turn: after a session, neither end lacks what the other has.
func (p *puller) knock(more map[channel.ID]bool) error {
	if len(more) == 0 {
		return nil
	}
	r := request{Kind: knock}
	for id := range more {
		r.Keys = append(r.Keys, id.Discovery())
	}
	if err := p.ask(r); err != nil {
		return err
	}
	if err := p.sections(0, nil); err != nil {
		return fmt.Errorf("knocking: %w", err)
	}
	return nil
}

// channel brings us to where the peer is with one channel, as far as it can.
func (p *puller) channel(ctx context.Context, id channel.ID, s section) (brought, error) {
	release := p.claims.take(ctx, id)
	defer release()
	var b brought
	for asked := make(map[feed.Range]bool); ; {
		info, err := p.ledger.Channel(ctx, id)
		if err != nil {
			return b, err
		}
		ranges := missing(info, s)
		progress := false
		for _, r := range ranges {
			if !asked[r] {
				asked[r], progress = true, true
			}
		}
		if !progress {
			break
		}
		if err := p.ranges(ctx, id, ranges, &b); err != nil {
			return b, err
		}
	}
	if err := p.offerForks(ctx, id, s.Forks, &b); err != nil {
		return b, err
	}
	if err := p.offerHeads(ctx, id, s.Items, &b); err != nil {
		return b, err
	}
	info, err := p.ledger.Channel(ctx, id)
	if err != nil {
		return b, err
	}
	b.behind = b.behind || info.Behind || len(missing(info, s)) > 0
	return b, nil
}

// missing returns what the peer has, by its own account, and we have not: the
// next part of everything. Where its log ends at the same number as ours but
// with another hash, the manifest is asked for as proof of a fork. Of a
// channel that is merely listed, manifests are not wanted, nor more roots than
// a listing holds.
func missing(info catalog.Info, s section) []feed.Range {
	var ranges []feed.Range
	version := uint64(0)
	if info.HasRoot {
		version = info.Root.Version
	}
	newest := s.Root
	if info.Reason == catalog.Listed {
		newest = min(newest, maxRoots)
	}
	if newest > version {
		ranges = append(ranges, feed.Range{From: version + 1, To: min(newest, version+MaxRange)})
	}
	if info.Reason == catalog.Listed {
		return ranges
	}
	ours := make(map[channel.PublicKey]catalog.LogInfo, len(info.Logs))
	for _, l := range info.Logs {
		ours[l.Log] = l
	}
	for _, l := range s.Logs {
		have, last, most := ours[l.Log], l.Seq, uint64(MaxRange)
		if have.Frozen {
			most = MaxItems // a fork was proven; what is before it can still be had
		}
		revoked, ended := info.Root.RevokedKey(l.Log)
		if ended {
			last = min(last, revoked.Seq)
		}
		switch {
		case last > have.Seq:
			ranges = append(ranges, feed.Range{Log: l.Log, From: have.Seq + 1, To: min(last, have.Seq+most)})
		case !ended && !have.Frozen && l.Seq == have.Seq && l.Hash != have.Hash:
			ranges = append(ranges, feed.Range{Log: l.Log, From: l.Seq, To: l.Seq})
		}
	}
	return ranges
}

// maxAhead is how many requests are under way at once.
const maxAhead = 8

// ranges asks for ranges, some ahead of the answers, and offers what comes to
// the Ledger.
func (p *puller) ranges(ctx context.Context, id channel.ID, ranges []feed.Range, b *brought) error {
	key := id.Discovery()
	ask := func(r feed.Range) error {
		req := request{Kind: askRoots, Keys: []channel.Hash{key}, From: r.From, To: r.To}
		if r.Log != (channel.PublicKey{}) {
			req.Kind, req.Log = askManifests, &r.Log
		}
		return p.ask(req)
	}
	sent := 0
	var wants []feed.Range
	for i, r := range ranges {
		for sent < min(len(ranges), i+maxAhead) {
			if err := ask(ranges[sent]); err != nil {
				return err
			}
			sent++
		}
		more, err := p.receive(ctx, id, r, b)
		if err != nil {
			return fmt.Errorf("reading %d to %d of %s: %w", r.From, r.To, r.Log, err)
		}
		wants = append(wants, more...)
	}
	// What the envelopes themselves say is missing, once: it is how the other
	// side of a fork is found.
	for _, w := range wants[:min(len(wants), maxAhead)] {
		w.To = min(w.To, w.From+MaxRange-1)
		if w.From == 0 || w.To < w.From {
			continue
		}
		if err := ask(w); err != nil {
			return err
		}
		if _, err := p.receive(ctx, id, w, b); err != nil {
			return fmt.Errorf("reading %d to %d of %s: %w", w.From, w.To, w.Log, err)
		}
	}
	return nil
}

// listing asks which channels are listed on a topic. take is called for each,
// with roots and heads that nobody has checked.
func (p *puller) listing(topic string, take func(section) error) error {
	if err := p.ask(request{Kind: askListing, Keys: []channel.Hash{channel.TopicKey(topic)}}); err != nil {
		return err
	}
	if err := p.sections(MaxListed, take); err != nil {
		return fmt.Errorf("asking for topic %s: %w", topic, err)
	}
	return nil
}
