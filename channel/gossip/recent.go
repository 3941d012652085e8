package gossip

import (
	"context"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

const (
	maxRecent = 4096
	recentFor = 2 * time.Minute
)

// recent remembers the payloads that sync brought before gossip did. When the
// gossip comes after all, this node passes it on as it would have: else a node
// that is quick to sync would be a hole in the mesh.
type recent struct {
	mu   sync.Mutex
	at   map[channel.Hash]time.Time
	ring [maxRecent]channel.Hash // in the order they came
	next int
}

func newRecent() *recent { return &recent{at: make(map[channel.Hash]time.Time)} }

func (r *recent) add(h channel.Hash) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.at, r.ring[r.next])
	r.ring[r.next] = h
	r.next = (r.next + 1) % maxRecent
	r.at[h] = time.Now()
}

// take reports whether h was added lately and not taken since.
func (r *recent) take(h channel.Hash) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	at, ok := r.at[h]
	delete(r.at, h)
	return ok && time.Since(at) < recentFor
}

// claims lets one session at a time pull a channel, so that the same is not
// transferred from several peers; but a slow or stalling peer makes others
// wait for claimWait only.
type claims struct {
	mu   sync.Mutex
	held map[channel.ID]chan struct{} // closed on release
}

// take waits for the channel to be free, no longer than claimWait. The
// function it returns releases it.
func (c *claims) take(ctx context.Context, id channel.ID) (release func()) {
	patience := time.NewTimer(claimWait)
	defer patience.Stop()
	for {
		c.mu.Lock()
		holder := c.held[id]
		if holder == nil {
			if c.held == nil {
				c.held = make(map[channel.ID]chan struct{})
			}
			mine := make(chan struct{})
			c.held[id] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.held, id)
				c.mu.Unlock()
				close(mine)
			}
		}
		c.mu.Unlock()
		select {
		case <-holder:
		case <-patience.C:
			return func() {}
		case <-ctx.Done():
			return func() {}
		}
	}
}
