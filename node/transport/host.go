package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
)

// Host is a libp2p host, and what this package has beside it.
type Host struct {
	host.Host
	punch     bool
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
func (h *Host) CheckPeers(peers []peer.AddrInfo) error { return checkCircuits(peers, h.punch) }

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

// IsFull reports whether err, from a dial or a stream, says that this host has
// as many connections or streams as it may. Nothing that is open is closed for
// a new one: try again when some have ended.
func IsFull(err error) bool { return errors.Is(err, network.ErrResourceLimitExceeded) }

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

func (b *blobHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	n := b.Network()
	if n.Connectedness(p) != network.Connected {
		// Even if there is a relayed connection: a direct one may be had.
		if err := b.Host.Connect(ctx, peer.AddrInfo{ID: p}); err != nil {
			return nil, err
		}
	}
	for n.Connectedness(p) == network.Limited {
		bulk, rest := circuits(n.ConnsToPeer(p))
		if bulk == nil {
			break
		}
		if wait := b.punchTime - time.Since(bulk.Stat().Opened); wait > 0 {
			s, err := b.Host.NewStream(network.WithDialPeerTimeout(ctx, wait), p, ids...)
			if err == nil || ctx.Err() != nil {
				return s, err
			}
			if time.Since(bulk.Stat().Opened) < b.punchTime {
				break // it failed for another reason: the plain error says it
			}
		}
		// The swarm chooses among connections by their age and use.
		for _, c := range rest {
			if err := c.Close(); err != nil {
				return nil, fmt.Errorf("leaving a relay: %w", err)
			}
		}
		return b.Host.NewStream(network.WithAllowLimitedConn(ctx, "relay for bulk"), p, ids...)
	}
	return b.Host.NewStream(ctx, p, ids...)
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
