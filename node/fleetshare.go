package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/copies"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/mirror"
)

// What a mirror in a group does otherwise than one alone: it keeps its share, has it
// from other members, and fetches from outside what it was given as a job.

// stepInAfter is how many times the ttl the owners of a release have to get it before
// another member takes it, too.
const stepInAfter = 4

// spareFor is how long at least the owners are not asked again for what they were found
// to have, and half of how long at most, as long as members stay the same.
const spareFor = 30 * time.Minute

// share is what a member knows of the releases of a channel, beside what mirroring
// knows. All of it is guarded by the mutex of that.
type share struct {
	declared map[int64]time.Time // when a job was asked for
	stays    map[int64]time.Time // since when the owners lack it
	spared   recentPositions     // the owners were found to have it not long ago, and it was not pinned here
	proven   positions           // the owners have given some of what is here, and members are the same since
	steps    map[int64]bool      // kept in place of owners
	busy     map[int64]*jobTurn  // a job on it runs here
	full     bool                // there was no room for the last job
}

func newShare() share {
	return share{declared: map[int64]time.Time{}, proven: positions{}, stays: map[int64]time.Time{}, steps: map[int64]bool{}, busy: map[int64]*jobTurn{}}
}

// reset has everything looked at again: others own it now.
func (m *mirroring) reset() {
	m.mu.Lock()
	m.from, m.done, m.declared, m.spared, m.proven = -1, positions{}, map[int64]time.Time{}, recentPositions{}, positions{}
	m.sweeps = true
	m.resets++
	m.mu.Unlock()
	m.wake()
}

// haveShare has a release here whole if it is this member's to keep, and reports
// whether there is nothing left to do.
func (m *mirroring) haveShare(ctx context.Context, r catalog.Release) (bool, error) {
	if !m.fleet.ready() {
		return false, nil
	}
	m.mu.Lock()
	steps, busy := m.steps[r.Position], m.busy[r.Position] != nil
	m.mu.Unlock()
	if !m.owns(r) && !steps {
		if known, err := m.knowBody(ctx, r); !known || err != nil {
			return false, err
		}
		m.mu.Lock()
		m.done.add(r.Position)
		m.mu.Unlock()
		return true, nil
	}
	whole, err := m.mark(ctx, r)
	if err != nil {
		return false, err
	}
	if whole {
		return true, m.finish(ctx, r, m.event(r))
	}
	if busy {
		return false, nil
	}
	top, ok := topOf(r)
	if !ok {
		return false, nil
	}
	if holders := having(ctx, m.fleet.others(), []blobnet.ID{top}, true); len(holders) > 0 {
		got, err := m.fromMembers(ctx, r, holders, true, fetchPatience)
		if err != nil {
			return false, fmt.Errorf("release %d: %w", r.Seq, err)
		}
		if err := m.finish(ctx, r, got); err != nil || got.Missing == 0 {
			return got.Missing == 0, err
		}
	}
	m.declare(ctx, r)
	return false, nil
}

// lookAgainIn is after what time all is gone through again although there is no news,
// since owners lack something: after a ttl, and then after twice as long as the last
// time; 0 if they lack nothing.
func (m *mirroring) lookAgainIn(last time.Duration) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fleet == nil || len(m.stays) == 0 {
		return 0
	}
	return min(max(2*last, m.fleet.ttl), sweepInterval)
}

// knowBody has the body of a release that others keep, where it lies in a blob: it may
// remove what this member keeps.
func (m *mirroring) knowBody(ctx context.Context, r catalog.Release) (bool, error) {
	if r.Body != nil || r.Ref == nil || r.Silent {
		return true, nil
	}
	_, err := m.read(ctx, memberSource{m.n.blobs, having(ctx, m.fleet.others(), []blobnet.ID{r.Ref.ID}, true)}, r)
	if errors.Is(err, blobnet.ErrNotFound) && ctx.Err() == nil {
		return false, nil // the owners are about to have it
	}
	return err == nil, err
}

// owns reports whether a release is this member's to keep.
func (m *mirroring) owns(r catalog.Release) bool {
	for _, o := range m.fleet.owners(m.id, r.Hash) {
		if o == m.fleet.self {
			return true
		}
	}
	return false
}

// declare asks the group for a release, and not again soon: a job that failed five
// times is a dead letter for a while.
func (m *mirroring) declare(ctx context.Context, r catalog.Release) {
	m.mu.Lock()
	at, asked := m.declared[r.Position]
	if asked && time.Since(at) < declareAgain {
		m.mu.Unlock()
		return
	}
	m.declared[r.Position] = time.Now()
	m.mu.Unlock()
	if m.fleet.declare(ctx, m.id, r.Hash) {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.declared, r.Position)
}

// askAgain has everything asked for anew that is not here: what was asked for may be lost.
func (m *mirroring) askAgain() {
	m.mu.Lock()
	clear(m.declared)
	m.mu.Unlock()
	m.wake()
}

// topOf is the blob that whoever has anything of a release has first.
func topOf(r catalog.Release) (blobnet.ID, bool) {
	switch {
	case r.Manifest.Inventory != nil:
		return *r.Manifest.Inventory, true
	case r.Ref != nil:
		return r.Ref.ID, true
	case r.Body != nil && len(r.Body.Entries) > 0:
		return r.Body.Entries[0].Root.ID, true
	}
	return blobnet.ID{}, false
}

