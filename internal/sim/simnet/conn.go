package simnet

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

// conn is one end of a connection.
type conn struct {
	host   *Host
	other  *conn
	dir    network.Direction
	opened time.Time
	delay  time.Duration // one way

	mu      sync.Mutex
	closed  bool                 // guarded by mu
	streams map[*stream]struct{} // guarded by mu
}

var _ network.Conn = (*conn)(nil)

func (h *Host) connTo(p peer.ID) *conn {
	h.net.mu.RLock()
	defer h.net.mu.RUnlock()
	return h.conns[p]
}

// Connect connects to a peer, unless that has been done.
func (h *Host) Connect(ctx context.Context, info peer.AddrInfo) error {
	_, err := h.connect(ctx, info.ID)
	return err
}

// connect takes two round trips, as a handshake does. Who is not there does
// not answer.
func (h *Host) connect(ctx context.Context, p peer.ID) (*conn, error) {
	if c := h.connTo(p); c != nil {
		return c, nil
	}
	if p == h.id {
		return nil, errors.New("simnet: dialling oneself")
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	far := h.net.lookup(p)
	if far == nil {
		<-ctx.Done()
		return nil, fmt.Errorf("dialling %s: %w", p, errUnreachable)
	}
	delay := h.net.cfg.Latency(h.number, far.number)
	if err := pause(ctx, 4*delay+h.dice.resends(h.net.cfg.Loss)); err != nil {
		return nil, fmt.Errorf("dialling %s: %w", p, err)
	}
	h.net.mu.Lock()
	if c := h.conns[p]; c != nil { // both dialled, or twice at once
		h.net.mu.Unlock()
		return c, nil
	}
	if !h.up || !far.up {
		h.net.mu.Unlock()
		return nil, fmt.Errorf("dialling %s: %w", p, errUnreachable)
	}
	now := time.Now()
	near := &conn{host: h, dir: network.DirOutbound, opened: now, delay: delay, streams: make(map[*stream]struct{})}
	away := &conn{host: far, dir: network.DirInbound, opened: now, delay: delay, streams: make(map[*stream]struct{}), other: near}
	near.other = away
	old := far.conns[h.id] // to a run of this node that vanished, and was not missed yet
	h.conns[p], far.conns[h.id] = near, away
	h.net.mu.Unlock()
	if old != nil {
		old.down()
	}
	for _, c := range []*conn{near, away} {
		c.host.post(event.EvtPeerConnectednessChanged{Peer: c.RemotePeer(), Connectedness: network.Connected})
		time.AfterFunc(2*delay, func() { // a round trip, to tell each other what they speak
			c.host.post(event.EvtPeerIdentificationCompleted{Peer: c.RemotePeer(), Conn: c, Protocols: c.other.host.protocols()})
		})
	}
	return near, nil
}

// down ends what goes on at this end alone.
func (c *conn) down() {
	c.mu.Lock()
	all := c.streams
	c.closed, c.streams = true, make(map[*stream]struct{})
	c.mu.Unlock()
	for s := range all {
		s.fail()
	}
}

// drop is what happens when this end notices that the connection is over.
func (c *conn) drop() {
	h := c.host
	h.net.mu.Lock()
	mine := h.conns[c.RemotePeer()] == c
	if mine {
		delete(h.conns, c.RemotePeer())
	}
	h.net.mu.Unlock()
	c.down()
	if mine {
		h.post(event.EvtPeerConnectednessChanged{Peer: c.RemotePeer(), Connectedness: network.NotConnected})
	}
}

func (c *conn) Close() error {
	c.drop()
	time.AfterFunc(c.delay, c.other.drop)
	return nil
}

// add makes a stream one of the connection's.
func (c *conn) add(s *stream) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.streams[s] = struct{}{}
	return true
}

func (c *conn) remove(s *stream) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.streams, s)
}

func (c *conn) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// NewStream opens a stream, and a connection first where there is none. It
// takes a round trip.
func (h *Host) NewStream(ctx context.Context, p peer.ID, among ...protocol.ID) (network.Stream, error) {
	c, err := h.connect(ctx, p)
	if err != nil {
		return nil, err
	}
	if err := pause(ctx, c.delay+h.dice.resends(h.net.cfg.Loss)); err != nil {
		return nil, err
	}
	far := c.other
	if far.over() || c.over() { // it vanished: there will be no answer
		ctx, cancel := context.WithTimeout(ctx, h.net.cfg.Silence)
		defer cancel()
		<-ctx.Done()
		return nil, fmt.Errorf("opening a stream to %s: %w", p, errUnreachable)
	}
	proto, handle := far.host.handler(among)
	if handle == nil {
		return nil, fmt.Errorf("opening a stream to %s: %w", p, network.ErrReset)
	}
	near, away := newStream(c, proto, network.DirOutbound), newStream(far, proto, network.DirInbound)
	near.peer, away.peer = away, near
	if !c.add(near) || !far.add(away) {
		c.remove(near)
		return nil, fmt.Errorf("opening a stream to %s: %w", p, network.ErrReset)
	}
	go handle(away)
	if err := pause(ctx, c.delay); err != nil {
		_ = near.Reset()
		return nil, err
	}
	return near, nil
}

func (c *conn) LocalPeer() peer.ID                         { return c.host.id }
func (c *conn) RemotePeer() peer.ID                        { return c.other.host.id }
func (c *conn) RemotePublicKey() crypto.PubKey             { return nil }
func (c *conn) ConnState() network.ConnectionState         { return network.ConnectionState{} }
func (c *conn) LocalMultiaddr() ma.Multiaddr               { return c.host.addr }
func (c *conn) RemoteMultiaddr() ma.Multiaddr              { return c.other.host.addr }
func (c *conn) Scope() network.ConnScope                   { return &network.NullScope{} }
func (c *conn) CloseWithError(network.ConnErrorCode) error { return c.Close() }
func (c *conn) ID() string                                 { return fmt.Sprintf("%d-%d", c.host.number, c.other.host.number) }
func (c *conn) IsClosed() bool                             { return c.over() }
func (c *conn) As(any) bool                                { return false }
func (c *conn) NewStream(context.Context) (network.Stream, error) {
	return nil, errors.New("simnet: a stream has a protocol")
}

func (c *conn) Stat() network.ConnStats {
	return network.ConnStats{Stats: network.Stats{Direction: c.dir, Opened: c.opened}}
}

func (c *conn) GetStreams() []network.Stream {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := make([]network.Stream, 0, len(c.streams))
	for s := range c.streams {
		all = append(all, s)
	}
	return all
}
