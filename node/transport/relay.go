package transport

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/proto"
	relayv2 "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/relay"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"golang.org/x/time/rate"
)

// MinBulk is the least that a relay says of the bytes that a circuit may carry
// each way for its clients to move blobs over it. libp2p's relays say 128 KiB:
// they are for hole punching.
const MinBulk = 16 << 20

// relayBuffer is how much one direction of a circuit holds: what it waits for
// a rate with.
const relayBuffer = 32 << 10

// Relay says what a host passes on between peers that cannot reach each other
// (circuit relay v2). It sees who speaks with whom and how much; what they say
// is encrypted end to end. The zero value relays nothing.
type Relay struct {
	// Coordinate lets peers meet here to punch holes: 128 KiB each way and
	// two minutes per circuit, libp2p's defaults.
	Coordinate bool

	// Bulk makes the same circuits wide enough for blobs, at a rate. It
	// counts as Coordinate too.
	Bulk RelayBulk
}

// RelayBulk says how much a host carries for others where no hole could be
// punched. The zero value is nothing.
type RelayBulk struct {
	// BytesPerSecond is for all circuits together, both ways counted. If
	// zero, the host carries no bulk.
	BytesPerSecond int64

	// PeerBytesPerSecond is for what one peer sends. If zero, one peer can
	// use all there is while nobody else asks.
	PeerBytesPerSecond int64

	// PerCircuitBytes closes a circuit that has carried as much one way. If
	// zero, 1 GiB; at least MinBulk.
	PerCircuitBytes int64

	// MaxCircuits bounds those open at once. If zero, 32.
	MaxCircuits int

	// Duration closes a circuit that is older. If zero, an hour; at least
	// a minute. The peers open another one.
	Duration time.Duration
}

func (r *Relay) enabled() bool { return r.Coordinate || r.Bulk.BytesPerSecond > 0 }

func (r *Relay) validate() error {
	b := &r.Bulk
	if b.BytesPerSecond < 0 || b.PeerBytesPerSecond < 0 || b.PerCircuitBytes < 0 || b.MaxCircuits < 0 || b.Duration < 0 {
		return errors.New("transport: negative limit of a relay")
	}
	if b.BytesPerSecond == 0 {
		if *b != (RelayBulk{}) {
			return errors.New("transport: a relay for bulk needs BytesPerSecond")
		}
		return nil
	}
	if b.BytesPerSecond < relayBuffer || b.PeerBytesPerSecond > 0 && b.PeerBytesPerSecond < relayBuffer {
		return fmt.Errorf("transport: a relay for bulk needs at least %d bytes per second", relayBuffer)
	}
	if b.PerCircuitBytes == 0 {
		b.PerCircuitBytes = 1 << 30
	}
	if b.PerCircuitBytes < MinBulk {
		return fmt.Errorf("transport: a relay for bulk needs at least %d bytes per circuit, got %d", MinBulk, b.PerCircuitBytes)
	}
	if b.MaxCircuits == 0 {
		b.MaxCircuits = 32
	}
	if b.Duration == 0 {
		b.Duration = time.Hour
	}
	if b.Duration < time.Minute {
		return fmt.Errorf("transport: a relay for bulk needs circuits of at least a minute, got %s", b.Duration)
	}
	return nil
}

// relayService is a circuit relay v2 whose circuits are counted and, for bulk,
// slowed down. It is the host that libp2p's relay believes to stand on: the
// streams that pass through it are metered.
type relayService struct {
	host.Host
	service *relayv2.Relay
	max     int
	total   *rate.Limiter // nil: no limit
	perPeer rate.Limit    // bytes per second; zero: no limit
	ctx     context.Context
	cancel  context.CancelFunc

	mu       sync.Mutex // guards what follows
	circuits int
	meter    meter
	peers    map[peer.ID]*relayed
}

// relayed is what one peer sent through this relay.
type relayed struct {
	meter
	streams int
	limit   *rate.Limiter // nil: none
}

// maxRelayed bounds the peers of whom figures are kept.
const maxRelayed = 1024

func newRelay(h host.Host, cfg Relay) (*relayService, error) {
	ctx, cancel := context.WithCancel(context.Background())
	r := &relayService{Host: h, max: math.MaxInt, ctx: ctx, cancel: cancel, peers: make(map[peer.ID]*relayed)}
	res := relayv2.DefaultResources()
	if b := cfg.Bulk; b.BytesPerSecond > 0 {
		r.max = b.MaxCircuits
		r.total = newLimiter(b.BytesPerSecond)
		r.perPeer = rate.Limit(b.PeerBytesPerSecond)
		res.Limit = &relayv2.RelayLimit{Duration: b.Duration, Data: b.PerCircuitBytes}
		res.MaxCircuits = min(res.MaxCircuits, b.MaxCircuits)
		res.BufferSize = relayBuffer
	}
	var err error
	r.service, err = relayv2.New(r, relayv2.WithResources(res),
		// Local networks have relays too; loopback is of use to nobody else.
		relayv2.WithReservationAddressFilter(func(a ma.Multiaddr) bool { return !manet.IsIPLoopback(a) }))
	if err != nil {
		cancel()
		return nil, fmt.Errorf("starting the relay: %w", err)
	}
	return r, nil
}

func newLimiter(bytesPerSecond int64) *rate.Limiter {
	return rate.NewLimiter(rate.Limit(bytesPerSecond), int(max(relayBuffer, min(bytesPerSecond/10, 4<<20))))
}

func (r *relayService) close() error {
	r.cancel() // ends those who wait for their rate
	return r.service.Close()
}

// SetStreamHandler meters what comes from the peer that opens a circuit.
func (r *relayService) SetStreamHandler(id protocol.ID, handler network.StreamHandler) {
	r.Host.SetStreamHandler(id, func(s network.Stream) { handler(r.metered(s, false)) })
}

// errRelayBusy: the peer that asked sees the circuit refused.
var errRelayBusy = errors.New("all circuits of this relay are taken")

// NewStream opens and meters the other half of a circuit.
func (r *relayService) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	if len(ids) != 1 || ids[0] != proto.ProtoIDv2Stop {
		return r.Host.NewStream(ctx, p, ids...)
	}
	r.mu.Lock()
	full := r.circuits >= r.max
	if !full {
		r.circuits++
	}
	r.mu.Unlock()
	if full {
		return nil, errRelayBusy
	}
	s, err := r.Host.NewStream(ctx, p, ids...)
	if err != nil {
		r.mu.Lock()
		r.circuits--
		r.mu.Unlock()
		return nil, err
	}
	return r.metered(s, true), nil
}

func (r *relayService) metered(s network.Stream, circuit bool) network.Stream {
	id := s.Conn().RemotePeer()
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.peers[id]
	if p == nil {
		r.forget()
		p = &relayed{}
		if r.perPeer > 0 {
			p.limit = newLimiter(int64(r.perPeer))
		}
		r.peers[id] = p
	}
	p.streams++
	return &meteredStream{Stream: s, relay: r, from: p, circuit: circuit}
}

// forget makes room for the figures of one more peer. The caller holds mu.
func (r *relayService) forget() {
	var oldest peer.ID
	for id, p := range r.peers {
		if len(r.peers) < maxRelayed {
			return
		}
		if p.streams == 0 && (oldest == "" || p.last.Before(r.peers[oldest].last)) {
			oldest = id
		}
	}
	delete(r.peers, oldest)
}

// meteredStream is one end of a circuit. What is read from it was sent by the
// peer at that end.
type meteredStream struct {
	network.Stream
	relay   *relayService
	from    *relayed
	circuit bool // counts in relayService.circuits
	over    sync.Once
}

// Read reads, and gives what it has read when the rates allow.
func (s *meteredStream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p[:min(len(p), relayBuffer)])
	if n == 0 {
		return n, err
	}
	r := s.relay
	now := time.Now()
	r.mu.Lock()
	r.meter.add(n, now)
	s.from.add(n, now)
	r.mu.Unlock()
	for _, l := range []*rate.Limiter{s.from.limit, r.total} {
		if l == nil {
			continue
		}
		if e := l.WaitN(r.ctx, n); e != nil {
			return 0, fmt.Errorf("relaying: %w", e)
		}
	}
	return n, err
}

func (s *meteredStream) Close() error {
	s.over.Do(s.done)
	return s.Stream.Close()
}

func (s *meteredStream) Reset() error {
	s.over.Do(s.done)
	return s.Stream.Reset()
}

func (s *meteredStream) ResetWithError(code network.StreamErrorCode) error {
	s.over.Do(s.done)
	return s.Stream.ResetWithError(code)
}

func (s *meteredStream) done() {
	r := s.relay
	r.mu.Lock()
	defer r.mu.Unlock()
	s.from.streams--
	if s.circuit {
		r.circuits--
	}
}
