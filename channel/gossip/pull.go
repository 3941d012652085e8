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
	known    bool // the root has forked, and that is known
	split    bool // it has a root that does not follow ours, so that what is signed under it cannot be judged
	heads    []feed.Outcome
	encoded  [][]byte // of heads
}

// excuses reports whether what was refused may be right in a history of the root
// that is not ours.
func (b *brought) excuses(o feed.Outcome) bool {
	return o.Verdict == feed.Rejected && b.split && (errors.Is(o.Err, channel.ErrNotAuthorized) || errors.Is(o.Err, channel.ErrExpired))
}

// maxPast is how many versions before a root that does not follow ours are asked
// for at once.
const maxPast = 64

// otherPast reports whether an outcome is that of a root whose predecessor is
// nothing that we have.
func otherPast(o feed.Outcome) bool {
	return o.Verdict == feed.Ignored && o.Kind == feed.KindRoot && o.Channel.IsZero()
}

// before is what to ask for where root version seq does not follow ours: somewhere
// before it the root keys have signed two, unless we know so.
func (b *brought) before(seq uint64) []feed.Range {
	b.split = true
	if b.known || seq <= 2 {
		return nil
	}
	return []feed.Range{{From: max(seq, maxPast+1) - maxPast, To: seq - 1}}
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
		if !asked || s.Root == 0 || s.Hash == nil {
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
	_, shelf := p.ledger.(Shelf)
	jump := false
	for asked := make(map[need]bool); ; {
		info, err := p.ledger.Channel(ctx, id)
		if err != nil {
			return b, err
		}
		b.known = info.RootFork
		if err := sameEpochs(info, s); err != nil {
			return b, err
		}
		needs := missing(info, s, shelf, jump, asked)
		progress := false
		for _, n := range needs {
			if !asked[n] {
				asked[n], progress = true, true
			}
		}
		if !progress && !jump {
			// The peer cannot give what follows ours: perhaps nobody has it any
			// more, since those who have the log joined it by a snapshot.
			jump = true
			continue
		}
		if !progress {
			break
		}
		if err := p.needs(ctx, id, needs, &b); err != nil {
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
	b.behind = b.behind || info.Behind || len(missing(info, s, shelf, false, nil)) > 0
	return b, nil
}

// need is something to ask for: a range of roots or manifests, a snapshot with
// the pages of a range, or those of a range that a snapshot lists.
type need struct {
	kind uint64
	feed.Range
	snapshot channel.Hash
}

// sameEpochs checks that a peer does not name another epoch for a manifest that we
// have too.
func sameEpochs(info catalog.Info, s section) error {
	for _, l := range s.Logs {
		for _, have := range info.Logs {
			if have.Log == l.Log && have.Seq == l.Seq && have.Hash == l.Hash && have.Epoch != l.Epoch {
				return lied("epoch %d of manifest %d, which is of epoch %d", l.Epoch, l.Seq, have.Epoch)
			}
		}
	}
	return nil
}

// missing returns what the peer has, by its own account, and we have not: the
// next part of everything. Where its log ends at the same number as ours but
// with another hash, the manifest is asked for as proof of a fork. Of a
// channel that is merely listed, manifests are not wanted, nor more roots than
// a listing holds. With shelf, a log of which we have nothing is begun with the
// peer's snapshot, if it has one, unless that was asked for; with jump also one of
// which we have a part.
func missing(info catalog.Info, s section, shelf, jump bool, asked map[need]bool) []need {
	var ranges []need
	version := uint64(0)
	if info.HasRoot {
		version = info.Root.Version
	}
	newest := s.Root
	if info.Reason == catalog.Listed {
		newest = min(newest, maxRoots)
	}
	if newest > version {
		ranges = append(ranges, need{kind: askRoots, Range: feed.Range{From: version + 1, To: min(newest, version+MaxRange)}})
	}
	if info.HasRoot && s.Root == version && s.Hash != nil && *s.Hash != info.RootHash && !info.RootFork {
		// That root proves a fork, and what is signed under it is judged after that.
		n := need{kind: askRoots, Range: feed.Range{From: version, To: version}}
		if !asked[n] {
			return append(ranges, n)
		}
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
		newer := shelf && !have.Frozen && !ended && l.Snapshot > have.Snapshot && l.Snapshot <= last
		if pages := channel.PagesFor(l.Snapshot); newer && l.Snapshot > have.Seq && (have.Seq == 0 || jump) && pages <= channel.MaxPages {
			n := need{kind: askSnapshot, Range: feed.Range{Log: l.Log, From: 1, To: pages}}
			if !asked[n] {
				ranges = append(ranges, n)
				continue // what is after it can be asked for when it is here
			}
		}
		if shelf && have.Owed > 0 {
			for from := have.OwedFrom; from <= have.OwedTo; from += MaxRange {
				ranges = append(ranges, need{kind: askLive, snapshot: have.SnapshotHash,
					Range: feed.Range{Log: l.Log, From: from, To: min(have.OwedTo, from+MaxRange-1)}})
			}
		}
		switch {
		case last > have.Seq:
			ranges = append(ranges, need{kind: askManifests, Range: feed.Range{Log: l.Log, From: have.Seq + 1, To: min(last, have.Seq+most)}})
		case !ended && !have.Frozen && l.Seq == have.Seq && l.Hash != have.Hash:
			ranges = append(ranges, need{kind: askManifests, Range: feed.Range{Log: l.Log, From: l.Seq, To: l.Seq}})
		}
		if newer && l.Snapshot <= have.Seq { // it says what does not count any more
			ranges = append(ranges, need{kind: askSnapshot, Range: feed.Range{Log: l.Log}})
		}
	}
	return ranges
}

// maxAhead is how many requests are under way at once.
const maxAhead = 8

func (p *puller) askNeed(id channel.ID, n need) error {
	r := request{Kind: n.kind, Keys: []channel.Hash{id.Discovery()}, From: n.From, To: n.To}
	if n.kind != askRoots {
		r.Log = &n.Log
	}
	if n.kind == askLive {
		r.Hash = &n.snapshot
	}
	return p.ask(r)
}

// maxSteps is how many times what an envelope wants is asked for: enough to walk
// back over all versions of a root that one request may name.
const maxSteps = 64

// needs asks for all of them, some ahead of the answers, and offers what comes to
// the Ledger.
func (p *puller) needs(ctx context.Context, id channel.ID, needs []need, b *brought) error {
	sent := 0
	var wants []feed.Range
	var late []*joining
	for i, n := range needs {
		for sent < min(len(needs), i+maxAhead) {
			if err := p.askNeed(id, needs[sent]); err != nil {
				return err
			}
			sent++
		}
		var more []feed.Range
		var err error
		switch n.kind {
		case askSnapshot:
			var j *joining
			if j, err = p.receiveSnapshot(ctx, id, n, b); j != nil {
				late = append(late, j)
			}
		case askLive:
			err = p.receiveLive(ctx, id, n, b)
		default:
			more, err = p.receive(ctx, id, n.Range, b)
		}
		if err != nil {
			return fmt.Errorf("reading %d to %d of %s: %w", n.From, n.To, n.Log, err)
		}
		wants = append(wants, more...)
	}
	for _, j := range late {
		if err := p.complete(ctx, id, j, b); err != nil {
			return fmt.Errorf("reading pages of the snapshot of %s: %w", j.snap.Log, err)
		}
	}
	// What the envelopes themselves say is missing: it is how the other side of a
	// fork is found. Of manifests once; of roots back to where they part.
	wants = wants[:min(len(wants), maxAhead)]
	for steps := 0; len(wants) > 0 && steps < maxSteps; steps++ {
		w := wants[0]
		wants = wants[1:]
		w.To = min(w.To, w.From+MaxRange-1)
		if w.From == 0 || w.To < w.From {
			continue
		}
		n := need{kind: askManifests, Range: w}
		if w.Log.IsZero() {
			n.kind = askRoots
		}
		if err := p.askNeed(id, n); err != nil {
			return err
		}
		more, err := p.receive(ctx, id, w, b)
		if err != nil {
			return fmt.Errorf("reading %d to %d of %s: %w", w.From, w.To, w.Log, err)
		}
		for _, m := range more {
			if m.Log.IsZero() && m.To < w.From {
				wants = append(wants, m)
			}
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
