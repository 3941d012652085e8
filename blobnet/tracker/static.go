package tracker

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	staticTag = "aml-static" // protects connections from being trimmed

	dialTime   = 15 * time.Second
	redialMin  = time.Second
	redialMax  = 5 * time.Minute
	steadyTime = time.Minute // a connection that held as long ends the backoff
)

// dialer is what a keeper needs of a host. Dial returns once connected; a
// connection that is there already is a success.
type dialer interface {
	Dial(ctx context.Context, p peer.AddrInfo) error
	Connected(p peer.ID) bool
}

// keeper stays connected to chosen peers.
type keeper struct {
	self    peer.ID
	host    host.Host // nil in tests of the keeping itself
	dialer  dialer
	onEvent func(Event)
	jitter  func() float64

	mu    sync.Mutex
	peers map[peer.ID]*kept // guarded by mu
	order []peer.ID         // guarded by mu: as added
	start func(*kept)       // guarded by mu: nil unless running
}

// kept is one peer of a keeper.
type kept struct {
	wake chan struct{} // holds one: a connection came or went

	// The rest is guarded by keeper.mu.
	info    peer.AddrInfo
	lastErr error
}

func newKeeper(h host.Host, onEvent func(Event)) *keeper {
	return &keeper{
		self:    h.ID(),
		host:    h,
		dialer:  hostDialer{h},
		onEvent: onEvent,
		jitter:  rand.Float64,
		peers:   make(map[peer.ID]*kept),
	}
}

func (k *keeper) add(peers ...peer.AddrInfo) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range peers {
		if p.ID == k.self {
			continue
		}
		if err := p.ID.Validate(); err != nil {
			return fmt.Errorf("static peer: %w", err)
		}
		known := k.peers[p.ID]
		if known == nil {
			if len(k.peers) >= MaxStatic {
				return fmt.Errorf("static peers (%d): %w", MaxStatic, ErrTooMany)
			}
			known = &kept{wake: make(chan struct{}, 1), info: peer.AddrInfo{ID: p.ID}}
			k.peers[p.ID] = known
			k.order = append(k.order, p.ID)
			if k.start != nil {
				k.start(known)
			}
		}
		for _, a := range p.Addrs {
			if !slices.ContainsFunc(known.info.Addrs, a.Equal) {
				known.info.Addrs = append(slices.Clip(known.info.Addrs), a)
			}
		}
		if over := len(known.info.Addrs) - maxAddrs; over > 0 {
			known.info.Addrs = known.info.Addrs[over:]
		}
		kick(known.wake) // new addresses are worth a try
	}
	return nil
}

// list returns the peers in the order they were added.
func (k *keeper) list() []peer.AddrInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	out := make([]peer.AddrInfo, 0, len(k.order))
	for _, id := range k.order {
		out = append(out, k.peers[id].info)
	}
	return out
}

func (k *keeper) status() []StaticPeer {
	k.mu.Lock()
	out := make([]StaticPeer, 0, len(k.order))
	for _, id := range k.order {
		out = append(out, StaticPeer{Peer: k.peers[id].info, Err: k.peers[id].lastErr})
	}
	k.mu.Unlock()
	for i := range out {
		if out[i].Connected = k.dialer.Connected(out[i].Peer.ID); out[i].Connected {
			out[i].Err = nil
		}
	}
	return out
}

// run keeps all peers, also those added meanwhile, until ctx ends, and returns
// nil once nothing of it runs.
func (k *keeper) run(ctx context.Context) error {
	events, err := k.host.EventBus().Subscribe(new(event.EvtPeerConnectednessChanged), eventbus.BufSize(256))
	if err != nil {
		return fmt.Errorf("watching connections: %w", err)
	}
	defer events.Close()
	stop := k.startAll(ctx)
	defer stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-events.Out():
			if !ok {
				return errors.New("watching connections: the host has been closed")
			}
			k.changed(e.(event.EvtPeerConnectednessChanged).Peer)
		}
	}
}

// startAll starts keeping. The returned function waits until all of it ended,
// for which ctx has to end.
func (k *keeper) startAll(ctx context.Context) (stop func()) {
	var wg sync.WaitGroup
	k.mu.Lock()
	defer k.mu.Unlock()
	k.start = func(p *kept) { wg.Go(func() { k.keep(ctx, p) }) }
	for _, id := range k.order {
		k.start(k.peers[id])
	}
	return func() {
		k.mu.Lock()
		k.start = nil
		k.mu.Unlock()
		wg.Wait()
	}
}

// changed says that connections to a peer came or went.
func (k *keeper) changed(id peer.ID) {
	k.mu.Lock()
	p := k.peers[id]
	k.mu.Unlock()
	if p != nil {
		kick(p.wake)
	}
}

// keep stays connected to one peer: dial, wait until the connection is gone,
// dial again; with growing pauses after failures, and after connections that
// did not hold. An outage is told once, when the first dial of it fails.
func (k *keeper) keep(ctx context.Context, p *kept) {
	id := k.info(p).ID
	if k.host != nil {
		k.host.ConnManager().Protect(id, staticTag)
		defer k.host.ConnManager().Unprotect(id, staticTag)
	}
	// fails counts failed dials in a row, flaps connections in a row that did
	// not hold. told: the present outage was told.
	fails, flaps, told, ever := 0, 0, false, false
	for ctx.Err() == nil {
		info := k.info(p)
		err := k.dial(ctx, info)
		if ctx.Err() != nil {
			return
		}
		k.mu.Lock()
		p.lastErr = err
		k.mu.Unlock()
		if err != nil {
			fails++
			if !told {
				told = true
				k.onEvent(Event{Kind: Unreachable, Peer: id, Addrs: info.Addrs, Err: err})
			}
			k.rest(ctx, p, backoff(fails, redialMin, redialMax, k.jitter()))
			continue
		}
		if told || !ever {
			k.onEvent(Event{Kind: Connected, Peer: id, Addrs: info.Addrs})
		}
		fails, told, ever = 0, false, true
		since := time.Now()
		for ctx.Err() == nil && k.dialer.Connected(id) {
			k.pause(ctx, p, steadyTime)
		}
		if flaps++; time.Since(since) >= steadyTime {
			flaps = 1
		}
		k.rest(ctx, p, backoff(flaps, redialMin, redialMax, k.jitter()))
	}
}

// dial connects, with a deadline.
func (k *keeper) dial(ctx context.Context, info peer.AddrInfo) error {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	return k.dialer.Dial(ctx, info)
}

// pause waits for d, for a wake-up or for the end of ctx.
func (k *keeper) pause(ctx context.Context, p *kept, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	case <-p.wake:
	}
}

// rest waits for d, but ends early if the peer connected to us or if it
// has new addresses.
func (k *keeper) rest(ctx context.Context, p *kept, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	info := k.info(p)
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			return
		case <-p.wake:
			if k.dialer.Connected(info.ID) || !slices.EqualFunc(k.info(p).Addrs, info.Addrs, ma.Multiaddr.Equal) {
				return
			}
		}
	}
}

func (k *keeper) info(p *kept) peer.AddrInfo {
	k.mu.Lock()
	defer k.mu.Unlock()
	return p.info
}

func kick(wake chan struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}
