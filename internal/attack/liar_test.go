package attack

import (
	"context"
	"sync/atomic"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// lies is a ledger that tells others what it likes: a node over it speaks every
// protocol to the letter, and lies. Where a field is nil it tells the truth.
type lies struct {
	gossip.Ledger

	info      func(catalog.Info) catalog.Info
	roots     func([][]byte) [][]byte
	manifests func(from uint64, all [][]byte) [][]byte
	heads     func([][]byte) [][]byte
	forks     func([]feed.Fork) []feed.Fork

	offered atomic.Int64 // envelopes that came by gossip and were looked at
}

// newLiar starts a node that has what from has of the channel, answers for it, and
// lies.
func newLiar(w *world, ch *channeltest.Channel, from *party, l *lies) *party {
	w.Helper()
	liar := newParty(w, "liar", func(_ *party, _ *catalog.Config, c *gossip.Config) { c.Ledger = l })
	liar.copy(ch, from)
	return liar
}

// copy takes over all that another party has of a channel, without a word over
// the network.
func (p *party) copy(ch *channeltest.Channel, from *party) {
	p.w.Helper()
	ctx := p.w.Context()
	p.w.must(p.ledger.Expect(ctx, ch.ID, catalog.Followed))
	all, err := from.ledger.Roots(ctx, ch.ID, 1, 1000, 1<<20)
	p.w.must(err)
	for _, l := range from.info(ch).Logs {
		manifests, err := from.ledger.Manifests(ctx, ch.ID, l.Log, 1, 1000, 1000, 1<<20)
		p.w.must(err)
		all = append(all, manifests...)
	}
	heads, err := from.ledger.Heads(ctx, ch.ID)
	p.w.must(err)
	_, err = p.ledger.OfferAll(ctx, append(all, heads...))
	p.w.must(err)
}

func (l *lies) OfferGossip(ctx context.Context, envelope []byte) (feed.Outcome, error) {
	l.offered.Add(1)
	return l.Ledger.OfferGossip(ctx, envelope)
}

// over puts the lies over a catalogue.
func (l *lies) over(c *catalog.Catalog) { l.Ledger = c }

func changed[T any](f func(T) T, v T, err error) (T, error) {
	if f == nil || err != nil {
		return v, err
	}
	return f(v), nil
}

func (l *lies) Channel(ctx context.Context, id channel.ID) (catalog.Info, error) {
	v, err := l.Ledger.Channel(ctx, id)
	return changed(l.info, v, err)
}

func (l *lies) Roots(ctx context.Context, id channel.ID, from uint64, maxItems, maxBytes int) ([][]byte, error) {
	v, err := l.Ledger.Roots(ctx, id, from, maxItems, maxBytes)
	return changed(l.roots, v, err)
}

func (l *lies) Manifests(ctx context.Context, id channel.ID, log channel.PublicKey, from, to uint64, maxItems, maxBytes int) ([][]byte, error) {
	v, err := l.Ledger.Manifests(ctx, id, log, from, to, maxItems, maxBytes)
	if l.manifests == nil || err != nil {
		return v, err
	}
	return l.manifests(from, v), nil
}

func (l *lies) Heads(ctx context.Context, id channel.ID) ([][]byte, error) {
	v, err := l.Ledger.Heads(ctx, id)
	return changed(l.heads, v, err)
}

func (l *lies) Forks(ctx context.Context, id channel.ID) ([]feed.Fork, error) {
	v, err := l.Ledger.Forks(ctx, id)
	return changed(l.forks, v, err)
}
