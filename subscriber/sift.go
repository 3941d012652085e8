package subscriber

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
)

// maxIndexLoss is how many files whose index blobs are not to be had, one after
// another, end a run: what is left is tried with the next one.
const maxIndexLoss = 16

// errGaps: a file lacks chunks, and it cannot be said how to make them.
var errGaps = fmt.Errorf("some of its blobs nobody has: %w", blobnet.ErrNotFound)

// source is where index blobs are had.
func (a *assembly) source() blobnet.Source {
	if a.patience == 0 {
		return a.swarm
	}
	return patient{a.swarm, a.patience}
}

// doubt is a blob without which a target cannot come.
type doubt struct {
	t    *target
	id   blobnet.ID
	came bool
}

// sift asks for one blob of each target at once, and ends those that cannot have
// it, or not within bound if that is not nil: one after another they would be waited
// for as long each.
func (a *assembly) sift(ctx context.Context, bound func(context.Context, int) (context.Context, func()), of func(*target) blobnet.ID) error {
	var doubts []doubt
	for _, t := range a.targets {
		if id := of(t); id != (blobnet.ID{}) && !t.over.Load() {
			doubts = append(doubts, doubt{t: t, id: id})
		}
	}
	if len(doubts) == 0 {
		return nil
	}
	limited, cancel := ctx, func() {}
	if bound != nil {
		limited, cancel = bound(ctx, len(a.targets))
	}
	defer cancel()
	err := fetch.Each(limited, a.swarm, func(yield func(*doubt, error) bool) {
		for i := range doubts {
			if !yield(&doubts[i], nil) {
				return
			}
		}
	}, func(d *doubt) fetch.Want {
		return fetch.Want{ID: d.id, Class: blobnet.Foreground, Patience: a.patience, Optional: true}
	}, func(d *doubt, blob []byte, _ bool) error {
		d.came = blob != nil
		return nil
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil && limited.Err() == nil {
		return err
	}
	for _, d := range doubts {
		if !d.came {
			d.t.loseOf(d.id, fmt.Errorf("nobody has blob %s: %w", d.id, blobnet.ErrNotFound))
		}
	}
	return nil
}
