package gossip

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// MaxLater is up to which version the root of a channel is asked for that is only
// listed.
const MaxLater = 64

// Later is what followers of a listed channel say beyond what a listing holds.
type Later struct {
	Root  channel.Root // the newest that follows what is known here; Version 0: nobody has a later one
	Seq   uint64       // of the newest release that a head under these roots names, 0 for none
	Of    channel.Time // when that head was issued
	Short bool         // there are, or may well be, later ones that were not had: see laters
}

// Later asks those who have answered about a topic, and whoever else is connected, for
// the roots of channels after those that a listing holds, up to version MaxLater, and
// their heads, which may be under any root from the first on. Each root is checked against the one before it, from the newest that is
// known here on. Nothing of it is kept: a listed channel has its bounds. When one peer
// has given later roots of all of them, and all that it says it has, the others have 2 s
// more; else it goes on until all have answered or failed, or ctx ends.
func (g *Gossip) Later(ctx context.Context, topic string, ids []channel.ID) (map[channel.ID]Later, error) {
	roots := make(map[channel.ID][]channel.Root, len(ids))
	for _, id := range ids[:min(len(ids), MaxKeys)] {
		info, err := g.cfg.Ledger.Channel(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("asking for later roots: %w", err)
		}
		if info.Reason != catalog.Listed || !info.HasRoot {
			continue
		}
		if roots[id], err = g.rootsUpTo(ctx, id, info.Root); err != nil {
			return nil, fmt.Errorf("asking for later roots: %w", err)
		}
	}
	if len(roots) == 0 {
		return nil, nil
	}
	var followers []peer.ID
	if in := g.browsed(target{topic: topic}); in != nil {
		followers = g.followers(in)
	}
	peers := someOf(followers, g.neighbours(), 2*maxFound) // all at once: those that say nothing hold up nobody
	all, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &laters{from: roots, got: make(map[channel.ID]Later, len(roots)), whole: make(map[channel.ID]uint64, len(roots))}
	var work sync.WaitGroup
	first := sync.OnceFunc(func() {
		last := time.AfterFunc(othersWait, cancel)
		context.AfterFunc(all, func() { last.Stop() })
	})
	for _, p := range peers {
		work.Go(func() {
			if whole, err := g.later(all, p, l); err == nil && whole {
				first()
			}
		})
	}
	work.Wait() // soon after ctx has ended
	return l.all(), nil
}

// rootsUpTo returns the roots of a channel that are kept, up to one of them.
func (g *Gossip) rootsUpTo(ctx context.Context, id channel.ID, newest channel.Root) ([]channel.Root, error) {
	kept, err := g.cfg.Ledger.Roots(ctx, id, 1, int(min(newest.Version, maxRoots)), MaxAnswer)
	if err != nil {
		return nil, err
	}
	var roots []channel.Root
	for _, data := range kept {
		env, err := channel.DecodeEnvelope(data)
		if err != nil {
			return nil, err
		}
		root, err := channel.OpenRoot(env) // verified when it was taken in
		if err != nil {
			return nil, err
		}
		if root.Version < newest.Version {
			roots = append(roots, root)
		}
	}
	return append(roots, newest), nil
}

// someOf returns at most most of the peers, each once: followers first. Among each of
// both it is chance who is left out: an identity is cheap to make to any order.
func someOf(followers, others []peer.ID, most int) []peer.ID {
	var out []peer.ID
	seen := make(map[peer.ID]bool)
	for _, group := range [][]peer.ID{followers, others} {
		for _, i := range rand.Perm(len(group)) {
			if p := group[i]; !seen[p] && len(out) < most {
				seen[p] = true
				out = append(out, p)
			}
		}
	}
	return out
}

// laters is what has come so far. A peer that names a number and gives no root is not
// believed: that costs nothing, and would make every channel look old. There are later
// roots than were had where the root keys have signed one that cannot be read or placed
// here, or where roots came up to MaxLater and whoever gave them has more; and there may
// be where nobody who gave the newest root gave all that he says he has.
type laters struct {
	from  map[channel.ID][]channel.Root // what is known here, the newest at last
	mu    sync.Mutex
	got   map[channel.ID]Later  // guarded by mu
	whole map[channel.ID]uint64 // guarded by mu: up to which version somebody gave all that he has
}

// all returns what has come, once nothing more does.
func (l *laters) all() map[channel.ID]Later {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, n := range l.got {
		n.Short = n.Short || n.Root.Version > l.whole[id]
		l.got[id] = n
	}
	return l.got
}

// take keeps what is newer of what a peer gave that says it has the roots up to a version.
func (l *laters) take(id channel.ID, n Later, says uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if n.Root.Version == min(says, MaxLater) {
		l.whole[id] = max(l.whole[id], n.Root.Version)
	}
	have := l.got[id]
	if n.Root.Version > have.Root.Version {
		have.Root = n.Root
	}
	if n.Of > have.Of {
		have.Seq, have.Of = n.Seq, n.Of
	}
	have.Short = have.Short || n.Short
	l.got[id] = have
}

// later asks one peer, and reports whether it gave later roots of all channels.
func (g *Gossip) later(ctx context.Context, p peer.ID, l *laters) (whole bool, err error) {
	defer func() {
		switch {
		case err == nil:
			g.conduct.good(p)
		case errors.Is(err, ErrMisbehaved):
			g.conduct.lied(p)
			g.event(Event{Kind: EventMisbehaved, Peer: p, Err: err})
		}
	}()
	stream, err := g.dial(ctx, p)
	if err != nil {
		return false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = stream.Reset() })
	defer func() {
		stop()
		_ = stream.Reset() // all that was asked for has been read, or nothing more is wanted
	}()
	pull := newPuller(g.cfg.Ledger, &g.claims, stream, g.cfg.Patience, g.synced)
	var ids []channel.ID
	for id := range l.from {
		ids = append(ids, id)
	}
	sections, err := pull.heads(ids)
	if err != nil {
		return false, err
	}
	whole = len(sections) == len(ids)
	for id, s := range sections {
		if known := l.from[id]; s.Root <= known[len(known)-1].Version {
			whole = false
			continue
		}
		n, err := pull.later(id, l.from[id], s)
		if errors.Is(err, errUnread) {
			l.take(id, n, s.Root)
			return false, nil // the rest of its answer is still under way
		}
		if err != nil {
			return false, fmt.Errorf("asking for later roots of channel %s: %w", id.Short(), err)
		}
		l.take(id, n, s.Root)
		whole = whole && n.Root.Version == min(s.Root, MaxLater)
	}
	return whole, nil
}
