package gossip

import (
	"context"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

const (
	findLimit   = 30 * time.Second // one look-up, with connecting
	maxFound    = 50               // peers taken from one look-up
	maxDialling = 4                // at once, in one look-up
)

// look looks for followers in the background, unless a look-up is under way.
func (g *Gossip) look(in *interest) {
	in.mu.Lock()
	busy := in.finding
	in.finding = true
	in.mu.Unlock()
	if busy {
		return
	}
	g.start(func() {
		ctx, cancel := context.WithTimeout(g.ctx, findLimit)
		defer cancel()
		g.find(ctx, in, func(p peer.ID) { g.plan.want(p, in.target, 0, false) })
		in.mu.Lock()
		defer in.mu.Unlock()
		in.finding = false
		wait := g.cfg.FindInterval
		if len(in.answered) == 0 {
			wait = min(wait, time.Second<<min(in.tries, 10))
			in.tries++
		}
		in.nextFind = time.Now().Add(vary(wait))
	})
}

// find connects to the hints and to whom the tracker finds, and gives each
// that can be reached to use, from several goroutines. It returns when all is
// done or ctx ends.
func (g *Gossip) find(ctx context.Context, in *interest, use func(peer.ID)) {
	in.mu.Lock()
	hints := append([]peer.AddrInfo(nil), in.hints...)
	in.mu.Unlock()

	seen := make(map[peer.ID]bool)
	slots := make(chan struct{}, maxDialling)
	meet := func(info peer.AddrInfo) bool {
		if info.ID == g.cfg.Host.ID() || seen[info.ID] || g.conduct.banned(info.ID) {
			return true
		}
		if len(seen) >= maxFound+maxHints {
			return false
		}
		seen[info.ID] = true
		select {
		case slots <- struct{}{}:
		case <-ctx.Done():
			return false
		}
		go func() {
			defer func() { <-slots }()
			dial, cancel := context.WithTimeout(ctx, dialLimit)
			defer cancel()
			g.cfg.Host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
			if err := g.cfg.Host.Connect(dial, info); err != nil {
				if ctx.Err() == nil {
					g.event(Event{Kind: EventFailed, Peer: info.ID, Channel: in.channel, Topic: in.topic, Err: err})
				}
				return
			}
			use(info.ID)
		}()
		return true
	}
	more := true
	for _, h := range hints {
		if more = meet(h); !more {
			break
		}
	}
	if more && g.cfg.Find != nil {
		for info := range g.cfg.Find(ctx, in.key) {
			if !meet(info) {
				break
			}
		}
	}
	for range maxDialling { // until the last dial is done
		slots <- struct{}{}
	}
}
