package node

import (
	"context"
	"errors"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/seq"
)

// sweep goes through all releases: what is here of them stays, what is not is to be
// had again, and what does not count any more is let go of.
func (m *mirroring) sweep(ctx context.Context) error {
	m.mu.Lock()
	m.round++
	round := m.round
	m.mu.Unlock()
	whole, done, again := map[int64]bool{}, map[int64]bool{}, false
	for r, err := range m.releases(ctx, 0) {
		if err != nil {
			return err
		}
		mark, own := m.mark, true
		if m.fleet != nil {
			mark, own = m.markShare, m.owns(r)
		}
		ok, err := mark(ctx, r)
		switch {
		case err != nil:
			return err
		case !ok:
			again = true
			continue
		case own:
			whole[r.Position] = true
		}
		done[r.Position] = true
	}
	gone, err := m.n.unkeep(ctx, m.ledger, m.id, round)
	m.mu.Lock()
	m.whole = whole
	m.sum.LetGo += gone
	if again {
		m.done, m.from = done, -1
	}
	m.mu.Unlock()
	if gone == 0 || err != nil {
		return err
	}
	m.emit(MirrorEvent{Event: "mirror", State: "letGo", Channel: m.id.String(), Blobs: gone})
	_, err = m.n.letGo(ctx)
	return err
}

// mark keeps what belongs to a release, and reports whether all of it is here.
func (m *mirroring) mark(ctx context.Context, r catalog.Release) (whole bool, err error) {
	return m.look(ctx, r, func(ids []blobnet.ID) error { return m.pin(ctx, ids) })
}

// look goes through the blobs of a release as far as they can be listed here, and
// reports whether all of them are here.
func (m *mirroring) look(ctx context.Context, r catalog.Release, do func([]blobnet.ID) error) (whole bool, err error) {
	whole = r.Body != nil || r.Ref == nil || r.Silent
	listed := func(yield func(blobnet.ID, error) bool) {
		for id, err := range m.n.parts(ctx, r, m.n.blobs) {
			switch {
			case err != nil && errors.Is(err, blobnet.ErrNotFound):
				whole = false
				continue
			case err != nil && ctx.Err() == nil && unreadable(err):
				continue
			}
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
	for ids, err := range seq.Batches(listed, batch) {
		if err == nil {
			err = do(ids)
		}
		if err != nil {
			return false, err
		}
		has, err := m.n.blobs.Has(ctx, ids...)
		if err != nil {
			return false, err
		}
		for _, ok := range has {
			whole = whole && ok
		}
	}
	return whole, nil
}
