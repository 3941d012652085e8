package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// Shelf is a second interface of a Ledger, of one that keeps snapshots of logs;
// *catalog.Catalog is one. What a Ledger without it has joined by a snapshot, if
// anything, is sent from there on alone.
type Shelf interface {
	OfferSnapshot(ctx context.Context, envelope, anchor []byte, pages [][]byte) (feed.Outcome, error)
	Snapshot(ctx context.Context, id channel.ID, log channel.PublicKey) (catalog.Snapshot, error)
	Pages(ctx context.Context, id channel.ID, log channel.PublicKey, snapshot channel.Hash, first, last, maxItems, maxBytes int) (pages [][]byte, next int, err error)
	LiveManifests(ctx context.Context, id channel.ID, log channel.PublicKey, snapshot channel.Hash, from, to uint64, maxItems, maxBytes int) ([][]byte, error)
}

// bundle is a snapshot with all that it counts with: one message, so that no bridge
// sees a part of it, or parts of two.
type bundle struct {
	snap     channel.Snapshot
	envelope []byte
	anchor   []byte   // the manifest that it ends with
	pages    [][]byte // by place, nil for those that list nothing
}

// encode is an array of byte strings: the envelope, the manifest, and the pages in order.
func (b bundle) encode() ([]byte, error) {
	items := [][]byte{b.envelope, b.anchor}
	for _, p := range b.pages {
		if p != nil {
			items = append(items, p)
		}
	}
	data, err := dcbor.Marshal(items)
	if err == nil && len(data) > MaxMessage {
		err = fmt.Errorf("snapshot of %d bytes with its pages: %w", len(data), channel.ErrTooLarge)
	}
	return data, err
}

// decodeSnapshot reads what encode writes, and checks that the parts belong together.
// Who signed them the ledger looks at.
func decodeSnapshot(data []byte) (b bundle, err error) {
	var items [][]byte
	if err := dcbor.Unmarshal(data, &items); err != nil {
		return bundle{}, fmt.Errorf("reading snapshot: %w: %w", channel.ErrMalformed, err)
	}
	if len(items) < 3 {
		return bundle{}, fmt.Errorf("snapshot of %d parts: %w", len(items), channel.ErrMalformed)
	}
	env, err := channel.DecodeEnvelope(items[0])
	if err != nil {
		return bundle{}, err
	}
	b = bundle{envelope: items[0], anchor: items[1]}
	if b.snap, err = channel.OpenSnapshot(env); err != nil {
		return bundle{}, err
	}
	last, err := channel.DecodeEnvelope(b.anchor)
	if err != nil {
		return bundle{}, err
	}
	if last.Hash() != b.snap.Hash {
		return bundle{}, fmt.Errorf("snapshot with another manifest than it ends with: %w", channel.ErrMalformed)
	}
	b.pages = make([][]byte, len(b.snap.Pages))
	rest := items[2:]
	for i, ref := range b.snap.Pages {
		if ref.Count == 0 {
			continue
		}
		if len(rest) == 0 {
			return bundle{}, fmt.Errorf("snapshot without its page %d: %w", i+1, channel.ErrMalformed)
		}
		if _, err := b.snap.Page(i, rest[0]); err != nil {
			return bundle{}, err
		}
		b.pages[i], rest = rest[0], rest[1:]
	}
	if len(rest) > 0 {
		return bundle{}, fmt.Errorf("snapshot with %d parts too many: %w", len(rest), channel.ErrMalformed)
	}
	return b, nil
}

// openSnapshots opens the stream of snapshots. Who has no rights on it does without.
func (s *session) openSnapshots(ctx context.Context) error {
	shelf, ok := s.b.cfg.Ledger.(Shelf)
	if !ok {
		return nil
	}
	stream, err := ensure(ctx, s.c.js, s.b.names.snapshots(s.b.cfg.Replicas), !s.b.cfg.ReadOnly)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil {
		s.shelf, s.snapshots = shelf, stream
	} else if !s.b.cfg.ReadOnly || !errors.Is(err, jetstream.ErrStreamNotFound) {
		s.b.fail(fmt.Errorf("snapshots do not cross: %w", err))
	}
	return nil
}

