package node

import (
	"context"
	"net/netip"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/copies"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel"
)

const (
	// maxCandidates is how many peers are asked for copies at the most.
	maxCandidates = 128
	// maxFoundBy is how many keys beside the channel's the tracker is asked for.
	maxFoundBy = 8
)

// candidates are the peers that may have copies of a channel's blobs: those that
// follow it, those that are connected, and those that the tracker names. They are
// gathered beside whoever asks them.
type candidates struct {
	net *network

	mu   sync.Mutex // guards what follows; held for memory work alone
	all  []peer.ID
	seen map[peer.ID]bool
	over bool          // no more will come
	news chan struct{} // closed when all or over has changed
}

func newCandidates(net *network) *candidates {
	return &candidates{net: net, seen: map[peer.ID]bool{net.host.ID(): true}, news: make(chan struct{})}
}

// gather looks once for those who have the channel or what the keys stand for, and
// returns when nobody else is found or ctx ends.
func (c *candidates) gather(ctx context.Context, id channel.ID, keys ...tracker.Key) {
	c.connected(id)
	var looking sync.WaitGroup
	for _, key := range append([]tracker.Key{tracker.Key(id.Discovery())}, keys[:min(len(keys), maxFoundBy)]...) {
		looking.Go(func() {
			for info := range c.net.tracker.Find(ctx, key) {
				c.add(info)
			}
		})
	}
	looking.Wait()
	c.connected(id)
}

// connected adds those that are connected now, followers first.
func (c *candidates) connected(id channel.ID) {
	for _, p := range append(c.net.gossip.Peers(id), c.net.host.Network().Peers()...) {
		c.add(peer.AddrInfo{ID: p})
	}
}

func (c *candidates) add(info peer.AddrInfo) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(info.Addrs) > 0 {
		c.net.host.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.TempAddrTTL)
	}
	if c.seen[info.ID] || len(c.all) >= maxCandidates {
		return
	}
	c.seen[info.ID] = true
	c.all = append(c.all, info.ID)
	c.changed()
}

// end says that no more will come.
func (c *candidates) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	c.changed()
}

// changed wakes who waits. mu is held.
func (c *candidates) changed() {
	close(c.news)
	c.news = make(chan struct{})
}

// at returns the ith candidate, once there is one; false if there will be none.
func (c *candidates) at(ctx context.Context, i int) (peer.ID, bool) {
	for {
		c.mu.Lock()
		news, over := c.news, c.over
		if i < len(c.all) {
			defer c.mu.Unlock()
			return c.all[i], true
		}
		c.mu.Unlock()
		if over {
			return "", false
		}
		select {
		case <-news:
		case <-ctx.Done():
			return "", false
		}
	}
}

// list returns those that were found so far.
func (c *candidates) list() []peer.ID {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.all[:len(c.all):len(c.all)]
}

// anyone is a Source that asks the store, and then one candidate after the other,
// for the few blobs without which nobody knows what there is to ask about. Nothing
// of them is kept.
type anyone struct {
	here blobnet.Source
	from *candidates
}

// Get implements blobnet.Source.
func (a anyone) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	out, err := a.here.Get(ctx, id, dst)
	for i := 0; err != nil && ctx.Err() == nil; i++ {
		p, ok := a.from.at(ctx, i)
		if !ok {
			break
		}
		source := a.from.net.exchange.Peer(p)
		limited, cancel := context.WithTimeout(ctx, haveTime)
		var got []byte
		if got, err = source.Get(limited, id, dst); err == nil {
			out = got
		}
		cancel()
		_ = source.Close() // it only lets go of streams
	}
	return out, err
}

// networkOf names the network of a peer, and says of what class its address is. One
// that is reached through a relay alone is nowhere.
func (net *network) networkOf(p peer.ID) (string, copies.Class) {
	var ip netip.Addr
	for _, c := range net.host.Network().ConnsToPeer(p) {
		if c.Stat().Limited {
			continue
		}
		if found, err := manet.ToIP(c.RemoteMultiaddr()); err == nil {
			if addr, ok := netip.AddrFromSlice(found); ok {
				ip = addr
				break
			}
		}
	}
	return copies.Network(ip, p.String())
}
