package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/seq"
	"github.com/anonymous-media-library/aml/mirror/kept"
)

const (
	// mirrorReleases is how many releases of a channel are fetched at a time.
	mirrorReleases = 4
	// mirrorPatience is how long a blob is waited for that all who can be asked
	// have not.
	mirrorPatience = 10 * time.Second
	// mirrorStall is how long one is waited for that nobody gives who might.
	mirrorStall = 30 * time.Second
	// What was not to be had is asked for again after pauses that double.
	firstMirrorRetry, lastMirrorRetry = 2 * time.Second, 10 * time.Minute
	// sweepInterval is how often all that is kept is gone through, sweepRest how
	// many times as long as that took nobody does so again.
	sweepInterval = 10 * time.Minute
	sweepRest     = 50
)

// mirroring is the work on one channel.
type mirroring struct {
	n      *Node
	net    *network
	ledger *kept.Ledger
	id     channel.ID
	emit   func(any)
	swarm  *fetch.Swarm // everybody
	fleet  *fleet       // nil: alone
	news   chan struct{}

	mu    sync.Mutex // guards what follows; held for memory work alone
	round int64      // with which what is kept is marked
	from  int64      // up to this position all is done
	done  map[int64]bool
	whole map[int64]bool // of all releases: counted once
	sum   MirrorResult
	share
	sweeps bool // all is to be gone through
}

func (n *Node) newMirroring(ctx context.Context, net *network, ledger *kept.Ledger, id channel.ID, emit func(any)) (*mirroring, error) {
	round, err := ledger.Round(ctx, kept.Of(id))
	if err != nil {
		return nil, err
	}
	m := &mirroring{
		n: n, net: net, ledger: ledger, id: id, emit: emit, round: round + 1,
		news: make(chan struct{}, 1), done: map[int64]bool{}, whole: map[int64]bool{}, share: newShare(),
	}
	m.swarm, err = m.newSwarm()
	return m, err
}

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

// gather feeds the swarm with everybody who may have something of the channel, until
// what it returns is called.
func (m *mirroring) gather(ctx context.Context) (stop func()) {
	return m.net.gather(ctx, m.swarm, func() []peer.ID { return m.net.gossip.Peers(m.id) }, tracker.Key(m.id.Discovery()))
}

// watch has news told until what it returns is called.
func (m *mirroring) watch() (stop func()) {
	return m.n.catalog.Watch(func(id channel.ID, _ feed.Kind) {
		if id == m.id {
			m.wake()
		}
	})
}

// wake says that there is something to look at.
func (m *mirroring) wake() {
	select {
	case m.news <- struct{}{}:
	default: // it is known already
	}
}

