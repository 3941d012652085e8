package diskstore

import (
	"context"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
)

// claims says who makes or removes which blob's file just now. At most one
// holds an id.
type claims struct {
	mu   sync.Mutex
	held map[blobnet.ID]chan struct{} // closed when the claim is dropped
}

// take waits until id is free, or ctx ends, and claims it.
func (c *claims) take(ctx context.Context, id blobnet.ID) error {
	for {
		c.mu.Lock()
		busy, ok := c.held[id]
		if !ok {
			c.held[id] = make(chan struct{})
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		select {
		case <-busy:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// try claims id if it is free.
func (c *claims) try(id blobnet.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.held[id]; ok {
		return false
	}
	c.held[id] = make(chan struct{})
	return true
}

// drop ends a claim.
func (c *claims) drop(id blobnet.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.held[id])
	delete(c.held, id)
}
