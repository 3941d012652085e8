package transport

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	"github.com/libp2p/go-libp2p/p2p/protocol/holepunch"
	ma "github.com/multiformats/go-multiaddr"
)

// Host is a libp2p host, and what this package has beside it.
type Host struct {
	host.Host
	punch     bool
	browsers  []kind // of the transports for browsers, those that are there
	punchTime time.Duration
	relay     *relayService // nil: nothing is relayed for others
}

// RelayStats are the figures of what this host passes on between others; zero
// if it is no relay.
func (h *Host) RelayStats() RelayStats {
	if h.relay == nil {
		return RelayStats{}
	}
	return h.relay.stats()
}

// CheckPeers says which of these peers this host can never dial as it was
// configured.
func (h *Host) CheckPeers(peers []peer.AddrInfo) error {
	if err := checkCircuits(peers, h.punch); err != nil {
		return err
	}
	for _, p := range peers {
		for _, a := range p.Addrs {
			if k := kindOf(a); (k == kindWebTransport || k == kindWebRTC) && !slices.Contains(h.browsers, k) {
				return fmt.Errorf("%s/p2p/%s is of a kind that this node was started without; start it with that --peer", a, p.ID)
			}
		}
	}
	return nil
}

// checkCircuits refuses peers that are behind a relay for a host that uses
// none.
func checkCircuits(peers []peer.AddrInfo, punch bool) error {
	for _, p := range peers {
		for _, a := range p.Addrs {
			if isCircuit(a) && !punch {
				return fmt.Errorf("%s/p2p/%s leads through a relay, and this node uses none; start it with --punch", a, p.ID)
			}
		}
	}
	return nil
}

// Close ends the relay and the host.
func (h *Host) Close() error {
	var err error
	if h.relay != nil {
		err = h.relay.close()
	}
	return errors.Join(err, h.Host.Close())
}

// punchTime is how long a peer that is reached through a relay has to be
// reached directly before its blobs go through the relay. One attempt of
// libp2p's takes two round trips, and at most five seconds.
const punchTime = 6 * time.Second

// Blobs returns the host for those protocols that carry bulk. It differs in
// one thing: a stream may go through a relay where the relay said that it is
// for bulk (at least MinBulk bytes) and where no direct connection came about
// in the first seconds. Over other relays it opens no stream, as the host
// itself does: 128 KiB would be used up by a tenth of a blob.
func (h *Host) Blobs() host.Host { return &blobHost{Host: h} }

type blobHost struct{ *Host }

// errNoHole: the caller may try again, which makes a new attempt.
var errNoHole = errors.New("the peer is behind a relay that is not for bulk, and no direct connection came about")

func (b *blobHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	if err := b.connect(ctx, p); err != nil {
		return nil, err
	}
	bulk, rest := circuits(b.Network().ConnsToPeer(p))
	if b.Network().Connectedness(p) != network.Limited || bulk == nil && len(rest) == 0 {
		return b.Host.NewStream(ctx, p, ids...)
	}
	waited := bulk
	if bulk == nil {
		waited = rest[0]
	}
	opened := waited.Stat().Opened
	if wait := b.punchTime - time.Since(opened); wait > 0 {
		s, err := b.Host.NewStream(network.WithDialPeerTimeout(ctx, wait), p, ids...)
		if err == nil || ctx.Err() != nil {
			return s, err
		}
		if time.Since(opened) < b.punchTime {
			return nil, err // it failed for another reason than that no hole was punched
		}
	}
	// A peer begins to punch when a circuit is opened, so that the next one
	// is the next attempt. Besides, the swarm would choose among circuits by
	// their age and use.
	if err := closeAll(rest); err != nil {
		return nil, err
	}
	if bulk == nil {
		return nil, errNoHole
	}
	return b.Host.NewStream(network.WithAllowLimitedConn(ctx, "relay for bulk"), p, ids...)
}

// connect connects to p. If that leads through a relay before this host can
// punch holes (it must have seen itself through another's eyes for that), the
// circuit is opened a second time when it can.
func (b *blobHost) connect(ctx context.Context, p peer.ID) error {
	n := b.Network()
	if n.Connectedness(p) == network.Connected {
		return nil
	}
	if err := b.Host.Connect(ctx, peer.AddrInfo{ID: p}); err != nil {
		return err
	}
	if n.Connectedness(p) != network.Limited || b.canPunch() {
		return nil
	}
	tick := time.NewTicker(b.punchTime / 50)
	defer tick.Stop()
	giveUp := time.NewTimer(b.punchTime)
	defer giveUp.Stop()
	for !b.canPunch() {
		select {
		case <-tick.C:
		case <-giveUp.C:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	bulk, rest := circuits(n.ConnsToPeer(p))
	if bulk != nil {
		rest = append(rest, bulk)
	}
	if err := closeAll(rest); err != nil {
		return err
	}
	return b.Host.Connect(ctx, peer.AddrInfo{ID: p})
}

// canPunch reports whether this host can take part in hole punching: libp2p
// speaks its protocol from when an address to be met at is known.
func (h *Host) canPunch() bool {
	return slices.Contains(h.Mux().Protocols(), holepunch.Protocol)
}

func closeAll(conns []network.Conn) error {
	for _, c := range conns {
		if err := c.Close(); err != nil {
			return fmt.Errorf("leaving a relay: %w", err)
		}
	}
	return nil
}

// circuits returns the relayed connection that may carry bulk, if there is
// one, and the other limited ones.
func circuits(conns []network.Conn) (bulk network.Conn, rest []network.Conn) {
	for _, c := range conns {
		switch {
		case !c.Stat().Limited:
		case bulk == nil && isBulk(c):
			bulk = c
		case !isBulk(c):
			rest = append(rest, c)
		}
	}
	return bulk, rest
}

func isBulk(c network.Conn) bool {
	limit, ok := c.Stat().Extra[client.StatLimitData].(uint64)
	return ok && limit >= MinBulk
}

// Reachability is what a host knows of how others reach it.
type Reachability struct {
	Confirmed   []ma.Multiaddr // public addresses at which others have dialled back
	Unreachable []ma.Multiaddr // those at which they could not
	Unknown     []ma.Multiaddr // those that nobody has tried yet
	Relayed     []ma.Multiaddr // addresses through relays that are announced
}

// Reachability says what is known now; nothing without Punch.
func (h *Host) Reachability() Reachability {
	var r Reachability
	if c, ok := h.Host.(interface {
		ConfirmedAddrs() (reachable, unreachable, unknown []ma.Multiaddr)
	}); ok && h.punch {
		r.Confirmed, r.Unreachable, r.Unknown = c.ConfirmedAddrs()
	}
	for _, a := range h.Addrs() {
		if isCircuit(a) {
			r.Relayed = append(r.Relayed, a)
		}
	}
	return r
}
