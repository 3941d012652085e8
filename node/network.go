package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/limit"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/node/transport"
)

// network is the part of a node that others can reach.
type network struct {
	host     *transport.Host
	reach    *transport.Reach // what may be dialled; --peer widens it
	exchange *exchange.Exchange
	tracker  *tracker.Tracker
	keys     *announced // to the tracker
	gossip   *gossip.Gossip
	bridges  *bridges
	upload   *limit.Upload
	download *limit.Download
	bans     *fetch.Bans   // of all fetches
	budget   *fetch.Budget // of all fetches
	swarms   sync.Map      // of *fetch.Swarm: the fetches that run
}

func (n *Node) newNetwork() (*network, error) {
	s, err := readSettings(n.cfg.Config)
	if err != nil {
		return nil, err
	}
	reach := &transport.Reach{}
	h, err := transport.New(transport.Config{
		Identity: n.identity, Listen: s.listen, Announce: s.announce, Peers: s.peers.infos, Reach: reach,
		Punch: n.cfg.Punch, Relays: s.relays, Relay: s.relay,
		MaxInbound: n.cfg.MaxIn, MaxOutbound: n.cfg.MaxOut,
	})
	if err != nil {
		return nil, err
	}
	net := &network{
		host: h, reach: reach, upload: limit.NewUpload(s.upload), download: limit.NewDownload(s.download),
		bans: new(fetch.Bans), budget: new(fetch.Budget),
	}
	if err := net.assemble(n, s); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return net, nil
}

func (net *network) assemble(n *Node, s settings) (err error) {
	net.exchange, err = exchange.New(exchange.Config{
		Host: net.host.Blobs(), Store: n.blobs, Upload: net.upload, OnEvent: n.onExchange, OnTraffic: n.onTraffic,
	})
	if err != nil {
		return fmt.Errorf("starting the exchange: %w", err)
	}
	net.tracker, err = tracker.New(tracker.Config{
		Host: net.host, Static: s.peers.infos, LAN: n.cfg.LAN, DHT: n.cfg.DHT, SparseInterval: n.cfg.Reannounce,
		Dialable: net.reach.Allows, OnEvent: n.onTracker,
	})
	if err != nil {
		return fmt.Errorf("starting the tracker: %w", err)
	}
	net.keys = newAnnounced(net.tracker)
	net.gossip, err = gossip.New(gossip.Config{
		Host: net.host, Ledger: n.catalog,
		Announce: func(ctx context.Context, keys ...[32]byte) error {
			return net.keys.add(ctx, trackerKeys(keys)...)
		},
		OnEvent: func(e gossip.Event) {
			if e.Kind == gossip.EventSynced && !e.Channel.IsZero() && !e.Behind {
				n.asked.add(e.Channel)
			}
		},
		Unannounce: func(keys ...[32]byte) { net.keys.remove(trackerKeys(keys)...) },
		Find: func(ctx context.Context, key [32]byte) iter.Seq[peer.AddrInfo] {
			return net.tracker.Find(ctx, tracker.Key(key))
		},
	})
	if err != nil {
		return fmt.Errorf("starting the gossip: %w", err)
	}
	net.bridges, err = n.newBridges(net, s)
	return err
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
	group.Go(func() error { return ended("exchange", net.exchange.Run(ctx)) })
	group.Go(func() error { return ended("tracker", net.tracker.Run(ctx)) })
	group.Go(func() error { return ended("gossip", net.gossip.Run(ctx)) })
	net.bridges.start(ctx, group)
}

func ended(part string, err error) error {
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
	return ListeningEvent{Event: "listening", PeerID: net.host.ID().String(), Addrs: net.addrs(), URLs: net.bridges.urls()}
}

// know remembers peers that a request names.
func (net *network) know(peers []string) error {
	p, err := parsePeers(peers)
	if err != nil {
		return err
	}
	if err := net.host.CheckPeers(p.infos); err != nil {
		return badRequest("--peer: %w", err)
	}
	net.reach.Permit(p.infos...)
	if err := net.tracker.AddStatic(p.infos...); err != nil {
		return badRequest("--peer: %w", err)
	}
	return net.bridges.know(p.urls)
}

// onTracker tells whoever watches of peers that the user named and that cannot
// be reached.
func (n *Node) onTracker(e tracker.Event) {
	switch e.Kind {
	case tracker.Unreachable:
		n.bus.send(aboutPeers, PeerEvent{Event: "peer", Peer: e.Peer.String(), State: "unreachable", Message: e.String()})
	case tracker.Late:
		n.bus.send(aboutTracker, LateEvent{Event: "late", Keys: e.Count, Message: e.String()})
		n.log.Warn(e.String())
	case tracker.NoLAN:
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
