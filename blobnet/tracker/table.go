package tracker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p-kad-dht/records"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	askTime  = 8 * time.Second // one request to one peer
	peerWait = 3 * time.Second // that a look-up waits for the first peer to ask

	// maxNear bounds the static and LAN peers that are told of everything.
	maxNear = 16
)

// table is this node's part of the DHT, and the asking of others.
//
// Beside kad-dht's own look-ups, which want a routing table that takes a while
// to fill, it speaks to connected members directly as long as there are few:
// so that a network of two works from the first second on.
type table struct {
	host     host.Host
	protocol protocol.ID
	dht      *dht.IpfsDHT
	ask      *pb.ProtocolMessenger
	records  *recordStore
	patience time.Duration    // peerWait
	tellTime time.Duration    // askTime, for each step of storing records
	maxFound int              // Config.MaxPeers
	near     func() []peer.ID // static and LAN peers; see nearMembers

	mu      sync.Mutex
	members map[peer.ID]struct{} // guarded by mu: connected peers that take part
	any     chan struct{}        // guarded by mu: closed while there are members
}

func newTable(cfg Config, patience, tellTime time.Duration, near func() []peer.ID) (*table, error) {
	t := &table{
		host:     cfg.Host,
		protocol: cfg.Prefix + "/kad/1.0.0",
		records:  newRecordStore(cfg.Host.ID()),
		patience: patience,
		tellTime: tellTime,
		maxFound: cfg.MaxPeers,
		near:     near,
		members:  make(map[peer.ID]struct{}),
		any:      make(chan struct{}),
	}
	filter := func(addrs []ma.Multiaddr) []ma.Multiaddr { return usable(addrs, cfg.Dialable) }
	d, err := dht.New(cfg.Host,
		dht.ProtocolPrefix(cfg.Prefix),
		// ModeAuto would make everybody a client until the Internet has
		// confirmed that it is reachable: in a private network nobody serves.
		dht.Mode(dht.ModeAutoServer),
		dht.BucketSize(replicas),
		dht.BootstrapPeers(),
		dht.DisableValues(), // provider records only: nothing else to store here
		dht.ProviderDatastore(t.records),
		dht.ProviderManagerOpts(records.Cache(noCache{})),
		dht.AddressFilter(filter),
		dht.QueryFilter(func(_ any, p peer.AddrInfo) bool {
			return len(filter(p.Addrs)) > 0 || cfg.Host.Network().Connectedness(p.ID) == network.Connected
		}),
	)
	if err != nil {
		return nil, err
	}
	t.dht = d
	if t.ask, err = pb.NewProtocolMessenger(d.MessageSender()); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return t, nil
}

// close ends the part that kad-dht runs. Requests of others are refused first,
// which kad-dht does not do by itself.
func (t *table) close() {
	t.host.RemoveStreamHandler(t.protocol)
	t.dht.Close() // its error is about stores that we own
}

// run keeps the set of members, until ctx ends. It calls online with whether
// there are any to speak to, and joined when one came.
func (t *table) run(ctx context.Context, online func(bool), joined func()) error {
	events, err := t.host.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted),
		new(event.EvtPeerProtocolsUpdated),
		new(event.EvtPeerConnectednessChanged),
	}, eventbus.BufSize(256))
	if err != nil {
		return fmt.Errorf("watching connections: %w", err)
	}
	defer events.Close()
	check := func(p peer.ID) {
		n, came := t.update(p)
		if came {
			joined() // first, or the first peer of all would be told twice
		}
		online(n > 0)
	}
	for _, p := range t.host.Network().Peers() { // connected before we listened
		check(p)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-events.Out():
			if !ok {
				return errors.New("watching connections: the host has been closed")
			}
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				check(e.Peer)
			case event.EvtPeerProtocolsUpdated:
				check(e.Peer)
			case event.EvtPeerConnectednessChanged:
				check(e.Peer)
			}
		}
	}
}

