package tracker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// hostDialer is the dialer of a real host.
type hostDialer struct{ host host.Host }

func (d hostDialer) Connected(p peer.ID) bool {
	return d.host.Network().Connectedness(p) == network.Connected
}

func (d hostDialer) Dial(ctx context.Context, p peer.AddrInfo) error {
	if d.Connected(p.ID) {
		return nil
	}
	// Permanent, so that other rooms can dial the peer by its id alone.
	d.host.Peerstore().AddAddrs(p.ID, p.Addrs, peerstore.PermanentAddrTTL)
	// The swarm refuses to dial again too soon after a failure, unless it is
	// told that this has to be direct. The pauses here are long enough.
	err := d.host.Connect(network.WithForceDirectDial(ctx, "static peer"), p)
	return dialError(err)
}

// dialError puts the reasons of a failed dial, one for each address, on one
// line. The result wraps err's reasons.
func dialError(err error) error {
	var failed *swarm.DialError
	if !errors.As(err, &failed) || len(failed.DialErrors) == 0 {
		return err
	}
	parts := make([]string, 0, len(failed.DialErrors))
	for _, e := range failed.DialErrors {
		parts = append(parts, fmt.Sprintf("%s: %s", e.Address, strings.ReplaceAll(e.Cause.Error(), "\n", " ")))
	}
	return &oneLine{text: strings.Join(parts, "; "), err: err}
}

type oneLine struct {
	text string
	err  error
}

func (e *oneLine) Error() string { return e.text }
func (e *oneLine) Unwrap() error { return e.err }

// usable returns the addresses that ok accepts, at most maxAddrs of them.
func usable(addrs []ma.Multiaddr, ok func(ma.Multiaddr) bool) []ma.Multiaddr {
	out := make([]ma.Multiaddr, 0, min(len(addrs), maxAddrs))
	for _, a := range addrs {
		if len(out) == maxAddrs {
			break
		}
		if len(a) > 0 && ok(a) {
			out = append(out, a)
		}
	}
	return out
}

// maxAddrs bounds the addresses kept of one peer, for others tell of them. The
// newest ones of a static peer are kept.
const maxAddrs = 32
