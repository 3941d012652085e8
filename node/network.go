package node

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/multiformats/go-multiaddr"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/node/transport"
)

// network is the part of a node that others can reach.
type network struct {
	host     host.Host
	reach    *transport.Reach // what may be dialled; --peer widens it
	exchange *exchange.Exchange
	tracker  *tracker.Tracker
	gossip   *gossip.Gossip
}

func (n *Node) newNetwork() (*network, error) {
	peers, err := parsePeers(n.cfg.Peers)
	if err != nil {
		return nil, err
	}
	listen, err := parseListen(n.cfg.Listen)
	if err != nil {
		return nil, err
	}
	reach := &transport.Reach{}
	h, err := transport.New(transport.Config{Identity: n.identity, Listen: listen, Peers: peers, Reach: reach})
	if err != nil {
		return nil, err
	}
	net := &network{host: h, reach: reach}
	if err := net.assemble(n, peers); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return net, nil
}

func (net *network) assemble(n *Node, static []peer.AddrInfo) (err error) {
	if net.exchange, err = exchange.New(exchange.Config{Host: net.host, Store: n.blobs, OnEvent: n.onExchange}); err != nil {
		return fmt.Errorf("starting the exchange: %w", err)
	}
	net.tracker, err = tracker.New(tracker.Config{
		Host: net.host, Static: static, LAN: n.cfg.LAN, DHT: n.cfg.DHT,
		Dialable: net.reach.Allows, OnEvent: n.onTracker,
	})
	if err != nil {
		return fmt.Errorf("starting the tracker: %w", err)
	}
	net.gossip, err = gossip.New(gossip.Config{
		Host: net.host, Ledger: n.catalog,
		Announce: func(ctx context.Context, keys ...[32]byte) error {
			return net.tracker.Announce(ctx, trackerKeys(keys)...)
		},
		Unannounce: func(keys ...[32]byte) { net.tracker.Unannounce(trackerKeys(keys)...) },
		Find: func(ctx context.Context, key [32]byte) iter.Seq[peer.AddrInfo] {
			return net.tracker.Find(ctx, tracker.Key(key))
		},
	})
	if err != nil {
		return fmt.Errorf("starting the gossip: %w", err)
	}
	return nil
}

func trackerKeys(keys [][32]byte) []tracker.Key {
	out := make([]tracker.Key, len(keys))
	for i, k := range keys {
		out[i] = tracker.Key(k)
	}
	return out
}

// start runs each part until ctx ends.
func (net *network) start(ctx context.Context, group *errgroup.Group) {
	group.Go(func() error { return named("exchange", net.exchange.Run(ctx)) })
	group.Go(func() error { return named("tracker", net.tracker.Run(ctx)) })
	group.Go(func() error { return named("gossip", net.gossip.Run(ctx)) })
}

func named(part string, err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return nil
	}
	return fmt.Errorf("running the %s: %w", part, err)
}

// addrs are the addresses under which others reach this node, each with its
// peer id.
func (net *network) addrs() []string {
	out := []string{}
	for _, a := range transport.Addrs(net.host) {
		out = append(out, a.String())
	}
	return out
}

func (net *network) listening() ListeningEvent {
	return ListeningEvent{Event: "listening", PeerID: net.host.ID().String(), Addrs: net.addrs()}
}

// know remembers peers that a request names.
func (net *network) know(peers []string) error {
	infos, err := parsePeers(peers)
	if err != nil {
		return err
	}
	net.reach.Permit(infos...)
	if err := net.tracker.AddStatic(infos...); err != nil {
		return badRequest("--peer: %w", err)
	}
	return nil
}

// CheckPeers says what is wrong with the multiaddrs of peers that a request
// will name. It needs no node.
func CheckPeers(peers []string) error {
	_, err := parsePeers(peers)
	return err
}

func parsePeers(peers []string) ([]peer.AddrInfo, error) {
	infos, err := transport.ParsePeers(peers)
	if err != nil {
		return nil, badRequest("%w", err)
	}
	return infos, nil
}

func parseListen(addrs []string) ([]multiaddr.Multiaddr, error) {
	out := make([]multiaddr.Multiaddr, len(addrs))
	for i, s := range addrs {
		a, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, badRequest("listening on %q: %w; want a multiaddr such as /ip4/127.0.0.1/tcp/4001", s, err)
		}
		out[i] = a
	}
	return out, nil
}

// onTracker tells whoever watches of peers that the user named and that cannot
// be reached.
func (n *Node) onTracker(e tracker.Event) {
	switch e.Kind {
	case tracker.Unreachable:
		n.bus.send(aboutPeers, PeerEvent{Event: "peer", Peer: e.Peer.String(), State: "unreachable", Message: e.String()})
	case tracker.NoLAN, tracker.Late:
		n.log.Warn(e.String())
	default:
		n.log.Debug(e.String())
	}
}

// peerID is the name that key gives its node.
func peerID(key crypto.PrivKey) (string, error) {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return "", fmt.Errorf("naming this node: %w", err)
	}
	return id.String(), nil
}
