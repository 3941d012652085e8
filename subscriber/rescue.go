package subscriber

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
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
	// lossPatience is how long a chunk that can be made out of others is waited
	// for when all peers say that they have it not; rescuePatience is the same
	// for what the others are asked for.
	lossPatience, rescuePatience = time.Second, time.Millisecond
	// spareGaps is how many chunks more than what came gives reason to may be
	// missing before they are waited for, and maxUnmended how many that cannot
	// be made end the making.
	spareGaps, maxUnmended = 256, 16
)

// mends reports whether a chunk of t that nobody has need not be waited for: it
// is made out of others, as long as they come.
func (t *target) mends() bool {
	return t.coded && t.rescues == 0 && t.gaps.Load() <= spareGaps+codec.MaxParity*t.came.Load()
}

// coded reports whether t has parity. It is asked once, when the root index is
// about to be needed anyway.
func (a *assembly) coded(ctx context.Context, t *target) bool {
	for _, err := range codec.Stripes(ctx, a.source(), t.entry.File()) {
		return err == nil
	}
	return false
}

// gaps are the targets that lack chunks which nobody has.
func (a *assembly) gaps() (found []*target) {
	for _, t := range a.targets {
		if t.gaps.Swap(0) > 0 && !t.over.Load() {
			found = append(found, t)
		}
	}
	return found
}

// patient is the swarm for who waits so long for what all say they have not.
type patient struct {
	swarm *fetch.Swarm
	time  time.Duration
}

func (p patient) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return p.swarm.Fetch(ctx, fetch.Want{ID: id, Class: blobnet.Foreground, Patience: p.time}, dst)
}

// rescuesOf is how many chunks of a file of that coding are made at once.
func rescuesOf(c codec.Coding) int {
	return max(1, min(rescues, rescueMemory/((c.Data+c.Parity)*codec.MaxChunkSize)))
}

// rescue goes on with those targets that wait for a blob which nobody has and
// whose files have parity, and reports whether there was one: what else is
// missing of them is had or, where that fails or takes long, made out of other
// blobs of its stripe. The first time, a target of which too much is missing
// goes on waiting: peers may come. An error is one of the disk or ctx.
func (a *assembly) rescue(ctx context.Context, waiting []*target) (tried bool, err error) {
	for _, t := range waiting {
		if t.over.Load() || t.rescues == 2 {
			continue
		}
		t.rescues++
		for stripe, err := range codec.Stripes(ctx, a.source(), t.entry.File()) {
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
	first := t.rescues == 1
	cfg := erasure.Config{Source: a.source(), File: t.entry.File(), Slow: rescueAfter}
	if first {
		cfg.Source = patient{a.swarm, rescuePatience}
	}
	src, err := erasure.NewSource(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(parent)
	defer cancel(nil)
	a.cancel = cancel
	a.finish = new(errgroup.Group)
	a.finish.SetLimit(finishers)
	// What is complete goes on being checked when the group has ended.
	group, getting := errgroup.WithContext(ctx)
	group.SetLimit(atOnce)
	err = a.rescueChunks(ctx, getting, t, src, group)
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
	case errors.Is(err, blobnet.ErrNotFound) && first:
		return nil
	case errors.Is(err, blobnet.ErrNotFound):
		t.lose(err)
		return nil
	case errors.Is(err, codec.ErrIndex): // the parity is not that of the data
		t.refuse(err)
		return nil
	}
	return err
}

// rescueChunks has group get the chunks that t lacks, as long as getting lasts,
// and deliver them.
func (a *assembly) rescueChunks(ctx, getting context.Context, t *target, src blobnet.Source, group *errgroup.Group) error {
	begun, err := t.begun(ctx)
	if err != nil {
		return fmt.Errorf("going on with %s: %w", t.out.full(t.name), err)
	}
	t.index = &indexes{src: src}
	var unmended atomic.Int64
	for chunk, err := range codec.Chunks(getting, t.index, t.entry.File()) {
		if err != nil {
			return fmt.Errorf("file %q: %w", t.name, err)
		}
		p := piece{t, chunk, a.patience}
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
			blob, err := src.Get(getting, chunk.Ref.ID, nil)
			if errors.Is(err, blobnet.ErrNotFound) && t.rescues == 1 && unmended.Add(1) < maxUnmended {
				return nil // others may be made
			}
			if err != nil {
				return fmt.Errorf("file %q: %w", t.name, err)
			}
			return a.deliver(ctx, p, blob, false)
		})
	}
	return nil
}
