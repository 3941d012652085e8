package node

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/seq"
)

// newSwarm is a swarm that keeps what it gets, or fails.
func (m *mirroring) newSwarm() (*fetch.Swarm, error) {
	s, err := fetch.New(fetch.Config{
		Store: m.n.blobs.Keeper(), MustStore: true, Download: m.net.download, Bans: m.net.bans, Budget: m.net.budget,
		OnEvent: m.n.onFetch, Name: m.net.host.ID().String(), StallTimeout: mirrorStall,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing to fetch: %w", err)
	}
	return s, nil
}

// have has a release here whole, and reports whether it is.
func (m *mirroring) have(ctx context.Context, r catalog.Release) (bool, error) {
	if m.fleet != nil {
		return m.haveShare(ctx, r)
	}
	whole, err := m.mark(ctx, r)
	if err != nil {
		return false, err
	}
	if whole { // nothing of it is read for that
		return true, m.finish(ctx, r, m.event(r))
	}
	got, err := m.fetch(ctx, m.swarm, m.swarm, r, true, mirrorPatience)
	if err != nil {
		m.count(got)
		return false, fmt.Errorf("release %d: %w", r.Seq, err)
	}
	got.From = "outside"
	return got.Missing == 0, m.finish(ctx, r, got)
}

// finish tells of what was had of a release, and announces it.
func (m *mirroring) finish(ctx context.Context, r catalog.Release, got MirrorEvent) error {
	if got.Fetched > 0 {
		if err := m.n.blobs.Sync(ctx); err != nil {
			return err
		}
	}
	if r.Body != nil {
		got.Title = r.Body.Title
		var roots []blobnet.ID
		for _, e := range r.Body.Entries {
			roots = append(roots, e.Root.ID)
		}
		if err := m.n.hold(ctx, roots...); err != nil {
			return err
		}
	}
	m.mu.Lock()
	lacked := m.lacks.has(r.Position)
	if got.Missing == 0 {
		m.done.add(r.Position)
		m.whole.add(r.Position)
		m.lacks.remove(r.Position)
	} else {
		m.lacks.add(r.Position)
	}
	m.mu.Unlock()
	m.count(got)
	// At first those who have it may not be reached yet, and members may be getting it.
	if got.Fetched > 0 || got.Missing > 0 && lacked && got.From == "outside" {
		m.emit(got)
	}
	if m.fleet != nil && got.Fetched > 0 {
		m.fleet.news()
	}
	return nil
}

// count adds what was fetched.
func (m *mirroring) count(got MirrorEvent) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sum.Blobs += got.Fetched
	m.sum.Bytes += got.Bytes
	if got.From == "outside" {
		m.sum.Outside += got.Fetched
	}
}

// event is what is said of a release of which nothing was had yet.
func (m *mirroring) event(r catalog.Release) MirrorEvent {
	return MirrorEvent{Event: "mirror", State: "kept", Channel: m.id.String(), Log: r.Log.String(), Seq: r.Seq}
}

// fetch has the blobs of a release from a swarm, and with pin keeps them; src gives
// those that say which they are. Those that nobody has are counted as missing.
func (m *mirroring) fetch(ctx context.Context, swarm *fetch.Swarm, src blobnet.Source, r catalog.Release, pin bool, patience time.Duration) (MirrorEvent, error) {
	e := m.event(r)
	r, err := m.read(ctx, src, r)
	if errors.Is(err, blobnet.ErrNotFound) && ctx.Err() == nil {
		e.Missing = 1
		return e, nil
	}
	if err != nil {
		return e, err
	}
	var all, missing, fetched, bytes atomic.Int64
	ids := func(yield func(blobnet.ID, error) bool) {
		for id, err := range m.n.parts(ctx, r, src) {
			switch {
			case ctx.Err() != nil:
				yield(id, context.Cause(ctx))
				return
			case err != nil && errors.Is(err, blobnet.ErrNotFound):
				missing.Add(1)
				continue
			case err != nil && unreadable(err):
				m.n.log.Debug("mirroring what cannot be read", "channel", address(m.id), "release", r.Seq, "error", err)
				continue
			}
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
	pinned := func(yield func(blobnet.ID, error) bool) {
		for ids, err := range seq.Batches(ids, 64) {
			if err == nil && pin {
				err = m.pin(ctx, ids)
			}
			if err != nil {
				yield(blobnet.ID{}, err)
				return
			}
			for _, id := range ids {
				if !yield(id, nil) {
					return
				}
			}
		}
	}
	err = fetch.Each(ctx, swarm, pinned, func(id blobnet.ID) fetch.Want {
		return fetch.Want{ID: id, Class: blobnet.Repair, Patience: patience, Optional: true}
	}, func(_ blobnet.ID, blob []byte, local bool) error {
		all.Add(1)
		switch {
		case blob == nil:
			missing.Add(1)
		case !local:
			fetched.Add(1)
			bytes.Add(int64(len(blob)))
			m.came(r)
		}
		return nil
	})
	e.Blobs, e.Missing, e.Fetched, e.Bytes = all.Load(), missing.Load(), fetched.Load(), bytes.Load()
	return e, err
}

func (m *mirroring) pin(ctx context.Context, ids []blobnet.ID) error {
	m.mu.Lock()
	round := m.round
	m.mu.Unlock()
	return m.n.keepPinned(ctx, m.ledger, m.id, round, ids)
}

// read returns a release with its body, which may lie in a blob. Without it nobody
// knows which of its files count, nor what it removes.
func (m *mirroring) read(ctx context.Context, src blobnet.Source, r catalog.Release) (catalog.Release, error) {
	if r.Body != nil || r.Ref == nil || r.Silent {
		return r, nil
	}
	blob, err := src.Get(ctx, r.Ref.ID, nil)
	if err != nil {
		return r, err
	}
	body, err := channel.OpenBody(blob, *r.Ref)
	if err != nil {
		return r, m.n.catalog.RefuseBody(ctx, r.Channel, r.Hash, err.Error())
	}
	err = m.n.catalog.PutBody(ctx, r.Channel, r.Hash, body)
	if errors.Is(err, catalog.ErrRefused) {
		return r, nil
	}
	if err == nil {
		r.Body = &body
	}
	return r, err
}
