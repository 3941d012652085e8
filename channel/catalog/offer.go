package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Offer takes in one encoded envelope from anywhere. The outcome says what
// became of it; the error is for the catalogue's own trouble (disk, context),
// with which nothing was decided. When Offer returns, what was accepted is on
// disk. A channel that nobody expects gives Ignored with ErrUnknown, a manifest
// of one that is merely listed, or a ninth root, Ignored with ErrNotFollowed. The envelope is not
// kept.
func (c *Catalog) Offer(ctx context.Context, envelope []byte) (feed.Outcome, error) {
	return c.offer1(ctx, envelope, false)
}

// OfferGossip is Offer for what came unasked: the rate of its key applies, and
// nothing is taken under a root that has expired.
func (c *Catalog) OfferGossip(ctx context.Context, envelope []byte) (feed.Outcome, error) {
	return c.offer1(ctx, envelope, true)
}

func (c *Catalog) offer1(ctx context.Context, envelope []byte, gossip bool) (feed.Outcome, error) {
	out, err := c.offer(ctx, [][]byte{envelope}, gossip)
	if err != nil {
		return feed.Outcome{}, err
	}
	return out[0], nil
}

// OfferAll is Offer for many envelopes in one transaction: use it for batches
// of a few hundred, as they come from a sync. Outcomes stand in the order of
// the envelopes.
func (c *Catalog) OfferAll(ctx context.Context, envelopes [][]byte) ([]feed.Outcome, error) {
	return c.offer(ctx, envelopes, false)
}

