package transport

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/autorelay"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
)

// maxRelays is how many relays a host keeps a reservation with where the user
// named none.
const maxRelays = 2

// reachability are the options for how a host finds out whether it can be
// reached, and what it does about it.
//
// Without Punch it asks nobody: a fixed answer keeps AutoNAT silent. With it,
//   - identify tells under which address peers see this host;
//   - AutoNAT v2 has them dial back, and answers them when they ask the same;
//   - a place with relays is kept (it costs the relay some hundred bytes), and
//     announced as long as no address was confirmed to be reachable;
//   - whoever comes through the relay is met halfway (DCUtR).
func reachability(cfg *Config, source autorelay.PeerSource) []libp2p.Option {
	if !cfg.Punch {
		opts := []libp2p.Option{
			libp2p.DisableRelay(),
			libp2p.ForceReachabilityPublic(),
			libp2p.DisableIdentifyAddressDiscovery(),
		}
		if cfg.Relay.enabled() { // those who use it ask it to dial them back
			opts = append(opts, libp2p.EnableAutoNATv2())
		}
		return opts
	}
	opts := []libp2p.Option{
		libp2p.EnableRelay(),
		libp2p.EnableAutoNATv2(),
		libp2p.EnableHolePunching(),
	}
	if cfg.Relay.enabled() {
		// Who is a relay needs none, nor the first AutoNAT to say so.
		opts = append(opts, libp2p.ForceReachabilityPublic())
	} else {
		opts = append(opts,
			libp2p.ForceReachabilityPrivate(), // look for relays at once; AutoNAT v2 decides what is announced
			libp2p.EnableAutoRelayWithPeerSource(source,
				autorelay.WithNumRelays(max(len(cfg.Relays), maxRelays)),
				autorelay.WithMinCandidates(1), // the first relay will do
				autorelay.WithBootDelay(0),
				autorelay.WithMinInterval(5*time.Second),
				autorelay.WithBackoff(time.Minute),
			))
	}
	if cfg.MapPorts {
		opts = append(opts, libp2p.NATPortMap())
	}
	return opts
}

// relaySource gives AutoRelay the relays that the user named; if there are
// none, connected peers that offer to relay.
type relaySource struct {
	named []peer.AddrInfo
	quic  bool          // the host listens by QUIC
	ready chan struct{} // closed when host is set, and listens
	host  *Host
}

// peers waits until the host listens: who dials before does it from another
// port than the one at which others are to see the host.
func (r *relaySource) peers(ctx context.Context, n int) <-chan peer.AddrInfo {
	out := make(chan peer.AddrInfo)
	go func() { // ends with AutoRelay, whose ctx it is
		defer close(out)
		select {
		case <-r.ready:
		case <-ctx.Done():
			return
		}
		found := r.named
		if len(found) == 0 {
			found = offering(r.host, n)
		}
		var each sync.WaitGroup
		defer each.Wait()
		for _, p := range found {
			each.Go(func() {
				r.meet(ctx, p)
				select {
				case out <- p:
				case <-ctx.Done():
				}
			})
		}
	}()
	return out
}

// meet connects to a relay before AutoRelay does. If the host listens by QUIC
// and the relay was reached by TCP, as when only that address was known of it,
// it is left and dialled again, for it now has told its other addresses: else
// nobody would see by which address the host's UDP comes, and no hole be
// punched between this host and one that offers only that. An error is
// AutoRelay's to find again.
func (r *relaySource) meet(ctx context.Context, p peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := r.host.Connect(ctx, p); err != nil || !r.quic {
		return
	}
	n := r.host.Network()
	if slices.ContainsFunc(n.ConnsToPeer(p.ID), func(c network.Conn) bool { return isQUIC(c.RemoteMultiaddr()) }) ||
		!slices.ContainsFunc(r.host.Peerstore().Addrs(p.ID), isQUIC) {
		return
	}
	if err := n.ClosePeer(p.ID); err == nil {
		r.host.Connect(ctx, p)
	}
}

// offering are at most n peers with a direct connection that relay for others.
func offering(h host.Host, n int) []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, p := range h.Network().Peers() {
		if len(out) == n {
			break
		}
		if h.Network().Connectedness(p) != network.Connected {
			continue
		}
		if speaks, err := h.Peerstore().SupportsProtocols(p, proto.ProtoIDv2Hop); err == nil && len(speaks) > 0 {
			out = append(out, h.Peerstore().PeerInfo(p))
		}
	}
	return out
}

// validateReach checks what concerns NATs and relays, and widens the reach to
// what the user asked for.
func (c *Config) validateReach() error {
	if err := c.Relay.validate(); err != nil {
		return err
	}
	if err := checkCircuits(c.Peers, c.Punch); err != nil {
		return err
	}
	if !c.Punch {
		switch {
		case len(c.Relays) > 0:
			return errors.New("relays were named, but this node does not use any; start it with --punch")
		case c.MapPorts:
			return errors.New("ports are only mapped for a node that is to be reached from outside; start it with --punch")
		}
		return nil
	}
	for _, r := range c.Relays {
		if slices.ContainsFunc(r.Addrs, isCircuit) {
			return errors.New("a relay cannot be reached through another relay; name it by its own address")
		}
	}
	c.Reach.Permit(c.Relays...)
	c.Reach.AllowOutside() // peers behind other NATs are outside
	return nil
}
