package transport

import (
	"math"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// RelayStats are the figures of a host's relay.
type RelayStats struct {
	Circuits       int         // open now
	Bytes          int64       // passed on since the start, both ways
	BytesPerSecond int64       // over about the last ten seconds
	Peers          []RelayPeer // those who sent, most bytes first
}

// RelayPeer is what one peer sent through the relay.
type RelayPeer struct {
	Peer           peer.ID
	Streams        int // of open circuits
	Bytes          int64
	BytesPerSecond int64
}

// meter counts bytes and their recent rate.
type meter struct {
	bytes int64
	rate  float64 // bytes per second at last
	last  time.Time
}

// meterSpan is the time in which the weight of old bytes falls to 1/e.
const meterSpan = 10 * time.Second

func (m *meter) add(n int, now time.Time) {
	m.rate = m.rateAt(now) + float64(n)/meterSpan.Seconds()
	m.bytes += int64(n)
	m.last = now
}

func (m *meter) rateAt(now time.Time) float64 {
	return m.rate * math.Exp(-max(0, now.Sub(m.last).Seconds())/meterSpan.Seconds())
}

func (r *relayService) stats() RelayStats {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	out := RelayStats{Circuits: r.circuits, Bytes: r.meter.bytes, BytesPerSecond: int64(r.meter.rateAt(now))}
	for id, p := range r.peers {
		out.Peers = append(out.Peers, RelayPeer{Peer: id, Streams: p.streams, Bytes: p.bytes, BytesPerSecond: int64(p.rateAt(now))})
	}
	slices.SortFunc(out.Peers, func(a, b RelayPeer) int { return int(max(-1, min(1, b.Bytes-a.Bytes))) })
	return out
}