func (c *Catalog) offer(ctx context.Context, envelopes [][]byte, gossip bool) ([]feed.Outcome, error) {
	out := make([]feed.Outcome, len(envelopes))
	items, errs := parseAll(envelopes)
	parsed := 0
	for i, err := range errs {
		if err != nil {
			out[i] = feed.Refuse(err)
			continue
		}
		parsed++
	}
	if parsed == 0 {
		return out, nil
	}
	err := c.update(ctx, "offering to the catalogue", func(t *tx) error {
		for i, it := range items {
			if it == nil {
				continue
			}
			if err := ctx.Err(); err != nil {
				return err
			}
			var err error
			if out[i], err = t.offer(it, gossip); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// parseAll decodes envelopes and verifies their signatures, on all processors: it
// is half of the work of a sync, and needs no turn.
func parseAll(envelopes [][]byte) ([]*feed.Item, []error) {
	items, errs := make([]*feed.Item, len(envelopes)), make([]error, len(envelopes))
	var next atomic.Int64
	work := func() {
		for i := int(next.Add(1)) - 1; i < len(envelopes); i = int(next.Add(1)) - 1 {
			if items[i], errs[i] = feed.Parse(envelopes[i]); errs[i] == nil {
				_ = items[i].Verify() // the machine decides what that means
			}
		}
	}
	var workers sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(envelopes)/8) {
		workers.Go(work)
	}
	work()
	workers.Wait()
	return items, errs
}

// offer finds the item's channel, steps its machine, and stores what follows.
func (t *tx) offer(it *feed.Item, gossip bool) (feed.Outcome, error) {
	k, err := t.route(it)
	if errors.Is(err, ErrUnknown) {
		return feed.Outcome{Verdict: feed.Ignored, Kind: it.Kind, Channel: it.Channel, Hash: it.Hash, Err: err}, nil
	}
	if err != nil {
		return feed.Outcome{}, err
	}
	if k.reason == Listed && (it.Kind == feed.KindManifest || it.Kind == feed.KindSnapshot || rootBeyondListing(k, it)) {
		return feed.Outcome{Verdict: feed.Ignored, Kind: it.Kind, Channel: k.id, Hash: it.Hash, Err: ErrNotFollowed}, nil
	}
	o := k.machine.Step(feed.Input{Now: t.c.cfg.Now(), Item: it, Gossip: gossip}, past{t, k})
	if errors.Is(o.Err, feed.ErrHistory) {
		return feed.Outcome{}, o.Err
	}
	return o, t.save(k, it, o)
}

// rootBeyondListing reports whether it would be one more version of the root
// than is kept of a listed channel.
func rootBeyondListing(k *known, it *feed.Item) bool {
	if it.Kind != feed.KindRoot {
		return false
	}
	state := k.machine.State()
	return state.Root != nil && state.Root.Version >= MaxListedRoots && it.Prev == state.RootHash
}

// route finds the channel that an item belongs to. A root after the first does
// not name it; it belongs where the root before it does.
func (t *tx) route(it *feed.Item) (*known, error) {
	if !it.Channel.IsZero() {
		return t.known(it.Channel)
	}
	var id channel.ID
	err := t.get([]any{(*bytes32)(&id)}, "SELECT id FROM channels c JOIN roots r ON r.channel = c.no WHERE r.hash = ?", it.Prev[:])
	if errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("root whose predecessor is %s: %w", it.Prev, ErrUnknown)
	}
	if err != nil {
		return nil, err
	}
	return t.known(id)
}

// OfferFork takes in a proof of a fork. Accepted proofs freeze the log: the
// verdict is then Forked, with the proof to be passed on.
func (c *Catalog) OfferFork(ctx context.Context, id channel.ID, proof feed.Fork) (feed.Outcome, error) {
	var o feed.Outcome
	err := c.update(ctx, "offering a proof of a fork", func(t *tx) error {
		k, err := t.known(id)
		if errors.Is(err, ErrUnknown) {
			o = feed.Outcome{Verdict: feed.Ignored, Channel: id, Err: err}
			return nil
		}
		if err != nil {
			return err
		}
		o = k.machine.Evidence(t.c.cfg.Now(), proof, past{t, k})
		if errors.Is(o.Err, feed.ErrHistory) {
			return o.Err
		}
		return t.save(k, nil, o)
	})
	return o, err
}

// Append takes in one's own envelopes, in order and in one transaction: all of
// them are accepted, or known already, or nothing changes and the error says
// which was not. After it returns nil they may be announced. A first root
// makes its channel, as one's own.
func (c *Catalog) Append(ctx context.Context, envelopes ...[]byte) error {
	return c.update(ctx, "appending to own channel", func(t *tx) error {
		return t.append(envelopes, nil)
	})
}

// Addition is what is recorded beside the envelopes of a release of one's own.
type Addition struct {
	Channel channel.ID
	Body    *channel.Body       // of a manifest whose body lies in a blob
	Private *Private            // of a sealed manifest, instead of Body
	Unpin   []channel.FileEntry // what it removes or replaces: see Unpins
}

// AppendRelease is Append for envelopes of which one is a manifest. All that it adds is
// stored in the same transaction: no release is without its body, no epoch begins
// whose key is lost, and nothing stays pinned that was taken back.
func (c *Catalog) AppendRelease(ctx context.Context, a Addition, envelopes ...[]byte) error {
	return c.update(ctx, "appending to own channel", func(t *tx) error {
		err := t.append(envelopes, a.Body)
		if err == nil && a.Private != nil {
			err = t.addPrivate(*a.Private, envelopes)
		}
		if err != nil {
			return err
		}
		return t.unpin(a.Channel, a.Unpin)
	})
}

// Found makes a channel of one's own: it does what Append does, and records
// where the keys lie, in one transaction, so that no channel is left behind of
// which nobody knows whose it is.
func (c *Catalog) Found(ctx context.Context, own Own, envelopes ...[]byte) error {
	return c.update(ctx, "founding a channel", func(t *tx) error {
		if err := t.append(envelopes, nil); err != nil {
			return err
		}
		return t.addOwn(own)
	})
}

func (t *tx) append(envelopes [][]byte, body *channel.Body) error {
	for i, data := range envelopes {
		it, err := feed.Parse(data)
		if err != nil {
			return fmt.Errorf("envelope %d of %d: %w", i+1, len(envelopes), err)
		}
		if it.Kind == feed.KindRoot && !it.Channel.IsZero() {
			if err := t.expect(it.Channel, Owned); err != nil {
				return err
			}
		}
		k, err := t.route(it)
		if err != nil {
			return err
		}
		o, err := t.offer(it, false)
		if err != nil {
			return err
		}
		if o.Verdict != feed.Accepted && o.Verdict != feed.Duplicate {
			return fmt.Errorf("%s %d is %s: %w", o.Kind, o.Seq, o.Verdict, o.Err)
		}
		if body != nil && o.Manifest != nil && o.Manifest.BodyRef != nil {
			if err := t.putBody(k, o.Hash, *body); err != nil {
				return err
			}
		}
	}
	return nil
}
