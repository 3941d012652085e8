package gossip

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/libp2p/go-libp2p/core/peer"
)

// interest is a channel that is followed, or a topic that is listened to.
type interest struct {
	target
	key  channel.Hash // by which others are found
	room string

	mu        sync.Mutex
	hints     []peer.AddrInfo
	answered  map[peer.ID]struct{} // peers that answered for it
	heard     bool                 // one has, ever
	nextFind  time.Time
	nextSync  time.Time
	tries     int           // look-ups before anyone answered
	hunger    int           // sessions that left us behind and brought nothing
	finding   bool          // a look-up is under way
	waiting   int           // messages that wait for their predecessor
	progress  chan struct{} // closed and replaced when the Ledger moved
	retold    time.Time     // when sync last made us pass on heads
	retelling bool          // it will again, when retellAfter is over
	announced map[[32]byte]bool
}

func newInterest(t target) *interest {
	in := &interest{
		target:    t,
		answered:  make(map[peer.ID]struct{}),
		progress:  make(chan struct{}),
		announced: make(map[[32]byte]bool),
	}
	in.room = t.room()
	if t.topic != "" {
		in.key = channel.TopicKey(t.topic)
	} else {
		in.key = t.channel.Discovery()
	}
	return in
}

// add begins an interest, or gives one more hints.
func (g *Gossip) add(t target, hints []peer.AddrInfo) error {
	g.mu.Lock()
	in, known := g.interests[t]
	if !known {
		in = newInterest(t)
		g.interests[t] = in
		if t.topic != "" {
			g.topics.listen(t.topic)
		}
	}
	up := g.running()
	g.mu.Unlock()
	in.hint(hints)
	if !up {
		return nil // Run enters
	}
	if err := g.enter(in); err != nil {
		return err
	}
	if known {
		for _, p := range g.followers(in) {
			g.plan.want(p, t, 0, false)
		}
	}
	g.look(in)
	return nil
}

func (g *Gossip) remove(t target) {
	g.mu.Lock()
	in := g.interests[t]
	delete(g.interests, t)
	g.mu.Unlock()
	if in == nil {
		return
	}
	g.plan.drop(t)
	g.leave(in)
	g.unannounce(in)
}

func (g *Gossip) interest(t target) *interest {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.interests[t]
}

// hint adds addresses, the newest of a peer replacing older ones, and makes
// the next look-up due.
func (in *interest) hint(hints []peer.AddrInfo) {
	in.mu.Lock()
	defer in.mu.Unlock()
	for _, h := range hints {
		in.hints = slices.DeleteFunc(in.hints, func(old peer.AddrInfo) bool { return old.ID == h.ID })
		in.hints = append(in.hints, h)
	}
	if over := len(in.hints) - maxHints; over > 0 {
		in.hints = slices.Delete(in.hints, 0, over)
	}
	if len(hints) > 0 {
		in.nextFind, in.tries = time.Time{}, 0
	}
}

// answers notes that p answered for the interest.
func (in *interest) answers(p peer.ID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if _, ok := in.answered[p]; !ok && len(in.answered) >= maxFollower {
		for q := range in.answered { // an arbitrary one
			delete(in.answered, q)
			break
		}
	}
	in.answered[p], in.heard = struct{}{}, true
}

func (in *interest) forget(p peer.ID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.answered, p)
}

// hungers brings the next session nearer where the last one left us behind
// what we know there is: after half a second, and twice that for every session
// that brought nothing. The peer that was asked may be waiting for it as well.
func (in *interest) hungers(behind, progress bool, most time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if !behind || progress {
		in.hunger = 0
	}
	if !behind {
		return
	}
	soon := time.Now().Add(min(most, time.Second/2<<min(in.hunger, 16)))
	in.hunger++
	if in.nextSync.IsZero() || soon.Before(in.nextSync) {
		in.nextSync = soon
	}
}

// moved wakes the messages that wait for the Ledger to move.
func (in *interest) moved() {
	in.mu.Lock()
	defer in.mu.Unlock()
	close(in.progress)
	in.progress = make(chan struct{})
}

