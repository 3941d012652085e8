package gossip

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Shelf is a second interface of a Ledger, of one that keeps snapshots of logs;
// *catalog.Catalog is one. A Ledger without it neither asks for snapshots nor
// serves them. All bytes are encoded; limits are those of Past.
type Shelf interface {
	OfferSnapshot(ctx context.Context, envelope, anchor []byte, pages [][]byte) (feed.Outcome, error)
	Snapshot(ctx context.Context, id channel.ID, log channel.PublicKey) (catalog.Snapshot, error)
	Pages(ctx context.Context, id channel.ID, log channel.PublicKey, snapshot channel.Hash, first, last, maxItems, maxBytes int) (pages [][]byte, next int, err error)
	LiveManifests(ctx context.Context, id channel.ID, log channel.PublicKey, snapshot channel.Hash, from, to uint64, maxItems, maxBytes int) ([][]byte, error)
}

// snapshot answers with the newest snapshot of a log, the manifest that it ends
// with, and the pages that were asked for.
func (s *server) snapshot(ctx context.Context, c conn, r request) error {
	shelf, ok := s.ledger.(Shelf)
	info, err := s.lookup(ctx, r.Keys[0])
	var snap catalog.Snapshot
	if err == nil && ok {
		snap, err = shelf.Snapshot(ctx, info.ID, *r.Log)
	}
	if errors.Is(err, fs.ErrNotExist) || !ok {
		return s.write(c, answer{})
	}
	if err != nil {
		return err
	}
	items := [][]byte{snap.Envelope, snap.Anchor}
	size := len(snap.Envelope) + len(snap.Anchor)
	first, last := int(r.From)-1, min(int(r.To), len(snap.Snapshot.Pages))-1
	for {
		if first <= last && r.From > 0 {
			pages, next, err := shelf.Pages(ctx, info.ID, *r.Log, snap.Payload, first, last, MaxItems-len(items), MaxAnswer-size)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			items, first = append(items, pages...), next
			if err != nil || len(pages) == 0 {
				first = last + 1 // a newer one has taken its place
			}
		}
		a := answer{More: len(items) > 0 && r.From > 0 && first <= last}
		if len(items) > 0 {
			a.Sections = []section{{Key: r.Keys[0], Items: items}}
		}
		if err := s.write(c, a); err != nil || !a.More {
			return err
		}
		items, size = nil, 0
	}
}