// having are those of members that say they have all of ids. With some, who is slow
// beside another that has them is not waited for.
func having(ctx context.Context, members map[string]*exchange.Peer, ids []blobnet.ID, some bool) map[string]*exchange.Peer {
	limited, cancel := context.WithTimeout(ctx, memberHasTime)
	defer cancel()
	var mu sync.Mutex
	out := map[string]*exchange.Peer{}
	var asking sync.WaitGroup
	for name, p := range members {
		asking.Go(func() {
			if !hasAll(limited, p, ids) {
				return
			}
			mu.Lock()
			defer mu.Unlock()
			if out[name] = p; some && len(out) == 1 {
				time.AfterFunc(memberGrace, cancel)
			}
		})
	}
	asking.Wait()
	return out
}

// ownersAmong are the owners of a release among the other members.
func (m *mirroring) ownersAmong(r catalog.Release) map[string]*exchange.Peer {
	out, others := map[string]*exchange.Peer{}, m.fleet.others()
	for _, o := range m.fleet.owners(m.id, r.Hash) {
		if p := others[o]; p != nil {
			out[o] = p
		}
	}
	return out
}

// hasAll reports whether a peer says that it has all of ids.
func hasAll(ctx context.Context, p *exchange.Peer, ids []blobnet.ID) bool {
	has, err := p.Have(ctx, ids)
	if err != nil || len(has) != len(ids) {
		return false
	}
	for _, ok := range has {
		if !ok {
			return false
		}
	}
	return true
}

// fetchPatience is how long a blob is waited for that other members may be getting.
const fetchPatience = 5 * time.Second

// fromMembers fetches a release from members alone.
func (m *mirroring) fromMembers(ctx context.Context, r catalog.Release, members map[string]*exchange.Peer, pin bool, patience time.Duration) (MirrorEvent, error) {
	s, err := m.memberSwarm(members)
	if err != nil {
		return m.event(r), err
	}
	got, err := m.fetch(ctx, s, s, r, pin, patience)
	got.From = "members"
	return got, err
}

// memberSwarm asks members alone, without a limit of rate: it is one's own fleet.
func (m *mirroring) memberSwarm(members map[string]*exchange.Peer) (*fetch.Swarm, error) {
	s, err := fetch.New(fetch.Config{
		Store: m.n.blobs.Keeper(), MustStore: true, Download: m.net.download, Bans: m.net.bans, Budget: m.net.budget,
		OnEvent: m.n.onFetch, Name: m.net.host.ID().String(), StallTimeout: fleetStall,
	})
	if err != nil {
		return nil, fmt.Errorf("preparing to fetch: %w", err)
	}
	for _, p := range members {
		s.Add(p)
	}
	return s, nil
}

// maxReleaseAsked bounds the blobs of a release that a member is asked about at once.
const maxReleaseAsked = 4096

// here returns blobs of a release, all or a random choice of many, and whether all of
// it is here.
func (m *mirroring) here(ctx context.Context, r catalog.Release) ([]blobnet.ID, bool, error) {
	sample := copies.NewSample[blobnet.ID](maxReleaseAsked)
	whole, err := m.look(ctx, r, func(ids []blobnet.ID) error {
		for _, id := range ids {
			sample.Add(id)
		}
		return nil
	})
	return sample.Items(), whole, err
}

// keepsShare reports whether a release is this member's to keep, and forgets then what
// was done about it in place of others.
func (m *mirroring) keepsShare(r catalog.Release) bool {
	if !m.owns(r) {
		return false
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.stays, r.Position)
	delete(m.steps, r.Position)
	return true
}

// othersShare says of what is not this member's share whether to keep what is here of it
// all the same, since the owners do not have it, and whether that is all there is to do.
// lost is that of stake.
func (m *mirroring) othersShare(ctx context.Context, r catalog.Release) (keep, done, lost bool, err error) {
	m.mu.Lock()
	spared, steps, proven := m.spared.has(r.Position, time.Now()), m.steps[r.Position], m.proven.has(r.Position)
	m.mu.Unlock()
	if spared {
		return false, true, false, nil
	}
	h, err := m.atStake(ctx, r, m.ownersAmong(r))
	if err != nil || !h.some {
		return false, true, h.lost, err
	}
	if !h.whole && (!h.pinned || steps) {
		// Nothing is at stake: the question is whether somebody has to step in.
		top, ok := topOf(r)
		if !ok {
			return false, true, h.lost, nil
		}
		h.holders = having(ctx, h.holders, []blobnet.ID{top}, false)
	}
	claims := !h.pinned && (proven || len(h.contents.Items()) == 0)
	holds := map[string]bool{}
	for o, p := range h.holders {
		holds[o] = claims || m.proved(ctx, p, h.toProve())
	}
	duty := mirror.Judge(mirror.Key(r.Hash), m.fleet.self, m.fleet.mirroring(m.id), m.fleet.req.Copies, holds)
	m.mu.Lock()
	if duty == mirror.Spare && !h.pinned {
		m.spared.add(r.Position, time.Now())
		if !claims {
			m.proven.add(r.Position)
		}
	}
	if duty == mirror.Spare {
		delete(m.stays, r.Position)
		delete(m.steps, r.Position)
	} else if m.stays[r.Position].IsZero() {
		m.stays[r.Position] = time.Now()
	}
	if since := m.stays[r.Position]; !since.IsZero() && time.Since(since) > stepInAfter*m.fleet.ttl {
		m.steps[r.Position] = true
	}
	stepsIn := m.steps[r.Position]
	m.mu.Unlock()
	if duty == mirror.Spare || !h.pinned && !h.whole && !stepsIn {
		return false, true, h.lost, nil
	}
	return true, h.whole || !stepsIn, h.lost, nil
}
