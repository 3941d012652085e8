package publisher

import (
	"context"
	"sync"

	"github.com/anonymous-media-library/aml/channel"
)

// logKey names a log, or with a zero channel all that a key founds.
type logKey struct {
	channel channel.ID
	key     channel.PublicKey
}

// turns lets one publication per log happen at a time. A turn is held across
// the disk writes of a publication, because it is what makes "read the newest
// manifest, sign the one after it, append it" one step; waiting for it ends
// with the context.
type turns struct {
	mu   sync.Mutex // guards held
	held map[logKey]*turn
}

type turn struct {
	token chan struct{} // has room for the one who holds the turn
	users int           // holding or waiting; guarded by turns.mu
}

// take waits for the turn of a log and returns what gives it back.
func (t *turns) take(ctx context.Context, key logKey) (release func(), err error) {
	t.mu.Lock()
	if t.held == nil {
		t.held = map[logKey]*turn{}
	}
	this := t.held[key]
	if this == nil {
		this = &turn{token: make(chan struct{}, 1)}
		t.held[key] = this
	}
	this.users++
	t.mu.Unlock()

	done := func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if this.users--; this.users == 0 {
			delete(t.held, key)
		}
	}
	select {
	case this.token <- struct{}{}:
		return func() { <-this.token; done() }, nil
	case <-ctx.Done():
		done()
		return nil, ctx.Err()
	}
}
