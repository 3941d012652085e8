// Package ledger is what a simulated node knows of channels: gossip.Ledger in
// memory. What may follow what is decided by channel/feed, as in the catalogue;
// only SQLite and the disk are left out, since a thousand databases in one
// process would say something about the disk, and nothing about the network.
//
// It has no limits of its own and must never be imported by what ships.
package ledger

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/gossip"
)

// Ledger is safe for concurrent use.
type Ledger struct {
	changed func(feed.Outcome) // with no lock held

	mu       sync.Mutex
	channels map[channel.ID]*record      // guarded by mu, with what is in it
	byKey    map[channel.Hash]channel.ID // by discovery key; guarded by mu
	byRoot   map[channel.Hash]channel.ID // by the hash of the newest root; guarded by mu
}

var _ gossip.Ledger = (*Ledger)(nil)

type record struct {
	reason    catalog.Reason
	machine   *feed.Machine
	roots     [][]byte
	manifests map[channel.PublicKey][][]byte
	forks     []feed.Fork
}

// New returns an empty ledger. changed, if not nil, is called for every
// outcome that changed it.
func New(changed func(feed.Outcome)) *Ledger {
	if changed == nil {
		changed = func(feed.Outcome) {}
	}
	return &Ledger{changed: changed, channels: make(map[channel.ID]*record),
		byKey: make(map[channel.Hash]channel.ID), byRoot: make(map[channel.Hash]channel.ID)}
}

func (r *record) RootAt(v uint64) ([]byte, error) { return at(r.roots, v) }

func (r *record) ManifestAt(log channel.PublicKey, seq uint64) ([]byte, error) {
	return at(r.manifests[log], seq)
}

func at(list [][]byte, n uint64) ([]byte, error) {
	if n == 0 || n > uint64(len(list)) {
		return nil, fs.ErrNotExist
	}
	return list[n-1], nil
}

// Expect makes a channel known.
func (l *Ledger) Expect(_ context.Context, id channel.ID, reason catalog.Reason) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.channels[id]
	if r == nil {
		r = &record{machine: feed.New(id), manifests: make(map[channel.PublicKey][][]byte)}
		l.channels[id], l.byKey[id.Discovery()] = r, id
	}
	r.reason = max(r.reason, reason)
	return nil
}

// List is Expect for a channel found on a topic. Places are not simulated.
func (l *Ledger) List(ctx context.Context, id channel.ID, _, _ string) error {
	return l.Expect(ctx, id, catalog.Listed)
}

// Seen does nothing.
func (l *Ledger) Seen(context.Context, []catalog.Sighting) error { return nil }

// OfferGossip decides about what came unasked.
func (l *Ledger) OfferGossip(_ context.Context, envelope []byte) (feed.Outcome, error) {
	return l.offer(envelope, true), nil
}

// OfferAll decides about what was asked for.
func (l *Ledger) OfferAll(_ context.Context, envelopes [][]byte) ([]feed.Outcome, error) {
	var out []feed.Outcome
	for _, e := range envelopes {
		out = append(out, l.offer(e, false))
	}
	return out, nil
}

func (l *Ledger) offer(envelope []byte, gossiped bool) feed.Outcome {
	it, err := feed.Parse(envelope)
	if err != nil {
		return feed.Refuse(err)
	}
	l.mu.Lock()
	id := it.Channel
	if id.IsZero() {
		id = l.byRoot[it.Prev]
	}
	r := l.channels[id]
	if r == nil || r.reason == catalog.Listed && it.Kind == feed.KindManifest {
		l.mu.Unlock()
		return feed.Outcome{Verdict: feed.Ignored, Kind: it.Kind, Channel: it.Channel, Hash: it.Hash, Err: catalog.ErrUnknown}
	}
	o := r.machine.Step(feed.Input{Now: time.Now(), Item: it, Gossip: gossiped}, r)
	l.keep(id, r, it, o)
	l.mu.Unlock()
	if o.Changed {
		l.changed(o)
	}
	return o
}

// keep stores what an outcome says. l.mu is held.
func (l *Ledger) keep(id channel.ID, r *record, it *feed.Item, o feed.Outcome) {
	for _, v := range o.Void {
		list := r.manifests[v.Log]
		r.manifests[v.Log] = list[:min(v.From-1, uint64(len(list)))]
	}
	if o.Proof != nil {
		r.forks = append(r.forks, *o.Proof)
	}
	if o.Verdict != feed.Accepted || it == nil {
		return
	}
	switch o.Kind {
	case feed.KindRoot:
		r.roots = append(r.roots, it.Encoded())
		l.byRoot[o.Hash] = id
	case feed.KindManifest:
		r.manifests[o.Log] = append(r.manifests[o.Log], it.Encoded())
	}
}

