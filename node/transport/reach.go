package transport

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
	madns "github.com/multiformats/go-multiaddr-dns"
)

// maxNames bounds the names that may be resolved; one user types fewer.
const maxNames = 1024

// Reach bounds where a host may dial. The zero value is loopback and local
// networks only, with no name ever resolved. Peers tell each other addresses,
// so without such a bound any one of them could make this node contact any
// machine, or leak what it does through its name server.
//
// It only ever widens. Its methods may be called from many goroutines at once.
type Reach struct {
	outside atomic.Bool

	mu    sync.Mutex
	names map[string]struct{} // guarded by mu: host names that may be resolved
}

// AllowOutside permits dialling public IP addresses. It permits no names.
func (r *Reach) AllowOutside() { r.outside.Store(true) }

// Outside reports whether public IP addresses may be dialled.
func (r *Reach) Outside() bool { return r.outside.Load() }

// Permit widens the reach to peers that the user named: a public address or a
// name among theirs allows the outside, for what those peers tell of lies
// there too, and the names may be resolved. Call it for what came from the
// user, never for what came from a peer.
func (r *Reach) Permit(peers ...peer.AddrInfo) {
	for _, p := range peers {
		for _, a := range p.Addrs {
			if isPublic(a) {
				r.AllowOutside()
			}
			if isName(a) {
				r.permitName(a)
			}
		}
	}
}

// Allows reports whether a may be dialled: what discovery asks before it
// keeps an address that a peer told of.
func (r *Reach) Allows(a ma.Multiaddr) bool {
	if isName(a) {
		r.mu.Lock()
		defer r.mu.Unlock()
		_, ok := r.names[hostName(a)]
		return ok
	}
	return r.outside.Load() || !isPublic(a)
}

func (r *Reach) permitName(a ma.Multiaddr) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.names == nil {
		r.names = make(map[string]struct{})
	}
	if len(r.names) < maxNames {
		r.names[hostName(a)] = struct{}{}
	}
}

func hostName(a ma.Multiaddr) string {
	return strings.ToLower(strings.TrimSuffix(a[0].Value(), "."))
}

// errNameNotAllowed: a peer told of a name; see Reach.
var errNameNotAllowed = errors.New("the user did not give this name, so it is not resolved")

// resolver is a network.MultiaddrDNSResolver that resolves permitted names
// only. libp2p resolves before it asks the gater.
type resolver struct {
	reach *Reach
	dns   network.MultiaddrDNSResolver
}

func newResolver(r *Reach) *resolver {
	return &resolver{reach: r, dns: swarm.ResolverFromMaDNS{Resolver: madns.DefaultResolver}}
}

// ResolveDNSAddr resolves a /dnsaddr. Names among the answers become permitted,
// since the owner of the name that the user gave chose them.
func (r *resolver) ResolveDNSAddr(ctx context.Context, id peer.ID, a ma.Multiaddr, recursion, limit int) ([]ma.Multiaddr, error) {
	if !r.reach.Allows(a) {
		return nil, fmt.Errorf("%s: %w", a, errNameNotAllowed)
	}
	out, err := r.dns.ResolveDNSAddr(ctx, id, a, recursion, limit)
	for _, found := range out {
		if isName(found) {
			r.reach.permitName(found)
		}
	}
	return out, err
}

// ResolveDNSComponent resolves a /dns, /dns4 or /dns6.
func (r *resolver) ResolveDNSComponent(ctx context.Context, a ma.Multiaddr, limit int) ([]ma.Multiaddr, error) {
	if !r.reach.Allows(a) {
		return nil, fmt.Errorf("%s: %w", a, errNameNotAllowed)
	}
	return r.dns.ResolveDNSComponent(ctx, a, limit)
}

// gater is the connmgr.ConnectionGater that enforces a Reach, wherever an
// address came from.
type gater struct {
	reach     *Reach
	localOnly bool // refuse inbound connections to or from public addresses
}

func (g *gater) InterceptPeerDial(peer.ID) bool { return true }

func (g *gater) InterceptAddrDial(_ peer.ID, a ma.Multiaddr) bool {
	return isName(a) || g.reach.Allows(a) // names are the resolver's matter
}

func (g *gater) InterceptAccept(c network.ConnMultiaddrs) bool {
	return !g.localOnly || (!isPublic(c.LocalMultiaddr()) && !isPublic(c.RemoteMultiaddr()))
}

func (g *gater) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return true
}

func (g *gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }
