package simnet

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

// noPeerstore takes addresses and forgets them: the network finds everybody by
// name. What nobody ought to call panics.
type noPeerstore struct{ peerstore.Peerstore }

func (noPeerstore) AddAddrs(peer.ID, []ma.Multiaddr, time.Duration) {}
func (noPeerstore) Addrs(peer.ID) []ma.Multiaddr                    { return nil }

// hostNet is network.Network over a host.
type hostNet Host

func (n *hostNet) host() *Host                              { return (*Host)(n) }
func (n *hostNet) Peerstore() peerstore.Peerstore           { return noPeerstore{} }
func (n *hostNet) LocalPeer() peer.ID                       { return n.id }
func (n *hostNet) Close() error                             { return n.host().Close() }
func (n *hostNet) Notify(network.Notifiee)                  {}
func (n *hostNet) StopNotify(network.Notifiee)              {}
func (n *hostNet) CanDial(peer.ID, ma.Multiaddr) bool       { return true }
func (n *hostNet) SetStreamHandler(network.StreamHandler)   {}
func (n *hostNet) Listen(...ma.Multiaddr) error             { return nil }
func (n *hostNet) ListenAddresses() []ma.Multiaddr          { return n.host().Addrs() }
func (n *hostNet) ResourceManager() network.ResourceManager { return &network.NullResourceManager{} }
func (n *hostNet) InterfaceListenAddresses() ([]ma.Multiaddr, error) {
	return n.host().Addrs(), nil
}

func (n *hostNet) NewStream(context.Context, peer.ID) (network.Stream, error) {
	return nil, errors.New("simnet: a stream has a protocol")
}

func (n *hostNet) DialPeer(ctx context.Context, p peer.ID) (network.Conn, error) {
	c, err := n.host().connect(ctx, p)
	if err != nil {
		return nil, err
	}
	return c, nil
}

func (n *hostNet) ClosePeer(p peer.ID) error {
	if c := n.host().connTo(p); c != nil {
		return c.Close()
	}
	return nil
}

func (n *hostNet) Connectedness(p peer.ID) network.Connectedness {
	if n.host().connTo(p) != nil {
		return network.Connected
	}
	return network.NotConnected
}

func (n *hostNet) Peers() []peer.ID {
	n.net.mu.RLock()
	defer n.net.mu.RUnlock()
	var all []peer.ID
	for _, c := range n.host().all() {
		all = append(all, c.other.host.id)
	}
	return all
}

func (n *hostNet) Conns() []network.Conn {
	n.net.mu.RLock()
	defer n.net.mu.RUnlock()
	var all []network.Conn
	for _, c := range n.host().all() {
		all = append(all, c)
	}
	return all
}

func (n *hostNet) ConnsToPeer(p peer.ID) []network.Conn {
	if c := n.host().connTo(p); c != nil {
		return []network.Conn{c}
	}
	return nil
}