// followers returns the connected peers that share the interest, without
// those that misbehaved.
func (g *Gossip) followers(in *interest) []peer.ID {
	set := make(map[peer.ID]struct{})
	if g.running() {
		for _, p := range g.mesh.ListPeers(in.room) {
			set[p] = struct{}{}
		}
	}
	in.mu.Lock()
	maps.Copy(set, in.answered)
	in.mu.Unlock()
	return slices.DeleteFunc(slices.Collect(maps.Keys(set)), func(p peer.ID) bool {
		return p == g.cfg.Host.ID() || g.conduct.banned(p) || !g.connected(p)
	})
}

// agenda does what is done by the clock until ctx ends: looks for followers,
// and compares with one at random.
func (g *Gossip) agenda(ctx context.Context) {
	tick := time.NewTicker(min(time.Second, g.cfg.SyncInterval/2, g.cfg.FindInterval/2))
	defer tick.Stop()
	for n := 0; ; n++ {
		now := time.Now()
		g.mu.Lock()
		all := slices.Collect(maps.Values(g.interests))
		g.mu.Unlock()
		for _, in := range all {
			if ctx.Err() != nil {
				return
			}
			in.mu.Lock()
			find := !in.finding && !in.nextFind.After(now)
			first := in.nextSync.IsZero()
			sync := !first && !in.nextSync.After(now)
			if first || sync {
				in.nextSync = now.Add(vary(g.cfg.SyncInterval))
			}
			in.mu.Unlock()
			if find {
				if g.roomLeft() {
					_ = g.enter(in) // there may not have been; it fails only when pubsub has stopped
				}
				g.look(in)
			}
			if sync {
				if ps := g.followers(in); len(ps) > 0 {
					g.plan.want(ps[rand.IntN(len(ps))], in.target, 0, false)
				}
			}
		}
		if n%60 == 10 {
			g.start(g.survey)
		}
		if n%60 == 59 {
			g.filter.prune(g.connected)
			g.served.prune()
			g.budget.prune()
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// vary returns d, less or more by up to a fifth, so that nodes that started
// together do not stay together.
func vary(d time.Duration) time.Duration {
	return d - d/5 + rand.N(2*d/5+1)
}

// announce makes the interest's key, and the keys of the channel's topics and of
// those above them, findable; each once, since Announce keeps at it.
func (g *Gossip) announce(in *interest) {
	if g.cfg.Announce == nil {
		return
	}
	g.start(func() {
		keys := [][32]byte{in.key}
		if in.topic == "" {
			info, err := g.cfg.Ledger.Channel(g.ctx, in.channel)
			if err == nil && info.HasRoot {
				for _, t := range announcedTopics(info.Root.Topics) {
					keys = append(keys, channel.TopicKey(t))
				}
			}
		}
		in.mu.Lock()
		keys = slices.DeleteFunc(keys, func(k [32]byte) bool { return in.announced[k] })
		for _, k := range keys {
			in.announced[k] = true
		}
		in.mu.Unlock()
		if len(keys) == 0 {
			return
		}
		if err := g.cfg.Announce(g.ctx, keys...); err != nil && g.ctx.Err() == nil {
			in.mu.Lock()
			for _, k := range keys {
				delete(in.announced, k)
			}
			in.mu.Unlock()
			g.event(Event{Kind: EventFailed, Channel: in.channel, Topic: in.topic, Err: fmt.Errorf("announcing: %w", err)})
		}
		if g.interest(in.target) != in {
			g.unannounce(in) // it ended meanwhile
		}
	})
}

// unannounce ends the announcing of what in alone had announced.
func (g *Gossip) unannounce(in *interest) {
	if g.cfg.Unannounce == nil {
		return
	}
	in.mu.Lock()
	keys := slices.Collect(maps.Keys(in.announced))
	in.mu.Unlock()
	g.mu.Lock()
	rest := slices.Collect(maps.Values(g.interests))
	g.mu.Unlock()
	for _, other := range rest {
		other.mu.Lock()
		keys = slices.DeleteFunc(keys, func(k [32]byte) bool { return other.announced[k] })
		other.mu.Unlock()
	}
	if len(keys) > 0 {
		g.cfg.Unannounce(keys...)
	}
}