// sendSnapshots puts the newest snapshot of each log there, with all of its pages. That
// one cannot keeps nothing else back.
func (s *session) sendSnapshots(ctx context.Context, info catalog.Info) (sent int, err error) {
	for _, l := range info.Logs {
		if s.snapshots == nil || l.Snapshot == 0 {
			continue
		}
		var there heldHead
		s.stock.with(info.ID, func(k *held) { there = k.snapshots[l.Log] })
		if there.of == l.SnapshotHash {
			continue
		}
		b, err := s.ownBundle(ctx, info.ID, l.Log)
		var data []byte
		if err == nil {
			data, err = b.encode()
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if errors.Is(err, channel.ErrTooLarge) {
			s.stock.with(info.ID, func(k *held) { k.snapshots[l.Log] = heldHead{of: l.SnapshotHash, large: true} })
			continue
		}
		if err != nil {
			return sent, err
		}
		new, err := s.putSnapshot(ctx, b, l.SnapshotHash, data)
		if ctx.Err() != nil {
			return sent, ctx.Err()
		}
		if err != nil {
			s.b.fail(err)
			_, _ = ensure(ctx, s.c.js, s.b.names.snapshots(s.b.cfg.Replicas), true) // it may be lost
			continue
		}
		if new {
			sent++
		}
	}
	return sent, nil
}

// ownBundle is the newest snapshot of a log as the ledger has it. A newer one may take
// its place meanwhile: then it is looked for again, since the ledger has moved.
func (s *session) ownBundle(ctx context.Context, id channel.ID, log channel.PublicKey) (bundle, error) {
	snap, err := s.shelf.Snapshot(ctx, id, log)
	if err != nil {
		return bundle{}, err
	}
	b := bundle{snap: snap.Snapshot, envelope: snap.Envelope, anchor: snap.Anchor}
	for first, last, size := 0, len(snap.Pages)-1, 0; first <= last; {
		pages, next, err := s.shelf.Pages(ctx, id, log, snap.Payload, first, last, len(snap.Pages), maxRead)
		if err != nil {
			return bundle{}, err
		}
		for _, p := range pages {
			if size += len(p); size > MaxMessage { // no more of it is needed to know that
				return bundle{}, fmt.Errorf("snapshot of over %d bytes: %w", MaxMessage, channel.ErrTooLarge)
			}
		}
		b.pages, first = append(b.pages, pages...), next
	}
	return b, nil
}

// putSnapshot is putHead for a snapshot.
func (s *session) putSnapshot(ctx context.Context, b bundle, hash channel.Hash, data []byte) (new bool, err error) {
	id, log := b.snap.Channel, b.snap.Log
	o, ok := s.outgoing(subject{kind: kindSnapshot, channel: id, log: log}, s.b.names.snapshot(id, log), data)
	if !ok {
		return false, nil
	}
	var there heldHead
	s.stock.with(id, func(k *held) { there = k.snapshots[log] })
	return s.putLast(ctx, s.snapshots, o, there, func(h heldHead) {
		h.of = hash
		s.stock.with(id, func(k *held) { k.snapshots[log] = h })
	}, func(at *jetstream.RawStreamMsg) (bool, error) { return s.olderSnapshot(ctx, b, o, at) })
}

// olderSnapshot reports whether what lies under the subject has to make room for own,
// the newest of the ledger.
func (s *session) olderSnapshot(ctx context.Context, own bundle, o outgoing, at *jetstream.RawStreamMsg) (bool, error) {
	if err := o.subject.check(at.Data); err != nil {
		return !errors.Is(err, channel.ErrVersion) || !genuineBundle(at.Data, own.snap.Log), nil
	}
	b, err := decodeSnapshot(at.Data)
	if err != nil || samePayload(own.envelope, b.envelope) {
		return err != nil, nil
	}
	out, err := s.shelf.OfferSnapshot(ctx, b.envelope, b.anchor, b.pages)
	if err != nil {
		return false, fmt.Errorf("offering to the ledger: %w", err)
	}
	switch {
	case out.Verdict == feed.Accepted, out.Verdict == feed.Duplicate:
		return false, nil // the ledger has moved, and sends what it has now
	case out.Verdict != feed.Rejected && couldFollow(out):
		// It may be newer, and what is missing to say so may come. But what the log's key
		// has not signed hides nothing.
		return b.snap.Seq <= own.snap.Seq || !genuine(b.envelope, own.snap.Log), nil
	}
	return true, nil
}

// genuineBundle is genuine of a snapshot that this node cannot read.
func genuineBundle(data []byte, key channel.PublicKey) bool {
	var items [][]byte
	return dcbor.Unmarshal(data, &items) == nil && len(items) > 0 && genuine(items[0], key)
}

// genuine reports whether a key has signed an envelope.
func genuine(data []byte, key channel.PublicKey) bool {
	env, err := channel.DecodeEnvelope(data)
	return err == nil && slices.Contains(env.Signers(), key) && env.Verify() == nil
}

// takeSnapshots takes in a batch of SNAPSHOTS.
func (s *session) takeSnapshots(ctx context.Context, msgs []jetstream.Msg) error {
	all, err := s.sort(ctx, s.snapshots, msgs)
	if err != nil {
		return err
	}
	for _, a := range all {
		o, err := s.offerSnapshot(ctx, a.digest, a.way, a.msg.Data())
		if err != nil {
			return err
		}
		if _, delivered := place(a.msg); couldFollow(o) && delivered < maxHeadTries { // the root may be on its way
			s.b.moved.mark(a.subject.channel) // the ledger's own may belong there
			_ = a.msg.NakWithDelay(retryArrival)
			continue
		}
		if err := s.conclude(ctx, s.snapshots, a, o); err != nil {
			return err
		}
	}
	return nil
}

func (s *session) offerSnapshot(ctx context.Context, d digest, w way, data []byte) (feed.Outcome, error) {
	b, err := decodeSnapshot(data)
	if err != nil {
		return feed.Refuse(err), nil
	}
	if w.hops > 0 {
		s.b.cfg.Trail.ways.put(d, w)
	}
	o, err := s.shelf.OfferSnapshot(ctx, b.envelope, b.anchor, b.pages)
	if err != nil {
		return o, fmt.Errorf("offering to the ledger: %w", err)
	}
	news := newNews()
	news.add(o, b.envelope)
	s.b.tell(ctx, news)
	return o, nil
}

// jump has the ledger join a log by its snapshot, and reports whether it did: what is
// before a release there lies nowhere in the stream.
func (s *session) jump(ctx context.Context, id channel.ID, log channel.PublicKey) (bool, error) {
	if s.snapshots == nil {
		return false, nil
	}
	at, err := lastOn(ctx, s.snapshots, s.b.names.snapshot(id, log))
	if err != nil || at == nil {
		return false, explain(err)
	}
	sub := subject{kind: kindSnapshot, channel: id, log: log}
	w, err := readWay(at.Header)
	if err == nil {
		err = sub.check(at.Data)
	}
	if err != nil {
		return false, nil // who follows the stream takes it out
	}
	o, err := s.offerSnapshot(ctx, digestOf(at.Data), w, at.Data)
	return o.Verdict == feed.Accepted, err
}

// sendLive sends what the newest snapshot of a log lists and the ledger has, from a
// number up to where it joined: with the snapshot others can take it in.
func (s *session) sendLive(ctx context.Context, info catalog.Info, l catalog.LogInfo, from uint64) (sent int, err error) {
	there := false
	s.stock.with(info.ID, func(h *held) { k := h.snapshots[l.Log]; there = k.of == l.SnapshotHash && !k.large })
	if !there || l.Snapshot == 0 || s.snapshots == nil {
		return 0, nil
	}
	for from < l.Joined && ctx.Err() == nil {
		manifests, err := s.shelf.LiveManifests(ctx, info.ID, l.Log, l.SnapshotHash, from, l.Joined-1, window, maxRead)
		if err != nil || len(manifests) == 0 {
			return sent, ignoreUnknown(err)
		}
		var all []outgoing
		for _, data := range manifests {
			m, err := manifestOf(data)
			if err != nil {
				return sent, err
			}
			sub := subject{kind: kindManifest, channel: info.ID, log: l.Log, epoch: m.Epoch, seq: m.Seq}
			all = s.enlist(all, sub, s.b.names.manifest(info.ID, m.Epoch, m.Seq, l.Log), data)
			from = m.Seq + 1
		}
		n, err := s.put(ctx, all)
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}