// run keeps the channel until ctx ends. What fails is told and tried again.
func (m *mirroring) run(ctx context.Context) error {
	defer m.watch()()
	defer m.gather(ctx)()
	m.emit(MirrorEvent{Event: "mirror", State: "following", Channel: m.id.String()})
	retry, swept, dirty, rest, stay := firstMirrorRetry, time.Time{}, true, time.Second, time.Duration(0)
	for {
		left, err := m.catchUp(ctx)
		dirty = m.toSweep() || dirty
		ready := err == nil && (m.fleet == nil || m.fleet.ready())
		if ready && dirty && time.Since(swept) >= rest {
			begun := time.Now()
			err = m.sweep(ctx)
			swept, dirty = time.Now(), false
			rest = min(max(time.Second, sweepRest*time.Since(begun)), sweepInterval)
			stay = m.lookAgainIn(stay)
			if again := m.behind(); err == nil && again {
				continue
			}
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			m.fail(err)
		}
		wait := sweepInterval
		if left > 0 || err != nil || !ready {
			wait, retry = retry, min(2*retry, lastMirrorRetry)
		} else {
			retry = firstMirrorRetry
		}
		due := max(rest, sweepInterval)
		if stay > 0 {
			due = max(rest, stay)
		}
		if dirty {
			due = rest
		}
		if ready && err == nil {
			wait = min(wait, max(0, due-time.Since(swept)))
		}
		timer := time.NewTimer(wait)
		select {
		case <-m.news:
			dirty, retry = true, firstMirrorRetry
		case <-timer.C:
			dirty = dirty || time.Since(swept) >= due
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

func (m *mirroring) fail(err error) {
	m.emit(ErrorEvent{Event: "error", Channel: m.id.String(), Message: "mirroring: " + err.Error(), Retry: true})
}

// once brings the channel up to date, and has all of it here.
func (m *mirroring) once(ctx context.Context, patience time.Duration) error {
	defer m.gather(ctx)()
	if err := m.n.upToDate(ctx, channel.Address{ID: m.id}, patience); err != nil {
		return err
	}
	for end, had := time.Now().Add(patience), int64(-1); ; {
		left, err := m.catchUp(ctx)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, blobnet.ErrFull):
			return err
		case left == 0 && err == nil:
			return m.sweep(ctx)
		}
		if now := m.fetched(); now > had {
			end, had = time.Now().Add(patience), now
		}
		if time.Now().After(end) {
			return errors.Join(fmt.Errorf("%s: of %d releases not everything is to be had; is somebody who has it reachable? name one with --peer: %w", address(m.id), left, blobnet.ErrNotFound), err)
		}
		if err := pause(ctx, syncRetry); err != nil {
			return err
		}
	}
}

func (m *mirroring) fetched() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sum.Blobs
}

func (m *mirroring) addTo(res *MirrorResult) {
	m.mu.Lock()
	defer m.mu.Unlock()
	res.Releases += len(m.whole)
	res.Blobs += m.sum.Blobs
	res.Bytes += m.sum.Bytes
	res.Outside += m.sum.Outside
	res.LetGo += m.sum.LetGo
}

// toSweep reports, once, whether all is to be gone through.
func (m *mirroring) toSweep() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	sweeps := m.sweeps
	m.sweeps = false
	return sweeps
}

// behind reports whether the sweep found something that is to be had again.
func (m *mirroring) behind() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.from < 0
}

// releases yields the channel's releases behind a position.
func (m *mirroring) releases(ctx context.Context, after int64) iter.Seq2[catalog.Release, error] {
	return func(yield func(catalog.Release, error) bool) {
		for {
			page, err := m.n.catalog.Releases(ctx, m.id, after, 0)
			if err != nil {
				yield(catalog.Release{}, err)
				return
			}
			for _, r := range page {
				if after = r.Position; !yield(r, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// catchUp has what is not here yet of the releases that are known, and returns of
// how many not everything was to be had.
func (m *mirroring) catchUp(ctx context.Context) (left int, err error) {
	m.mu.Lock()
	after := max(m.from, 0)
	m.mu.Unlock()
	var missing atomic.Int64
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(mirrorReleases)
	first := true // all before are done
	for r, err := range m.releases(ctx, after) {
		if err != nil {
			group.Go(func() error { return err })
			break
		}
		m.mu.Lock()
		done := m.done[r.Position]
		if first = first && done; first {
			m.from = r.Position
			delete(m.done, r.Position)
		}
		m.mu.Unlock()
		if done {
			continue
		}
		if working.Err() != nil {
			break
		}
		group.Go(func() error {
			whole, err := m.have(working, r)
			if !whole {
				missing.Add(1)
			}
			return err
		})
	}
	err = group.Wait()
	return int(missing.Load()), err
}

// have has a release here whole, and reports whether it is.
func (m *mirroring) have(ctx context.Context, r catalog.Release) (bool, error) {
	if m.fleet != nil {
		return m.haveShare(ctx, r)
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
	if got.Missing == 0 {
		m.mu.Lock()
		m.done[r.Position], m.whole[r.Position] = true, true
		m.mu.Unlock()
	}
	m.count(got)
	if got.Fetched > 0 || got.Missing > 0 {
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
