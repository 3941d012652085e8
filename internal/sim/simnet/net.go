// Package simnet is a network for simulations: hosts of libp2p in one process,
// with latency, loss, narrow uplinks, connections that break and peers that
// vanish. It is host.Host down to what gossipsub and the sync protocol use of
// one, and has no sockets, handshakes or encryption.
//
// All time is that of package time, so that within a bubble of testing/synctest
// hours pass in seconds. It knows nothing of channels, and must never be
// imported by what ships.
package simnet

import (
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Config is how the network behaves.
type Config struct {
	Seed uint64

	// Loss is the chance that what one write hands to the network is lost. On
	// streams of Lossy protocols that is the end of it, which is worse than
	// what TCP or QUIC do; on others it comes late, after a retransmission.
	Loss  float64
	Lossy func(protocol.ID) bool

	// Latency is the time one way between two hosts, by their numbers.
	Latency func(a, b int) time.Duration

	// Uplink is what a host can send, in bytes per second; what is more waits.
	Uplink int

	// Silence is after how long a peer that vanished is missed.
	Silence time.Duration
}

const (
	overhead    = 60                     // bytes of headers on what is written, for the uplink alone
	window      = 256 << 10              // bytes on their way to one end of a stream
	backlog     = time.Second            // of a host's uplink, after which writers wait
	firstResend = 200 * time.Millisecond // after which what was lost is sent again, doubling
	dialTimeout = 5 * time.Second
)

var errUnreachable = errors.New("peer does not answer")

// Net is the network.
type Net struct {
	cfg Config

	mu    sync.RWMutex
	hosts map[peer.ID]*Host // those that are up; guarded by mu, as are the connections of all
}

// New returns a network without hosts.
func New(cfg Config) *Net {
	return &Net{cfg: cfg, hosts: make(map[peer.ID]*Host)}
}

func (n *Net) lookup(p peer.ID) *Host {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.hosts[p]
}

// dice is randomness for one host.
type dice struct {
	mu sync.Mutex
	r  *rand.Rand
}

func newDice(seed uint64, number int, start uint64) *dice {
	return &dice{r: rand.New(rand.NewPCG(seed^start<<32, uint64(number)))}
}

func (d *dice) chance(p float64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.r.Float64() < p
}

// resends is how much later something arrives because it was lost on the way,
// some times.
func (d *dice) resends(loss float64) time.Duration {
	late, wait := time.Duration(0), firstResend
	for range 6 {
		if !d.chance(loss) {
			break
		}
		late, wait = late+wait, 2*wait
	}
	return late
}

// jitter varies a latency upwards by up to a tenth.
func (d *dice) jitter(l time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	return l + time.Duration(d.r.Int64N(int64(l)/10+1))
}
