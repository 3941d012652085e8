package subscriber

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/erasure"
)

const (
	// rescueAfter is how long a chunk of a file of which some cannot be had is
	// waited for before it is made out of others.
	rescueAfter = 5 * time.Second
	// rescues is how many chunks are made at once, as long as the stripes that
	// each may hold in memory are not over rescueMemory bytes together: the
	// publisher chose how large those are.
	rescues      = 4
	rescueMemory = 256 << 20
)

// rescuesOf is how many chunks of a file of that coding are made at once.
func rescuesOf(c codec.Coding) int {
	return max(1, min(rescues, rescueMemory/((c.Data+c.Parity)*codec.MaxChunkSize)))
}

// rescue goes on with those targets that wait for a blob which nobody has and
// whose files have parity, and reports whether there was one: what else is
// missing of them is had or, where that fails or takes long, made out of other
// blobs of its stripe. An error is one of the disk or ctx.
func (a *assembly) rescue(ctx context.Context, waiting []*target) (tried bool, err error) {
	for _, t := range waiting {
		if t.over.Load() || t.rescued {
			continue
		}
		t.rescued = true
		for stripe, err := range codec.Stripes(ctx, a.swarm, t.entry.File()) {
			if err != nil {
				break // no index, no telling
			}
			tried = true
			if err := a.rescueTarget(ctx, t, rescuesOf(stripe.Coding)); err != nil {
				return true, err
			}
			break
		}
	}
	return tried, nil
}

func (a *assembly) rescueTarget(parent context.Context, t *target, atOnce int) error {
	src, err := erasure.NewSource(erasure.Config{Source: a.swarm, File: t.entry.File(), Slow: rescueAfter})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	a.cancel = cancel
	a.finish = new(errgroup.Group)
	a.finish.SetLimit(finishers)
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	err = a.rescueChunks(ctx, t, src, group)
	if waitErr := group.Wait(); waitErr != nil {
		err = waitErr
	}
	a.forsake()
	if finishErr := a.finish.Wait(); finishErr != nil {
		return finishErr
	}
	switch {
	case parent.Err() != nil:
		return context.Cause(parent)
	case errors.Is(err, blobnet.ErrNotFound):
		t.lose(err)
		return nil
	case errors.Is(err, codec.ErrIndex): // the parity is not that of the data
		t.refuse(err)
		return nil
	}
	return err
}

// rescueChunks has group get and deliver the chunks that t lacks.
func (a *assembly) rescueChunks(ctx context.Context, t *target, src blobnet.Source, group *errgroup.Group) error {
	begun, err := t.begun(ctx)
	if err != nil {
		return fmt.Errorf("going on with %s: %w", t.out.full(t.name), err)
	}
	t.index = &indexes{src: src}
	for chunk, err := range codec.Chunks(ctx, t.index, t.entry.File()) {
		if err != nil {
			return fmt.Errorf("file %q: %w", t.name, err)
		}
		p := piece{t, chunk}
		if t.over.Load() || t.order.has(chunk.Offset) {
			continue
		}
		if begun {
			if had, err := a.resume(ctx, p); err != nil {
				return err
			} else if had {
				continue
			}
		}
		a.asked(chunk.Ref.ID, t)
		group.Go(func() error {
			blob, err := src.Get(ctx, chunk.Ref.ID, nil)
			if err != nil {
				return fmt.Errorf("file %q: %w", t.name, err)
			}
			return a.deliver(ctx, p, blob, false)
		})
	}
	return nil
}