// live answers a request for the manifests that a snapshot lists, as far as they
// are here.
func (s *server) live(ctx context.Context, c conn, r request) error {
	shelf, ok := s.ledger.(Shelf)
	info, err := s.lookup(ctx, r.Keys[0])
	ok = ok && err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for next := r.From; ; {
		var items [][]byte
		if ok {
			items, err = shelf.LiveManifests(ctx, info.ID, *r.Log, *r.Hash, next, r.To, MaxItems, MaxAnswer)
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		a := answer{}
		if len(items) > 0 {
			last, err := seqOf(items[len(items)-1])
			if err != nil {
				return err
			}
			next = last + 1
			a = answer{Sections: []section{{Key: r.Keys[0], Items: items}}, More: next <= r.To}
		}
		if err := s.write(c, a); err != nil || !a.More {
			return err
		}
	}
}

// seqOf is the number of an encoded manifest.
func seqOf(envelope []byte) (uint64, error) {
	env, err := channel.DecodeEnvelope(envelope)
	if err != nil {
		return 0, err
	}
	m, err := channel.OpenManifest(env)
	return m.Seq, err
}

// joining is a snapshot on its way: what has come of it, all of it checked.
type joining struct {
	item   *feed.Item
	snap   channel.Snapshot
	all    []byte // the envelope
	anchor []byte
	pages  [][]byte          // by place
	have   []channel.PageRef // of the snapshot that is here: what is the same need not come
}

// missing is the first page from a place on that has not come, and the one after
// the last of those that follow it and have not either.
func (j *joining) missing(from int) (first, end int) {
	lacks := func(i int) bool {
		ref := j.snap.Pages[i]
		return ref.Count > 0 && j.pages[i] == nil && (i >= len(j.have) || j.have[i] != ref)
	}
	first = from
	for first < len(j.snap.Pages) && !lacks(first) {
		first++
	}
	end = first
	for end < len(j.snap.Pages) && lacks(end) {
		end++
	}
	return first, end
}

// receiveSnapshot reads the answer to a request for a snapshot, and offers it to
// the Ledger. If pages are missing, it is returned: they can be asked for when all
// that was asked before is answered.
func (p *puller) receiveSnapshot(ctx context.Context, id channel.ID, n need, b *brought) (*joining, error) {
	j, err := p.readSnapshot(id, n, nil)
	if err != nil || j == nil {
		b.behind = b.behind || j == nil
		return nil, err
	}
	if old, err := p.ledger.(Shelf).Snapshot(ctx, id, n.Log); err == nil {
		j.have = old.Snapshot.Pages
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the ledger: %w", err)
	}
	if first, end := j.missing(0); first < end {
		return j, nil
	}
	return nil, p.offerSnapshot(ctx, j, b)
}

// complete asks for the pages of a snapshot that are missing, and offers it.
func (p *puller) complete(ctx context.Context, id channel.ID, j *joining, b *brought) error {
	for first, end := j.missing(0); first < end; first, end = j.missing(end) {
		n := need{kind: askSnapshot, Range: feed.Range{Log: j.snap.Log, From: uint64(first + 1), To: uint64(end)}}
		if err := p.askNeed(id, n); err != nil {
			return err
		}
		again, err := p.readSnapshot(id, n, j)
		if err != nil {
			return err
		}
		if still, _ := j.missing(first); again == nil || still < end { // it has another by now, or less than it says
			b.behind = true
			return nil
		}
	}
	return p.offerSnapshot(ctx, j, b)
}

func (p *puller) offerSnapshot(ctx context.Context, j *joining, b *brought) error {
	o, err := p.ledger.(Shelf).OfferSnapshot(ctx, j.all, j.anchor, j.pages)
	if err != nil {
		return fmt.Errorf("offering to the ledger: %w", err)
	}
	if b.excuses(o) {
		b.behind = true
		return nil
	}
	if o.Verdict == feed.Rejected {
		return lied("snapshot of %d: %w", o.Seq, o.Err)
	}
	p.took(o, b)
	return nil
}

// readSnapshot reads one answer to a request for a snapshot. What comes is checked
// before it is kept: the log's key has signed the snapshot, and each page is one
// that it names. It returns nil where the peer has none, or where it has another
// than so far.
func (p *puller) readSnapshot(id channel.ID, n need, so *joining) (*joining, error) {
	key := id.Discovery()
	j := so
	other := false
	place, seen := int(n.From)-1, 0
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
		if a.More && len(items) == 0 {
			return nil, lied("answer that says nothing and wants to go on")
		}
		for _, item := range items {
			switch seen++; seen {
			case 1:
				fresh, err := checkSnapshot(id, n.Log, item)
				if err != nil {
					return nil, err
				}
				other = so != nil && so.item.Hash != fresh.item.Hash
				if j == nil || other {
					j = fresh
				}
			case 2:
				if err := checkAnchor(id, n.Log, j, item); err != nil {
					return nil, err
				}
				j.anchor = item
			default:
				for place < len(j.snap.Pages) && place >= 0 && j.snap.Pages[place].Count == 0 {
					place++
				}
				if n.From == 0 || place >= min(int(n.To), len(j.snap.Pages)) {
					return nil, lied("more pages than were asked for")
				}
				if _, err := j.snap.Page(place, item); err != nil {
					return nil, lied("page of a snapshot: %w", err)
				}
				j.pages[place] = item
				place++
			}
		}
		if !a.More {
			break
		}
	}
	if seen == 1 {
		return nil, lied("snapshot without the manifest that it ends with")
	}
	if seen == 0 || other {
		return nil, nil
	}
	return j, nil
}

