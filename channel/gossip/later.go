package gossip

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	Short bool         // somebody has, by his own account, later ones that were not had
}

// Later asks those who have answered about a topic, and whoever else is connected, for
// the roots of channels after those that a listing holds, up to version MaxLater, and
// their heads. Each root is checked against the one before it, from the newest that is
// known here on. Nothing of it is kept: a listed channel has its bounds. When one peer
// has given later roots of all of them, and all that it says it has, the others have 2 s
// more; else it goes on until all have answered or failed, or ctx ends.
func (g *Gossip) Later(ctx context.Context, topic string, ids []channel.ID) (map[channel.ID]Later, error) {
	roots := make(map[channel.ID]channel.Root, len(ids))
	for _, id := range ids[:min(len(ids), MaxKeys)] {
		info, err := g.cfg.Ledger.Channel(ctx, id)
		if err != nil {
			return nil, fmt.Errorf("asking for later roots: %w", err)
		}
		if info.Reason == catalog.Listed && info.HasRoot {
			roots[id] = info.Root
		}
	}
	if len(roots) == 0 {
		return nil, nil
	}
	peers := g.neighbours()
	if in := g.browsed(target{topic: topic}); in != nil {
		peers = append(g.followers(in), peers...)
	}
	slices.Sort(peers)
	peers = slices.Compact(peers)
	peers = peers[:min(len(peers), 2*maxFound)] // all at once: those that say nothing hold up nobody
	all, cancel := context.WithCancel(ctx)
	defer cancel()
	l := &laters{from: roots, got: make(map[channel.ID]Later, len(roots))}
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
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.got, nil
}

// laters is what has come so far.
type laters struct {
	from map[channel.ID]channel.Root // what is known here
	mu   sync.Mutex
	got  map[channel.ID]Later // guarded by mu
}

// errPast: a root does not follow what is known here, so that one of both histories may
// be false. Which one is found out once the channel is followed.
var errPast = errors.New("root of another history")

// take keeps what is newer.
func (l *laters) take(id channel.ID, n Later) {
	l.mu.Lock()
	defer l.mu.Unlock()
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
		if s.Root <= l.from[id].Version {
			whole = false
			continue
		}
		n, err := pull.later(id, l.from[id], s)
		if errors.Is(err, channel.ErrVersion) || errors.Is(err, errPast) { // of a newer kind than we read, or not to be judged
			l.take(id, Later{Short: true})
			return false, nil // the rest of its answer is still under way
		}
		if err != nil {
			return false, fmt.Errorf("asking for later roots of channel %s: %w", id.Short(), err)
		}
		l.take(id, n)
		whole = whole && n.Root.Version > 0 && (!n.Short || n.Root.Version == MaxLater)
	}
	return whole, nil
}

// later reads the roots after a known one, and what the peer's heads say under them.
func (p *puller) later(id channel.ID, known channel.Root, s section) (Later, error) {
	r := request{Kind: askRoots, Keys: []channel.Hash{id.Discovery()}, From: known.Version + 1, To: min(s.Root, MaxLater)}
	out := Later{Short: s.Root > MaxLater}
	if r.To < r.From {
		return out, nil
	}
	if err := p.ask(r); err != nil {
		return out, err
	}
	chain := map[uint64]channel.Root{known.Version: known}
	newest := known
	for {
		a, err := p.next()
		if err != nil {
			return out, err
		}
		if a.More && len(a.Sections) == 0 || len(a.Sections) > 1 {
			return out, lied("roots in no section, or several")
		}
		for _, sec := range a.Sections {
			if sec.Key != r.Keys[0] || len(sec.Items) == 0 || newest.Version+uint64(len(sec.Items)) > r.To {
				return out, lied("roots that were not asked for")
			}
			for _, data := range sec.Items {
				env, err := channel.DecodeEnvelope(data)
				if err != nil {
					return out, lied("%w", err)
				}
				root, err := channel.VerifyRoot(env, &newest)
				switch {
				case errors.Is(err, channel.ErrVersion):
					return out, err
				case errors.Is(err, channel.ErrChain) && newest.Version == known.Version:
					return out, errPast
				case err != nil:
					return out, lied("%w", err)
				}
				newest = root
				chain[root.Version] = root
			}
		}
		if !a.More {
			break
		}
	}
	out.Short = out.Short || newest.Version < s.Root
	if newest.Version > known.Version {
		out.Root = newest
	}
	for _, data := range s.Items {
		if h, ok := headUnder(data, id, chain, newest); ok && h.Issued > out.Of {
			out.Seq, out.Of = h.Seq, h.Issued
		}
	}
	return out, nil
}

// headUnder is a head that counts under the newest of some roots: one that its signer
// may sign there, and that does not go beyond what was revoked.
func headUnder(data []byte, id channel.ID, chain map[uint64]channel.Root, newest channel.Root) (channel.Head, bool) {
	env, err := channel.DecodeEnvelope(data)
	if err != nil {
		return channel.Head{}, false
	}
	h, err := channel.OpenHead(env)
	if err != nil {
		return channel.Head{}, false
	}
	under, there := chain[h.Root]
	if !there {
		return channel.Head{}, false
	}
	if h, err = channel.VerifyHead(env, id, under); err != nil || h.Issued > channel.TimeOf(time.Now().Add(5*time.Minute)) {
		return channel.Head{}, false
	}
	if revoked, ended := newest.RevokedKey(h.Log); ended && h.Seq > revoked.Seq {
		return channel.Head{}, false
	}
	if signer := env.Signers()[0]; signer != h.Log {
		if _, still := newest.Publisher(signer); !still {
			return channel.Head{}, false
		}
	}
	return h, true
}