// update looks whether p is a member now, and returns how many there are.
func (t *table) update(p peer.ID) (members int, came bool) {
	is := t.host.Network().Connectedness(p) == network.Connected
	if is {
		speaks, err := t.host.Peerstore().SupportsProtocols(p, t.protocol)
		is = err == nil && len(speaks) > 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	_, was := t.members[p]
	switch {
	case is && !was:
		t.members[p] = struct{}{}
		if len(t.members) == 1 {
			close(t.any)
		}
	case !is && was:
		delete(t.members, p)
		if len(t.members) == 0 {
			t.any = make(chan struct{})
		}
	}
	return len(t.members), is && !was
}

// few returns the members to speak to directly: all while there are not more
// than a record has copies, none otherwise, since then look-ups work.
func (t *table) few() []peer.ID {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.members) > replicas {
		return nil
	}
	out := make([]peer.ID, 0, len(t.members))
	for p := range t.members {
		out = append(out, p)
	}
	return out
}

// nearMembers returns the static and LAN peers that are members. They are told
// of every key, wherever it belongs, and asked for every key: whoever shares
// such a peer with this node finds what it has without a look-up.
func (t *table) nearMembers() []peer.ID {
	candidates := t.near()
	t.mu.Lock()
	defer t.mu.Unlock()
	out := candidates[:0]
	for _, p := range candidates {
		if _, ok := t.members[p]; ok && len(out) < maxNear && !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// crowded reports whether more members are known than a record has copies.
func (t *table) crowded() bool {
	members, known := t.size()
	return max(members, known) > replicas
}

// direct returns the members that are asked without a look-up.
func (t *table) direct() []peer.ID {
	out := t.few()
	for _, p := range t.nearMembers() {
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

func (t *table) size() (members, table int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.members), t.dht.RoutingTable().Size()
}

// wait returns true once there is a member, false if there is none in time.
func (t *table) wait(ctx context.Context) bool {
	t.mu.Lock()
	any := t.any
	t.mu.Unlock()
	timer := time.NewTimer(t.patience)
	defer timer.Stop()
	select {
	case <-any:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

// keep records that this node has key, for those who ask it.
func (t *table) keep(ctx context.Context, key Key) {
	// An error means that the table is being closed.
	_ = t.dht.ProviderStore().AddProvider(ctx, key.multihash(), peer.AddrInfo{ID: t.host.ID()})
}

// forget takes back keep.
func (t *table) forget(key Key) { t.records.forget(key) }

// find sends the peers that are recorded to have key, with repetitions, and
// with whatever addresses were told, until the look-up is over or ctx ends; it
// returns once nothing of it runs.
func (t *table) find(ctx context.Context, key Key, found chan<- peer.AddrInfo) {
	send := func(p peer.AddrInfo) bool {
		select {
		case found <- p:
			return true
		case <-ctx.Done():
			return false
		}
	}
	t.wait(ctx)
	var wg sync.WaitGroup
	for _, p := range t.direct() {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, askTime)
			defer cancel()
			providers, _, err := t.ask.GetProviders(ctx, p, key.multihash())
			if err != nil {
				return
			}
			for i, provider := range providers {
				if i == t.maxFound || !send(*provider) {
					return
				}
			}
		})
	}
	wg.Go(func() {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		providers := t.dht.FindProvidersAsync(ctx, key.cid(), 2*t.maxFound)
		for p := range providers {
			if !send(p) {
				cancel() // and drain, which ends the look-up
			}
		}
	})
	wg.Wait()
}

// locate returns p with addresses: those that this node knows, or finds.
func (t *table) locate(ctx context.Context, p peer.ID) peer.AddrInfo {
	if info := t.host.Peerstore().PeerInfo(p); len(info.Addrs) > 0 {
		return info
	}
	info, err := t.dht.FindPeer(ctx, p)
	if err != nil {
		return peer.AddrInfo{ID: p}
	}
	return info
}
