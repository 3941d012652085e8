package tracker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const (
	maxLAN      = 256              // peers remembered
	maxLANConns = 64               // of them, connected to by ourselves
	lanMemory   = 2 * time.Hour    // an unconnected peer is remembered
	lanRetry    = time.Minute      // unconnected peers are dialled again
	lanDials    = 4                // at once
	lanRestart  = 30 * time.Second // after the search could not be started
)

// lan finds and connects to peers on the local network.
//
// Anybody there can claim anything, for instance a thousand peers, or a peer
// at an address of the victim's choice; so what is remembered is bounded, and
// only private addresses, by number, are kept.
type lan struct {
	host    host.Host
	onEvent func(Event)
	// start begins telling addresses and searching; tests replace it.
	start func(addrs []ma.Multiaddr, heard func(peer.AddrInfo), failed func(error)) (io.Closer, error)
	wake  chan struct{} // holds one: there may be somebody to dial

	mu     sync.Mutex
	peers  map[peer.ID]*lanPeer // guarded by mu
	failed bool                 // guarded by mu: the search does not work, and that was told
}

type lanPeer struct {
	addrs  []ma.Multiaddr
	seen   time.Time // last heard of, or last connected
	dialed time.Time // last attempt; zero: none since last heard of
}

func newLAN(h host.Host, service string, onEvent func(Event)) *lan {
	return &lan{
		host:    h,
		onEvent: onEvent,
		start: func(addrs []ma.Multiaddr, heard func(peer.AddrInfo), failed func(error)) (io.Closer, error) {
			return startMDNS(service, h.ID(), addrs, heard, failed)
		},
		wake:  make(chan struct{}, 1),
		peers: make(map[peer.ID]*lanPeer),
	}
}

// run searches until ctx ends, and returns nil once nothing of it runs. The
// search starts anew whenever the host's addresses change, for it would go on
// telling the old ones.
func (l *lan) run(ctx context.Context) error {
	events, err := l.host.EventBus().Subscribe([]any{
		new(event.EvtLocalAddressesUpdated), new(event.EvtPeerConnectednessChanged)}, eventbus.BufSize(256))
	if err != nil {
		return fmt.Errorf("watching addresses: %w", err)
	}
	defer events.Close()
	var dials sync.WaitGroup
	defer dials.Wait()
	slots := make(chan struct{}, lanDials)

	var (
		service io.Closer
		told    []ma.Multiaddr // addresses that service tells, or could not be started with
		tried   time.Time
	)
	stop := func() {
		if service != nil {
			service.Close() // whatever goes wrong while saying goodbye
			service = nil
		}
	}
	defer stop()
	restart := time.NewTicker(lanRestart)
	defer restart.Stop()
	retry := time.NewTicker(lanRetry)
	defer retry.Stop()
	for {
		now := lanAddrs(l.host.Addrs())
		moved := !slices.EqualFunc(now, told, ma.Multiaddr.Equal)
		if moved || (service == nil && time.Since(tried) >= lanRestart) {
			stop()
			told, tried = now, time.Now()
			if len(now) > 0 { // else this node listens on loopback only, and nobody could come
				var err error
				if service, err = l.start(now, l.heard, l.broken); err != nil {
					service = nil
					l.broken(err)
				}
			}
		}
		l.dialSome(ctx, &dials, slots)
		select {
		case <-ctx.Done():
			return nil
		case <-l.wake:
		case <-restart.C:
		case <-retry.C:
			l.expire(time.Now())
		case e, ok := <-events.Out():
			if !ok {
				return errors.New("watching addresses: the host has been closed")
			}
			if e, ok := e.(event.EvtPeerConnectednessChanged); ok {
				l.touch(e.Peer)
			}
		}
	}
}

// broken takes that the search does not work, and tells it once.
func (l *lan) broken(err error) {
	l.mu.Lock()
	told := l.failed
	l.failed = true
	l.mu.Unlock()
	if !told {
		l.onEvent(Event{Kind: NoLAN, Err: err})
	}
}

