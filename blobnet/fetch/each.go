package fetch

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// lookahead is how many wants an Each knows of beyond those that are delivered.
const lookahead = 4096

// Each gets the blob that want names for every item and hands both to deliver,
// with local telling that the blob was in the store already. It looks up to
// 4,096 items ahead, without their bytes, and asks for many blobs at once within
// Config.MaxOutstanding: in the order of items where one peer has them all, and
// in whichever order serves best where peers have different ones. They are
// delivered as they come by up to GOMAXPROCS goroutines at once. The blob is
// shared and only valid during the call: deliver must neither keep nor change
// it. deliver and items may use s.Get but not Each.
//
// Each returns after everything it started has ended: with nil when all items
// were delivered, or else the first error of items, of getting a blob (a
// *NotFoundError in its chain if nobody has it and it is not Optional) or of
// deliver, or ctx's.
func Each[T any](ctx context.Context, s *Swarm, items iter.Seq2[T, error], want func(T) Want,
	deliver func(item T, blob []byte, local bool) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := &walk[T]{ctx: ctx, s: s, pending: make(map[uint64]entry[T])}
	w.change.L = &w.mu
	defer context.AfterFunc(ctx, w.stop)()
	polls := s.watch()
	defer s.unwatch(polls)

	var workers, polling sync.WaitGroup
	stopPolling, pollingEnds := context.WithCancel(ctx)
	polling.Go(func() { polls.run(stopPolling) })
	for range runtime.GOMAXPROCS(0) {
		workers.Go(func() {
			for e, ok := w.next(); ok; e, ok = w.next() {
				if err := e.deliver(ctx, deliver); err != nil {
					cancel(err)
				}
				w.leave(e)
			}
		})
	}
	for item, err := range items {
		if err == nil {
			err = w.add(ctx, item, want(item))
		}
		if err != nil {
			cancel(err)
			break
		}
		if n := w.count; n&(n-1) == 0 {
			polls.kick() // there is something to ask about
		}
	}
	w.complete()
	workers.Wait()
	pollingEnds()
	polling.Wait()
	w.abandon()
	w.ending.Wait()
	return context.Cause(ctx)
}

// walk is one run of Each.
type walk[T any] struct {
	ctx    context.Context
	s      *Swarm
	count  uint64         // items that were added
	ending sync.WaitGroup // of what is left of flights that were left

	mu      sync.Mutex // guards what follows; taken after the Swarm's, never before
	change  sync.Cond
	pending map[uint64]entry[T] // items that were not delivered
	ready   []uint64            // of these, those that came
	all     bool                // no more are added
	stopped bool
}

// entry is one item.
type entry[T any] struct {
	item     T
	n        uint64
	f        *flight
	optional bool
}

// add begins to get an item's blob, when there is room to look ahead.
func (w *walk[T]) add(ctx context.Context, item T, want Want) error {
	w.mu.Lock()
	for len(w.pending) >= lookahead && !w.stopped {
		w.change.Wait()
	}
	w.mu.Unlock()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	stored, err := w.s.stores(ctx, want)
	if err != nil {
		return err
	}
	e := entry[T]{item: item, n: w.count, optional: want.Optional}
	w.count++
	w.s.follow(ctx, want, arrival{w, e.n}, stored, func(f *flight) {
		e.f = f
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pending[e.n] = e
	})
	return nil
}

// came takes note that item n can be delivered. It is called with the Swarm
// locked.
func (w *walk[T]) came(n uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ready = append(w.ready, n)
	w.change.Broadcast()
}

// next waits for an item that came. It is pending until leave.
func (w *walk[T]) next() (e entry[T], ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.stopped && len(w.ready) == 0 && !(w.all && len(w.pending) == 0) {
		w.change.Wait()
	}
	if w.ctx.Err() != nil || len(w.ready) == 0 {
		return e, false
	}
	n := w.ready[0]
	w.ready = w.ready[1:]
	return w.pending[n], true
}

func (w *walk[T]) leave(e entry[T]) {
	if ended := w.s.leave(e.f, false); ended != nil {
		w.ending.Go(func() { <-ended })
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.pending, e.n)
	w.change.Broadcast()
}

func (w *walk[T]) complete() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.all = true
	w.change.Broadcast()
}

func (w *walk[T]) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.change.Broadcast()
}

// abandon leaves what was not delivered.
func (w *walk[T]) abandon() {
	w.mu.Lock()
	left := w.pending
	w.pending = nil
	w.mu.Unlock()
	for _, e := range left {
		w.leave(e)
	}
}

// deliver hands over a blob that came.
func (e *entry[T]) deliver(ctx context.Context, deliver func(item T, blob []byte, local bool) error) error {
	f := e.f
	if errors.Is(f.err, context.Canceled) && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if f.err != nil && !(e.optional && errors.Is(f.err, blobnet.ErrNotFound)) {
		return fmt.Errorf("fetching blob %s: %w", f.id.Short(), f.err)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return deliver(e.item, f.blob, f.local)
}

// stores reports whether the store says it has w's blob.
func (s *Swarm) stores(ctx context.Context, w Want) (bool, error) {
	if s.cfg.Store == nil {
		return false, nil
	}
	has, err := s.cfg.Store.Has(ctx, w.ID)
	if err != nil {
		return false, fmt.Errorf("fetching blob %s: %w", w.ID.Short(), err)
	}
	return has[0], nil
}

func (s *Swarm) watch() *poller {
	p := &poller{s: s, wake: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.walks) == 0 {
		s.grace = time.Now().Add(pollGrace)
	}
	s.walks[p] = struct{}{}
	return p
}

func (s *Swarm) unwatch(p *poller) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.walks, p)
}
