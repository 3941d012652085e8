package tracker

import (
	"context"
	"iter"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// Find yields peers that may have what key stands for: the static ones first,
// then those of the local network, connected ones before others, and then
// those recorded in the DHT, as they are found. No peer comes twice, the
// host itself never; at most Config.MaxPeers come. Each has addresses that may be
// dialled, or is connected.
//
// It ends when the look-up does, after Config.FindTime, or with ctx; there is
// no error, as finding nobody is an ordinary result. Where nobody takes part
// in the DHT yet, it waits a few seconds for somebody. Nothing of it
// runs on once the loop is left.
func (t *Tracker) Find(ctx context.Context, key Key) iter.Seq[peer.AddrInfo] {
	return func(yield func(peer.AddrInfo) bool) {
		ctx, cancel := context.WithTimeout(ctx, t.cfg.FindTime)
		defer cancel()
		seen := map[peer.ID]bool{t.cfg.Host.ID(): true}
		more := func(p peer.AddrInfo) bool {
			seen[p.ID] = true
			return yield(p) && len(seen) <= t.cfg.MaxPeers
		}
		for _, p := range t.guesses() {
			if !seen[p.ID] && !more(p) {
				return
			}
		}
		if !t.cfg.DHT {
			return
		}
		select {
		case <-t.ready:
		case <-ctx.Done():
			return
		}
		table := t.getTable()
		if table == nil {
			return // Run has ended
		}
		found := make(chan peer.AddrInfo)
		go func() {
			defer close(found)
			table.find(ctx, key, found)
		}()
		defer func() {
			cancel()
			for range found { // until the look-up has ended
			}
		}()
		for p := range found {
			if seen[p.ID] {
				continue
			}
			p, ok := t.reachable(ctx, table, p)
			if ok && !more(p) {
				return
			}
		}
	}
}

// guesses are the peers that are asked before anybody said to have anything.
func (t *Tracker) guesses() []peer.AddrInfo {
	static := t.static.list()
	var lan []peer.AddrInfo
	if t.lan != nil {
		lan = t.lan.list()
	}
	for _, list := range [][]peer.AddrInfo{static, lan} {
		slices.SortStableFunc(list, func(a, b peer.AddrInfo) int { return t.distance(a) - t.distance(b) })
	}
	out := append(static, lan...)
	// They may have nothing, and must not crowd out those that said they do.
	if most := max(1, t.cfg.MaxPeers/2); t.cfg.DHT && len(out) > most {
		out = out[:most]
	}
	return out
}

func (t *Tracker) distance(p peer.AddrInfo) int {
	if t.connected(p.ID) {
		return 0
	}
	return 1
}

func (t *Tracker) connected(p peer.ID) bool {
	return t.cfg.Host.Network().Connectedness(p) == network.Connected
}

// reachable completes and cuts the addresses of a peer that others told of,
// and reports whether any way to it is left.
func (t *Tracker) reachable(ctx context.Context, table *table, p peer.AddrInfo) (peer.AddrInfo, bool) {
	if p.ID.Validate() != nil {
		return p, false
	}
	p.Addrs = usable(p.Addrs, t.cfg.Dialable)
	if len(p.Addrs) == 0 {
		p = table.locate(ctx, p.ID)
		p.Addrs = usable(p.Addrs, t.cfg.Dialable)
	}
	return p, len(p.Addrs) > 0 || t.connected(p.ID)
}