// checkSnapshot checks what can be known of a snapshot without the channel's root.
func checkSnapshot(id channel.ID, log channel.PublicKey, data []byte) (*joining, error) {
	it, err := feed.Parse(data)
	if err != nil {
		if errors.Is(err, channel.ErrVersion) {
			return nil, err
		}
		return nil, lied("snapshot: %w", err)
	}
	env, err := channel.DecodeEnvelope(data)
	if err != nil {
		return nil, lied("snapshot: %w", err)
	}
	snap, err := channel.OpenSnapshot(env)
	if err != nil {
		return nil, lied("snapshot: %w", err)
	}
	if snap.Channel != id || snap.Log != log {
		return nil, lied("snapshot of log %s of channel %s where log %s of channel %s was asked for", snap.Log, snap.Channel.Short(), log, id.Short())
	}
	if signers := env.Signers(); signers[0] != log {
		return nil, lied("snapshot: %w", channel.ErrNotAuthorized)
	}
	if err := env.Verify(); err != nil {
		return nil, lied("snapshot: %w", err)
	}
	return &joining{item: it, snap: snap, all: data, pages: make([][]byte, len(snap.Pages))}, nil
}

// checkAnchor checks that an item is the manifest that the snapshot ends with.
func checkAnchor(id channel.ID, log channel.PublicKey, j *joining, data []byte) error {
	it, err := feed.Parse(data)
	if err != nil {
		if errors.Is(err, channel.ErrVersion) {
			return err
		}
		return lied("manifest of a snapshot: %w", err)
	}
	if it.Kind != feed.KindManifest || it.Channel != id || it.Hash != j.snap.Hash {
		return lied("%s where manifest %d of log %s was asked for", it.Kind, j.snap.Seq, log)
	}
	return nil
}

// receiveLive reads the answer to a request for live manifests and offers them.
func (p *puller) receiveLive(ctx context.Context, id channel.ID, n need, b *brought) error {
	key := id.Discovery()
	after := n.From - 1
	for {
		a, err := p.next()
		if err != nil {
			return err
		}
		if len(a.Sections) > 1 || len(a.Sections) == 1 && a.Sections[0].Key != key {
			return lied("answer about another channel")
		}
		var items [][]byte
		if len(a.Sections) == 1 {
			items = a.Sections[0].Items
		}
		if a.More && len(items) == 0 {
			return lied("answer that says nothing and wants to go on")
		}
		outcomes, err := p.ledger.OfferAll(ctx, items)
		if err != nil {
			return fmt.Errorf("offering to the ledger: %w", err)
		}
		for _, o := range outcomes { // all, since all are in the Ledger now
			p.took(o, b)
		}
		for _, o := range outcomes {
			switch {
			case b.excuses(o):
				b.behind = true
				return nil
			case o.Verdict == feed.Rejected:
				return lied("manifest %d: %w", o.Seq, o.Err)
			case !o.Channel.IsZero() && o.Channel != id:
				return lied("envelope of channel %s where channel %s was asked for", o.Channel.Short(), id.Short())
			case o.Kind == feed.KindNone, o.Verdict == feed.Ignored && o.Seq == 0:
				b.behind = true // of a later version, or of what we have just stopped to follow
			case o.Kind != feed.KindManifest || o.Channel != id || o.Log != n.Log || o.Seq <= after || o.Seq > n.To:
				return lied("%s %d of log %s where manifests %d to %d of log %s were asked for", o.Kind, o.Seq, o.Log, after+1, n.To, n.Log)
			default:
				after = o.Seq
			}
		}
		if !a.More {
			return nil
		}
		if after >= n.To {
			return lied("answer that does not end")
		}
	}
}
