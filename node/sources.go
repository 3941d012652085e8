package node

import (
	"context"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
)

// A running fetch looks for more peers: among those that are connected anyway,
// which is cheap, and by the tracker: soon again at first, since those who begin
// at the same time have not been announced yet when each looks for the others. Never
// changed.
var (
	pollPauses = []time.Duration{time.Second}
	findPauses = []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 15 * time.Second}
)

// sources are the peers of one swarm.
type sources struct {
	net   *network
	swarm *fetch.Swarm

	mu    sync.Mutex // guards added; held for memory work alone
	added map[peer.ID]*exchange.Peer
}

// feedSwarm adds to s the bridges, and every peer that is found under keys or by
// more, which may be nil, until ctx ends, and then takes them back. Meanwhile s
// is told what peers say, unasked, that they have.
func (net *network) feedSwarm(ctx context.Context, s *fetch.Swarm, more func() []peer.ID, keys ...tracker.Key) {
	src := &sources{net: net, swarm: s, added: map[peer.ID]*exchange.Peer{}}
	net.swarms.Store(s, nil)
	defer net.swarms.Delete(s)
	for _, p := range net.bridges.list() {
		s.Add(p)
		defer s.Remove(p.Name())
	}
	var both sync.WaitGroup
	if more != nil {
		both.Go(func() {
			every(ctx, pollPauses, func() {
				for _, id := range more() {
					src.add(peer.AddrInfo{ID: id})
				}
			})
		})
	}
	both.Go(func() {
		every(ctx, findPauses, func() {
			for _, key := range keys {
				for info := range net.tracker.Find(ctx, key) {
					src.add(info)
				}
			}
		})
	})
	both.Wait()
	src.close()
}

// gather begins to feed s and returns what ends it, which waits.
func (net *network) gather(ctx context.Context, s *fetch.Swarm, more func() []peer.ID, keys ...tracker.Key) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var feeding sync.WaitGroup
	feeding.Go(func() { net.feedSwarm(ctx, s, more, keys...) })
	return func() {
		cancel()
		feeding.Wait()
	}
}

// every calls do at once and then after each of pauses, the last of which is
// repeated, until ctx ends.
func every(ctx context.Context, pauses []time.Duration, do func()) {
	for do(); pause(ctx, pauses[0]) == nil; do() {
		if len(pauses) > 1 {
			pauses = pauses[1:]
		}
	}
}

// add lets a peer be asked. One that is found again is added again, since the
// swarm lets go of those that misbehave, for as long as they are banned.
func (src *sources) add(info peer.AddrInfo) {
	if info.ID == src.net.host.ID() {
		return
	}
	src.mu.Lock()
	p := src.added[info.ID]
	if p == nil {
		p = src.net.exchange.Peer(info.ID)
		src.added[info.ID] = p
	}
	src.mu.Unlock()
	if len(info.Addrs) > 0 {
		src.net.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	}
	src.swarm.Add(p)
}

func (src *sources) close() {
	for _, p := range src.added {
		src.swarm.Remove(p.Name())
		_ = p.Close() // it only lets go of streams that others may share
	}
}
