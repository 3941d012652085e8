package node

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/seq"
)

// sweep goes through all releases: what is here of them stays, what is not is to be
// had again, and what does not count any more is let go of.
func (m *mirroring) sweep(ctx context.Context) error {
	m.mu.Lock()
	m.round++
	round, resets := m.round, m.resets
	m.mu.Unlock()
	whole, done, again := positions{}, positions{}, false
	swept := func(at int64, ok, own bool) {
		switch {
		case !ok:
			again = true
			return
		case own:
			whole.add(at)
		}
		done.add(at)
	}
	marks := marks{m: m, done: func(at int64, ok bool) { swept(at, ok, true) }, lists: positions{}}
	known := false
	for r, err := range m.releases(ctx, 0) {
		if err != nil {
			return err
		}
		known = true
		keep, own := true, m.fleet == nil || m.keepsShare(r)
		if !own {
			var ok, lost bool
			if keep, ok, lost, err = m.othersShare(ctx, r); err != nil {
				return err
			}
			swept(r.Position, ok, false)
			if lost {
				marks.lose(r)
			}
		}
		if !keep {
			continue
		}
		if err := marks.add(ctx, r, own); err != nil {
			return err
		}
	}
	if err := marks.flush(ctx); err != nil {
		return err
	}
	m.mu.Lock()
	m.whole, m.lists = whole, marks.lists
	if again {
		m.done, m.from = done, -1
	}
	changed := m.resets != resets // who was asked meanwhile may be an owner no more
	m.mu.Unlock()
	if marks.lost != nil {
		return fmt.Errorf("release %d: a blob that says what belongs to it was here and is not any more; nothing is let go of until it is had again", marks.lost.Seq)
	}
	if changed || !known {
		return nil
	}
	gone, err := m.n.unkeep(ctx, m.ledger, m.id, round)
	m.mu.Lock()
	if m.sum.LetGo += gone; gone > 0 {
		clear(m.noRoom)
	}
	m.mu.Unlock()
	if gone == 0 || err != nil {
		return err
	}
	m.emit(MirrorEvent{Event: "mirror", State: "letGo", Channel: m.id.String(), Blobs: gone})
	_, err = m.n.letGo(ctx)
	return err
}

// marks keeps what belongs to releases, of many small ones at a time: to note what is
// kept takes a sync of the disk.
type marks struct {
	m    *mirroring
	done func(at int64, whole bool) // of each release that is told

	lists positions        // that are listed in full; nil: nobody asks
	lost  *catalog.Release // one of which what is kept cannot be listed

	ids  []blobnet.ID
	from []int           // of which of open each of ids is
	open []markedRelease // of which not all was looked for yet
}

type markedRelease struct {
	at          int64
	whole, tell bool
}

// add keeps what belongs to a release, now or later, and with tell calls done.
func (k *marks) add(ctx context.Context, r catalog.Release, tell bool) error {
	k.open = append(k.open, markedRelease{r.Position, true, tell})
	listed, some := true, false
	for id, err := range k.m.listed(ctx, r, &listed) {
		if err != nil {
			return err
		}
		some = true
		k.ids, k.from = append(k.ids, id), append(k.from, len(k.open)-1)
		if len(k.ids) == batch {
			if err := k.look(ctx); err != nil {
				return err
			}
			last := len(k.open) - 1 // of this one there may be more
			k.told(last)
			k.open = append(k.open[:0], k.open[last])
		}
	}
	if last := &k.open[len(k.open)-1]; !listed {
		last.whole = false
	}
	switch {
	case k.lists == nil, !some:
	case listed:
		k.lists.add(r.Position)
	default:
		if lost, err := k.m.lost(ctx, r); err != nil {
			return err
		} else if lost {
			k.lose(r)
		}
	}
	if len(k.open) == batch { // of releases without blobs
		return k.flush(ctx)
	}
	return nil
}

// lose notes that what is kept of a release cannot be listed any more.
func (k *marks) lose(r catalog.Release) {
	k.lost = &r
	k.m.mu.Lock()
	defer k.m.mu.Unlock()
	if k.m.lists.has(r.Position) { // and it is not forgotten
		k.lists.add(r.Position)
	}
}

// flush does what is left.
func (k *marks) flush(ctx context.Context) error {
	if err := k.look(ctx); err != nil {
		return err
	}
	k.told(len(k.open))
	k.open = k.open[:0]
	return nil
}

// look keeps what was gathered, and looks whether it is here.
func (k *marks) look(ctx context.Context) error {
	if len(k.ids) == 0 {
		return nil
	}
	if err := k.m.pin(ctx, k.ids); err != nil {
		return err
	}
	has, err := k.m.n.blobs.Has(ctx, k.ids...)
	if err != nil {
		return err
	}
	for i, ok := range has {
		if !ok {
			k.open[k.from[i]].whole = false
		}
	}
	k.ids, k.from = k.ids[:0], k.from[:0]
	return nil
}

func (k *marks) told(count int) {
	for _, o := range k.open[:count] {
		if o.tell {
			k.done(o.at, o.whole)
		}
	}
}

// mark keeps what belongs to a release, and reports whether all of it is here.
func (m *mirroring) mark(ctx context.Context, r catalog.Release) (whole bool, err error) {
	k := marks{m: m, done: func(_ int64, ok bool) { whole = ok }}
	if err := k.add(ctx, r, true); err != nil {
		return false, err
	}
	return whole, k.flush(ctx)
}

// listed are the blobs of a release as far as they can be listed here; all says
// afterwards whether that was all of them.
func (m *mirroring) listed(ctx context.Context, r catalog.Release, all *bool) iter.Seq2[blobnet.ID, error] {
	*all = r.Body != nil || r.Ref == nil || r.Silent
	return func(yield func(blobnet.ID, error) bool) {
		for id, err := range m.n.parts(ctx, r, m.n.blobs) {
			switch {
			case err != nil && errors.Is(err, blobnet.ErrNotFound):
				*all = false
				continue
			case err != nil && ctx.Err() == nil && unreadable(err):
				continue
			}
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
}

// look goes through the blobs of a release as far as they can be listed here, and
// reports whether all of them are here.
func (m *mirroring) look(ctx context.Context, r catalog.Release, do func([]blobnet.ID) error) (whole bool, err error) {
	var all bool
	has := true
	for ids, err := range seq.Batches(m.listed(ctx, r, &all), batch) {
		if err == nil {
			err = do(ids)
		}
		if err != nil {
			return false, err
		}
		here, err := m.n.blobs.Has(ctx, ids...)
		if err != nil {
			return false, err
		}
		for _, ok := range here {
			has = has && ok
		}
	}
	return all && has, nil
}
