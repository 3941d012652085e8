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
	done  positions
	whole positions // of all releases: counted once
	lists positions // those of which something is kept, and all could be listed
	sum   MirrorResult
	share
	noRoom map[int64]roomWait
	lacks  positions // of which the last time not everything was to be had
	sweeps bool      // all is to be gone through
	resets int       // how often the shares have changed
}

func (n *Node) newMirroring(ctx context.Context, net *network, ledger *kept.Ledger, id channel.ID, emit func(any)) (*mirroring, error) {
	round, err := ledger.Round(ctx, kept.Of(id))
	if err != nil {
		return nil, err
	}
	m := &mirroring{
		n: n, net: net, ledger: ledger, id: id, emit: emit, round: round,
		news: make(chan struct{}, 1), done: positions{}, whole: positions{}, lists: positions{}, share: newShare(),
		noRoom: map[int64]roomWait{}, lacks: positions{},
	}
	m.swarm, err = m.newSwarm()
	return m, err
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
	res.Releases += m.whole.count()
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
	return m.n.releasesAfter(ctx, m.id, after)
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
		done := m.done.has(r.Position)
		if first = first && done; first {
			m.from = r.Position
			m.done.remove(r.Position)
		}
		m.mu.Unlock()
		if done {
			continue
		}
		if working.Err() != nil {
			break
		}
		group.Go(func() error {
			if m.waitsForRoom(r) {
				missing.Add(1)
				return nil
			}
			whole, err := m.have(working, r)
			m.tried(r, err)
			if !whole {
				missing.Add(1)
			}
			return err
		})
	}
	err = group.Wait()
	return int(missing.Load()), err
}
