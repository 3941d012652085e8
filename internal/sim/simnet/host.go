package simnet

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
)

// Sent hears of everything that a host hands to the network.
type Sent func(proto protocol.ID, data []byte, lost bool)

// Host is one run of a node; a node that comes back is a new Host with the old
// name. It implements host.Host and network.Network, as far as they are used.
type Host struct {
	net    *Net
	id     peer.ID
	number int
	addr   ma.Multiaddr
	sent   Sent
	dice   *dice
	bus    event.Bus

	conns map[peer.ID]*conn // guarded by net.mu
	up    bool              // guarded by net.mu

	mu        sync.Mutex
	handlers  map[protocol.ID]network.StreamHandler // guarded by mu
	free      time.Time                             // when the uplink has sent all; guarded by mu
	queue     []any                                 // events to emit; guarded by mu
	emitting  bool                                  // guarded by mu
	emitters  [2]event.Emitter                      // identified, connectedness
	nextNames int                                   // of streams; guarded by mu
}

var _ host.Host = (*Host)(nil)

// Join brings up a host with a name and a number; both are the same whenever
// the node comes back.
func (n *Net) Join(id peer.ID, number int, sent Sent) (*Host, error) {
	addr, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/11.%d.%d.1/tcp/4001", number>>8, number&255))
	if err != nil {
		return nil, err
	}
	h := &Host{
		net: n, id: id, number: number, addr: addr, sent: sent, bus: eventbus.NewBus(), up: true,
		dice:  newDice(n.cfg.Seed, number, uint64(time.Now().UnixNano())),
		conns: make(map[peer.ID]*conn), handlers: make(map[protocol.ID]network.StreamHandler),
	}
	if h.emitters[0], err = h.bus.Emitter(new(event.EvtPeerIdentificationCompleted)); err != nil {
		return nil, err
	}
	if h.emitters[1], err = h.bus.Emitter(new(event.EvtPeerConnectednessChanged)); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.hosts[id] != nil {
		return nil, fmt.Errorf("%s is up already", id)
	}
	n.hosts[id] = h
	return h, nil
}

// Close takes the host down as a program does that ends: its peers notice.
func (h *Host) Close() error {
	h.down(0)
	return nil
}

// Vanish takes the host down as a broken line does: its peers notice after
// the network's Silence.
func (h *Host) Vanish() { h.down(h.net.cfg.Silence) }

func (h *Host) down(notice time.Duration) {
	h.net.mu.Lock()
	all := h.conns
	wasUp := h.up
	h.up, h.conns = false, make(map[peer.ID]*conn)
	if wasUp {
		delete(h.net.hosts, h.id)
	}
	h.net.mu.Unlock()
	for _, c := range all {
		c.down()
		time.AfterFunc(notice+c.delay, c.other.drop)
	}
}

// Break breaks one of the host's connections, for both ends, as a router does
// that forgets it. pick chooses among n.
func (h *Host) Break(pick func(n int) int) {
	h.net.mu.RLock()
	all := h.all()
	h.net.mu.RUnlock()
	if len(all) > 0 {
		c := all[pick(len(all))]
		c.drop()
		c.other.drop()
	}
}

// all are the connections in an order that does not change from run to run.
// net.mu is held.
func (h *Host) all() []*conn {
	all := make([]*conn, 0, len(h.conns))
	for _, c := range h.conns {
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *conn) int { return a.other.host.number - b.other.host.number })
	return all
}

// post emits an event, after those that were posted before.
func (h *Host) post(e any) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue = append(h.queue, e)
	if h.emitting {
		return
	}
	h.emitting = true
	go func() {
		for {
			h.mu.Lock()
			if len(h.queue) == 0 {
				h.emitting = false
				h.mu.Unlock()
				return
			}
			e := h.queue[0]
			h.queue = h.queue[1:]
			h.mu.Unlock()
			which := 0
			if _, ok := e.(event.EvtPeerConnectednessChanged); ok {
				which = 1
			}
			_ = h.emitters[which].Emit(e)
		}
	}()
}

// reserve gives n bytes their turn on the uplink, and returns when they have
// left.
func (h *Host) reserve(n int) time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	if now := time.Now(); h.free.Before(now) {
		h.free = now
	}
	h.free = h.free.Add(time.Duration(n+overhead) * time.Second / time.Duration(h.net.cfg.Uplink))
	return h.free
}

// jam is how long a writer has to wait before the uplink takes more.
func (h *Host) jam() time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Until(h.free.Add(-backlog))
}

// ID returns the host's name.
func (h *Host) ID() peer.ID { return h.id }

// Number returns the host's number.
func (h *Host) Number() int { return h.number }

// Addrs returns the one address.
func (h *Host) Addrs() []ma.Multiaddr { return []ma.Multiaddr{h.addr} }

// Info is how others find the host.
func (h *Host) Info() peer.AddrInfo { return peer.AddrInfo{ID: h.id, Addrs: h.Addrs()} }

// Network returns the host's view of the network.
func (h *Host) Network() network.Network { return (*hostNet)(h) }

// Peerstore returns one that forgets everything.
func (h *Host) Peerstore() peerstore.Peerstore { return noPeerstore{} }

// Mux returns nil: there is none.
func (h *Host) Mux() protocol.Switch { return nil }

// ConnManager returns one that manages nothing.
func (h *Host) ConnManager() connmgr.ConnManager { return connmgr.NullConnMgr{} }

// EventBus returns the host's events.
func (h *Host) EventBus() event.Bus { return h.bus }

// SetStreamHandler takes the streams of a protocol that others open.
func (h *Host) SetStreamHandler(p protocol.ID, f network.StreamHandler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handlers[p] = f
}

// SetStreamHandlerMatch is SetStreamHandler: names match themselves alone.
func (h *Host) SetStreamHandlerMatch(p protocol.ID, _ func(protocol.ID) bool, f network.StreamHandler) {
	h.SetStreamHandler(p, f)
}

// RemoveStreamHandler undoes SetStreamHandler.
func (h *Host) RemoveStreamHandler(p protocol.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.handlers, p)
}

func (h *Host) handler(among []protocol.ID) (protocol.ID, network.StreamHandler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range among {
		if f := h.handlers[p]; f != nil {
			return p, f
		}
	}
	return "", nil
}

func (h *Host) protocols() []protocol.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []protocol.ID
	for p := range h.handlers {
		all = append(all, p)
	}
	slices.Sort(all)
	return all
}

// pause waits for d, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
