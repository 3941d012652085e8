package subscriber

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// errRetracted: while files of a release were fetched, the channel took one of them
// back.
var errRetracted = errors.New("the channel took a file back while it was fetched")

const (
	// maxSoughtBodies is how many bodies are looked for at a time.
	maxSoughtBodies = 16
	// restAfterLook is how many times as long as a look took nobody looks again.
	restAfterLook = 10
)

// ahead are the bodies that were looked for before their release's turn.
type ahead struct {
	mu     sync.Mutex // guards sought
	sought map[channel.Hash]bool
}

func (a *ahead) first(h channel.Hash) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sought[h] {
		return false
	}
	if a.sought == nil {
		a.sought = map[channel.Hash]bool{}
	}
	a.sought[h] = true
	return true
}

// refusedBody is a release whose body is not what may be in one.
type refusedBody struct {
	release catalog.Release
	err     error
}

// learn makes known what all releases say that are here, also those whose turn has
// not come, so that nothing is fetched that a later one takes back. What cannot be
// had soon, or comes from a log whose releases lately did not come, waits for its
// turn. Those that were refused are for the caller to tell.
func (f *follower) learn(ctx context.Context) (refused []refusedBody, err error) {
	if err := f.unlocker.run(ctx); err != nil {
		return nil, err
	}
	missing, err := f.cfg.Ledger.MissingBodies(ctx, f.order.Channel, 0)
	if err != nil || len(missing) == 0 {
		return nil, err
	}
	var mu sync.Mutex // guards refused
	var group errgroup.Group
	group.SetLimit(maxSoughtBodies)
	soon, cancel := context.WithTimeout(ctx, f.cfg.Silence)
	defer cancel()
	for _, r := range missing {
		if soon.Err() != nil {
			break
		}
		if r.Ref == nil || f.stalls.lately(r.Log) || !f.ahead.first(r.Hash) {
			continue
		}
		if dead, err := f.dead(ctx, r); dead || err != nil {
			continue
		}
		group.Go(func() error {
			blob, err := f.cfg.Swarm.Fetch(soon, fetch.Want{ID: r.Ref.ID, Class: blobnet.Foreground, Patience: f.cfg.ProbeTimeout}, nil)
			if err != nil {
				if soon.Err() != nil && ctx.Err() == nil {
					f.stalls.note(r.Log)
				}
				return nil // its turn comes
			}
			body, err := channel.OpenBody(blob, *r.Ref)
			if err != nil {
				return nil // and is told of then
			}
			err = f.cfg.Ledger.PutBody(ctx, r.Channel, r.Hash, body)
			if errors.Is(err, catalog.ErrRefused) {
				mu.Lock()
				defer mu.Unlock()
				refused = append(refused, refusedBody{r, fmt.Errorf("release %d: %w: %w", r.Seq, ErrRefused, err)})
				return nil
			}
			return err
		})
	}
	err = group.Wait()
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return refused, err
}

// learnAndTell is learn, of whoever may emit.
func (f *follower) learnAndTell(ctx context.Context) error {
	refused, err := f.learn(ctx)
	for _, r := range refused {
		f.skip(r.release, "", r.err)
	}
	return err
}

// watchful returns a context that ends, with errRetracted, when the channel takes
// back one of the files that are being fetched, and what ends the watching. stop
// waits, and returns what came to light meanwhile and is to be told.
func (a *application) watchful(parent context.Context, targets []*target) (ctx context.Context, stop func() []refusedBody) {
	ctx, cancel := context.WithCancelCause(parent)
	news := make(chan struct{}, 1)
	news <- struct{}{} // something may have come since the release was looked at
	unwatch := a.cfg.Ledger.Watch(func(id channel.ID, _ feed.Kind) {
		if id == a.order.Channel {
			select {
			case news <- struct{}{}:
			default: // there is news already
			}
		}
	})
	var told []refusedBody
	var watching sync.WaitGroup
	watching.Go(func() {
		for {
			select {
			case <-news:
			case <-ctx.Done():
				return
			}
			begun := time.Now()
			refused, err := a.learn(ctx)
			told = append(told, refused...)
			if err == nil {
				err = a.lookForTombstones(ctx, targets)
			}
			if errors.Is(err, errRetracted) {
				cancel(err)
				return
			}
			// Anything else the next news, or the release's own turn, shows again.
			if wait(ctx, restAfterLook*time.Since(begun)) != nil {
				return
			}
		}
	})
	return ctx, func() []refusedBody {
		cancel(nil)
		watching.Wait()
		unwatch()
		return told
	}
}

// lookForTombstones returns errRetracted if there is one for a file that has not
// come.
func (a *application) lookForTombstones(ctx context.Context, targets []*target) error {
	for _, t := range targets {
		if t.over.Load() && !t.lost {
			continue
		}
		view, err := a.cfg.Ledger.Entry(ctx, a.order.Channel, t.entry.Name)
		if err != nil {
			return err
		}
		if view.Removed {
			return errRetracted
		}
	}
	return nil
}