// OfferFork decides about a proof of a fork.
func (l *Ledger) OfferFork(_ context.Context, id channel.ID, f feed.Fork) (feed.Outcome, error) {
	l.mu.Lock()
	r := l.channels[id]
	if r == nil {
		l.mu.Unlock()
		return feed.Outcome{Verdict: feed.Ignored, Channel: id, Err: catalog.ErrUnknown}, nil
	}
	o := r.machine.Evidence(time.Now(), f, r)
	l.keep(id, r, nil, o)
	l.mu.Unlock()
	if o.Changed {
		l.changed(o)
	}
	return o, nil
}

// Channel returns what is known of one channel.
func (l *Ledger) Channel(_ context.Context, id channel.ID) (catalog.Info, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.channels[id]
	if r == nil {
		return catalog.Info{}, fmt.Errorf("channel %s: %w", id, catalog.ErrUnknown)
	}
	info := catalog.Info{ID: id, Discovery: id.Discovery(), Reason: r.reason}
	s := r.machine.State()
	info.Forked = s.RootFork
	if s.Root != nil {
		info.HasRoot, info.Root = true, *s.Root
	}
	now := time.Now()
	for _, key := range slices.SortedFunc(maps.Keys(s.Logs), channel.PublicKey.Compare) {
		log := s.Logs[key]
		i := catalog.LogInfo{Log: key, Seq: log.Seq, Hash: log.Hash, Issued: log.Issued, RootVersion: log.Root, Epoch: log.Epoch, Status: s.Status(key, now)}
		i.Frozen = log.Frozen > 0 && !i.Revoked
		if log.Head != nil {
			i.Head = &log.Head.Head
		}
		if log.Claim != nil {
			i.Claimed = log.Claim.Seq
		}
		info.Logs = append(info.Logs, i)
		info.Forked, info.Behind = info.Forked || i.Frozen, info.Behind || i.Behind
	}
	return info, nil
}

// ByDiscovery returns the channel with the discovery key.
func (l *Ledger) ByDiscovery(_ context.Context, key channel.Hash) (channel.ID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	id, ok := l.byKey[key]
	if !ok {
		return id, fmt.Errorf("discovery key %s: %w", key, catalog.ErrUnknown)
	}
	return id, nil
}

// Topics returns the topics that newest roots name.
func (l *Ledger) Topics(context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, r := range l.channels {
		if root := r.machine.Root(); root != nil {
			all = append(all, root.Topics...)
		}
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// SomeOn returns channels on a topic or below it, in random order.
func (l *Ledger) SomeOn(_ context.Context, topic string, most int) ([]channel.ID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []channel.ID
	for id, r := range l.channels {
		root := r.machine.Root()
		if root != nil && slices.ContainsFunc(root.Topics, func(t string) bool { return channel.OnTopic(t, topic) }) {
			all = append(all, id)
		}
	}
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(most, len(all))], nil
}

// Roots returns versions of the root.
func (l *Ledger) Roots(_ context.Context, id channel.ID, from uint64, maxItems, maxBytes int) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.channels[id]; r != nil {
		return part(r.roots, from, uint64(len(r.roots)), maxItems, maxBytes), nil
	}
	return nil, nil
}

// Manifests returns manifests of a log.
func (l *Ledger) Manifests(_ context.Context, id channel.ID, log channel.PublicKey, from, to uint64, maxItems, maxBytes int) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.channels[id]; r != nil {
		return part(r.manifests[log], from, to, maxItems, maxBytes), nil
	}
	return nil, nil
}

func part(list [][]byte, from, to uint64, maxItems, maxBytes int) [][]byte {
	var out [][]byte
	for n := from; n >= 1 && n <= min(to, uint64(len(list))) && len(out) < maxItems; n++ {
		e := list[n-1]
		if maxBytes -= len(e); maxBytes < 0 && len(out) > 0 {
			break
		}
		out = append(out, e)
	}
	return out
}

// Heads returns the newest confirmed head and the latest claim of each log.
func (l *Ledger) Heads(_ context.Context, id channel.ID) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.channels[id]
	if r == nil {
		return nil, nil
	}
	s := r.machine.State()
	var out [][]byte
	for _, key := range slices.SortedFunc(maps.Keys(s.Logs), channel.PublicKey.Compare) {
		if log := s.Logs[key]; log.Head != nil {
			out = append(out, log.Head.Envelope)
		}
		if log := s.Logs[key]; log.Claim != nil {
			out = append(out, log.Claim.Envelope)
		}
	}
	return out, nil
}

// Forks returns the proofs of forks.
func (l *Ledger) Forks(_ context.Context, id channel.ID) ([]feed.Fork, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.channels[id]; r != nil {
		return slices.Clone(r.forks), nil
	}
	return nil, nil
}

// Newest returns the number of the newest manifest of a log, and whether the
// log is frozen by a fork.
func (l *Ledger) Newest(id channel.ID, log channel.PublicKey) (seq uint64, frozen bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.channels[id]; r != nil {
		s := r.machine.Log(log)
		return s.Seq, s.Frozen > 0
	}
	return 0, false
}
