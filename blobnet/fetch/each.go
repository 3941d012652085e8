package fetch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
)

// Each gets the blob that want names for every item and hands both to deliver,
// with local telling that the blob was in the store already. It asks for many
// blobs at once, in the order of items, within Config.MaxOutstanding; they are
// delivered as they come, roughly in that order, by up to GOMAXPROCS
// goroutines at once. The blob is shared and only valid during the call:
// deliver must neither keep nor change it. deliver may use s.Get but not Each.
//
// Each returns after everything it started has ended: with nil when all items
// were delivered, or else the first error of items, of getting a blob (a
// *NotFoundError in its chain if nobody has it) or of deliver, or ctx's.
func Each[T any](ctx context.Context, s *Swarm, items iter.Seq2[T, error], want func(T) Want,
	deliver func(item T, blob []byte, local bool) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	workers := make(chan struct{}, runtime.GOMAXPROCS(0))
	var running sync.WaitGroup
	for item, err := range items {
		if err != nil {
			cancel(err)
			break
		}
		size := int64(min(s.expected(), s.cfg.MaxOutstanding))
		if s.memory.Acquire(ctx, size) != nil {
			break // ctx has ended and says why
		}
		f := s.join(ctx, want(item).ID)
		running.Go(func() {
			defer s.memory.Release(size)
			defer s.leave(f)
			if err := deliverOne(ctx, f, workers, item, deliver); err != nil {
				cancel(err)
			}
		})
	}
	running.Wait()
	return context.Cause(ctx)
}

// deliverOne waits for f, then for a worker's place, and delivers.
func deliverOne[T any](ctx context.Context, f *flight, workers chan struct{}, item T,
	deliver func(item T, blob []byte, local bool) error) error {
	select {
	case <-f.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if errors.Is(f.err, context.Canceled) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.err != nil {
		return fmt.Errorf("fetching blob %s: %w", f.id.Short(), f.err)
	}
	select {
	case workers <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-workers }()
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	return deliver(item, f.blob, f.local)
}
