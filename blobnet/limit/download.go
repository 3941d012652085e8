package limit

import (
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

const (
	// minSweep is how many peers are remembered before the idle ones are
	// looked for.
	minSweep = 256

	// reserved is how long, beyond the wait that it was told, a class holds
	// back those less urgent. Who is to ask again may be a little late.
	reserved = 50 * time.Millisecond
)

// Download limits what is asked for. It is a fetch.Limiter. Its methods may be
// called from many goroutines at once; none of them blocks.
type Download struct {
	mu      sync.Mutex
	current current                    // guarded by mu
	total   bucket                     // guarded by mu
	classes [blobnet.Classes]bucket    // guarded by mu
	hungry  [blobnet.Classes]time.Time // guarded by mu: until then less urgent classes stand back
	peers   map[string]*bucket         // guarded by mu: those that are not idle, and some that are
	sweepAt int                        // guarded by mu: at so many peers the idle ones are dropped
}

// NewDownload returns a Download that keeps to cfg.
func NewDownload(cfg Config) *Download {
	d := &Download{peers: make(map[string]*bucket), sweepAt: minSweep}
	d.Set(cfg)
	return d
}

// Set replaces the configuration. What was taken beyond a limit before is paid
// off at the new rate.
func (d *Download) Set(cfg Config) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.current.set(cfg, now)
	d.apply(now)
}

// Rates returns the limits that hold now.
func (d *Download) Rates() Rates {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.update(time.Now())
	return d.current.rates
}

// Take asks to download n bytes from peer. 0 means that they are counted: ask
// the peer for them now. Otherwise nothing was counted, and it is worth asking
// again after the time returned, which is a second at most.
//
// n may be larger than any limit: it is granted when no earlier bytes are owed,
// and the next one has to wait for longer. Bytes that are taken and then not
// transferred are not given back.
//
// Where the total limit is what holds a class back, less urgent classes get
// nothing before its time to ask again is over: a class that always wants more
// leaves them nothing.
func (d *Download) Take(peer string, class blobnet.Class, n int) time.Duration {
	if n <= 0 {
		return 0
	}
	class = min(class, blobnet.Classes-1)
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	d.update(now)
	own := max(d.classes[class].wait(now), d.peerWait(peer, now))
	if own > 0 {
		return own
	}
	wait := d.total.wait(now)
	for c := range class {
		wait = max(wait, d.hungry[c].Sub(now))
	}
	if wait > 0 {
		d.hungry[class] = now.Add(wait + reserved)
		return min(wait, maxWait)
	}
	d.total.take(n)
	d.classes[class].take(n)
	d.peerTake(peer, n, now)
	return 0
}

func (d *Download) update(now time.Time) {
	if d.current.update(now) {
		d.apply(now)
	}
}

// apply brings the buckets to the rates that hold.
func (d *Download) apply(now time.Time) {
	r := d.current.rates
	d.total.set(r.Total, now)
	for i := range d.classes {
		d.classes[i].set(r.Class[i], now)
	}
	if r.PerPeer == 0 {
		clear(d.peers)
	}
	for _, b := range d.peers {
		b.set(r.PerPeer, now)
	}
	if r.Total == 0 {
		d.hungry = [blobnet.Classes]time.Time{}
	}
}

// peerWait is 0 for a peer that nothing is remembered of.
func (d *Download) peerWait(peer string, now time.Time) time.Duration {
	if b := d.peers[peer]; b != nil {
		return b.wait(now)
	}
	return 0
}

func (d *Download) peerTake(peer string, n int, now time.Time) {
	rate := d.current.rates.PerPeer
	if rate == 0 {
		return
	}
	b := d.peers[peer]
	if b == nil {
		if len(d.peers) >= d.sweepAt {
			for p, b := range d.peers {
				if b.idle(now) {
					delete(d.peers, p)
				}
			}
			d.sweepAt = max(minSweep, 2*len(d.peers))
		}
		b = &bucket{}
		b.set(rate, now)
		d.peers[peer] = b
	}
	b.take(n)
}