// heard takes what was heard.
func (l *lan) heard(p peer.AddrInfo) {
	addrs := lanAddrs(p.Addrs)
	if p.ID == l.host.ID() || p.ID.Validate() != nil || len(addrs) == 0 {
		return
	}
	now := time.Now()
	l.mu.Lock()
	l.failed = false // somebody was heard
	known := l.peers[p.ID]
	if known == nil && len(l.peers) >= maxLAN {
		l.mu.Unlock()
		return // until some expire: the first to be heard of are not pushed out
	}
	if known == nil {
		l.peers[p.ID] = &lanPeer{addrs: addrs, seen: now}
	} else {
		known.addrs, known.seen, known.dialed = addrs, now, time.Time{}
	}
	l.mu.Unlock()
	kick(l.wake)
	if known == nil {
		l.onEvent(Event{Kind: Found, Peer: p.ID, Addrs: addrs})
	}
}

// list returns the peers, in no order.
func (l *lan) list() []peer.AddrInfo {
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]peer.AddrInfo, 0, len(l.peers))
	for id, p := range l.peers {
		out = append(out, peer.AddrInfo{ID: id, Addrs: p.addrs})
	}
	return out
}

// touch notes that connections to a peer came or went: it was there.
func (l *lan) touch(id peer.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if p := l.peers[id]; p != nil {
		p.seen = time.Now()
	}
}

// expire forgets those not heard of for long.
func (l *lan) expire(now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.peers {
		switch {
		case l.connected(id):
			p.seen = now
		case now.Sub(p.seen) >= lanMemory:
			delete(l.peers, id)
		}
	}
}

// dialSome starts dialling peers that are not connected and were not dialled
// lately, as far as there are slots.
func (l *lan) dialSome(ctx context.Context, dials *sync.WaitGroup, slots chan struct{}) {
	for {
		select {
		case slots <- struct{}{}:
		default:
			return // a dial that ends wakes run
		}
		p, ok := l.nextDial(time.Now())
		if !ok {
			<-slots
			return
		}
		dials.Go(func() {
			defer func() { <-slots; kick(l.wake) }()
			ctx, cancel := context.WithTimeout(ctx, dialTime)
			defer cancel()
			// Failing is ordinary: the peer has gone, or never was.
			_ = l.host.Connect(ctx, p)
		})
	}
}

func (l *lan) nextDial(now time.Time) (peer.AddrInfo, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	connected := 0
	var next peer.ID
	for id, p := range l.peers {
		if l.connected(id) {
			connected++
		} else if now.Sub(p.dialed) >= lanRetry {
			next = id
		}
	}
	if next == "" || connected >= maxLANConns {
		return peer.AddrInfo{}, false
	}
	l.peers[next].dialed = now
	return peer.AddrInfo{ID: next, Addrs: l.peers[next].addrs}, true
}

// connected takes no time, so it may be called with mu held.
func (l *lan) connected(id peer.ID) bool {
	return l.host.Network().Connectedness(id) == network.Connected
}

// lanAddrs returns those of addrs that mean this local network: private and
// link-local IP addresses, and ranges that nobody routes, but not loopback, not
// the Internet, and no names, which would have to be resolved.
func lanAddrs(addrs []ma.Multiaddr) []ma.Multiaddr {
	return usable(addrs, func(a ma.Multiaddr) bool {
		switch a[0].Protocol().Code {
		case ma.P_IP4, ma.P_IP6:
		default:
			return false
		}
		ip, err := manet.ToIP(a)
		if err != nil || ip.IsLoopback() || ip.IsUnspecified() || ip.IsMulticast() || manet.IsPublicAddr(a) {
			return false
		}
		_, err = a.ValueForProtocol(ma.P_CIRCUIT)
		return err != nil
	})
}
