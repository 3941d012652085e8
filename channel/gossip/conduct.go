package gossip

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

const (
	banFor      = time.Hour
	firstPause  = 2 * time.Second
	longPause   = 5 * time.Minute
	maxRecords  = 4096
	banishScore = -10_000 // far below the score at which gossip is not listened to
)

// conduct remembers how peers behaved in sync: who lied is left alone for an
// hour, who failed for a while that doubles with every failure.
type conduct struct {
	now func() time.Time

	mu      sync.Mutex
	records map[peer.ID]record // guarded by mu
}

type record struct {
	failures int
	until    time.Time // not to be asked before
	banned   bool
}

func newConduct() *conduct {
	return &conduct{now: time.Now, records: make(map[peer.ID]record)}
}

// good forgets the failures of a peer that answered properly.
func (c *conduct) good(p peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.records[p].banned {
		delete(c.records, p)
	}
}

// failed makes a peer wait that could not be reached, or was too slow.
func (c *conduct) failed(p peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.records[p]
	if r.banned {
		return
	}
	pause := min(firstPause<<min(r.failures, 16), longPause)
	r.failures++
	r.until = c.now().Add(pause)
	c.put(p, r)
}

// lied bans a peer.
func (c *conduct) lied(p peer.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.put(p, record{until: c.now().Add(banFor), banned: true})
}

// put stores a record. When there are too many, those that have run out go,
// and if none has, an arbitrary one: whoever makes 4,096 identities misbehave
// can be forgiven one of them.
func (c *conduct) put(p peer.ID, r record) {
	if _, known := c.records[p]; !known && len(c.records) >= maxRecords {
		now := c.now()
		var victim peer.ID
		for q, old := range c.records {
			if victim = q; !old.until.After(now) {
				delete(c.records, q)
			}
		}
		if len(c.records) >= maxRecords {
			delete(c.records, victim)
		}
	}
	c.records[p] = r
}

// banned reports whether the peer lied within the last hour.
func (c *conduct) banned(p peer.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.records[p]
	if ok && r.banned && !r.until.After(c.now()) {
		delete(c.records, p)
		return false
	}
	return r.banned
}

// pause returns how long to wait before asking the peer again.
func (c *conduct) pause(p peer.ID) time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.records[p].until.Sub(c.now()))
}

// score is what gossipsub adds to its own score of the peer.
func (c *conduct) score(p peer.ID) float64 {
	if c.banned(p) {
		return banishScore
	}
	return 0
}
