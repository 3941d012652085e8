package subscriber

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/codec"
)

// finishers is how many files are checked, synced and renamed at once, while
// chunks of others come in.
const finishers = 8

// assembly puts files together from blobs, all of them in one stream of
// requests, so that many small files do not wait for one another. What it holds
// in memory beside the swarm's blobs does not grow with the files.
type assembly struct {
	swarm   *fetch.Swarm
	place   Place // may be nil: it is not told what comes
	keep    bool  // the swarm's store keeps every chunk
	targets []*target
	// patience is how long a blob that all who can be asked say they have not is
	// waited for; then the file is lost, and the others go on. If zero, until the
	// swarm gives up, which ends all that would only wait as long.
	patience time.Duration
	// bound ends what is waited for doubted blobs, those of so many targets; it may be
	// nil.
	bound   func(ctx context.Context, targets int) (context.Context, func())
	onBytes func(t *target, n int, local bool) // may be nil; from many goroutines

	buffers   sync.Pool    // of *[]byte
	delivered atomic.Int64 // chunks
	atLoss    int64        // delivered when an index was last not to be had, -1 for never
	sifted    bool         // files whose root nobody has were sorted out
	indexLoss int          // indexes that were not to be had since

	mu   sync.Mutex               // guards want
	want map[blobnet.ID][]*target // whose blob was asked for and has not come

	finish *errgroup.Group // of one pass
	cancel context.CancelCauseFunc
}

// piece is one chunk of one target.
type piece struct {
	t        *target
	chunk    codec.Chunk
	patience time.Duration // of the assembly
}

// asWant is what is known of the blob before it comes.
func (p piece) asWant() fetch.Want {
	ref := p.chunk.Ref
	w := fetch.Want{ID: ref.ID, Tree: ref.Tree, Size: codec.PaddedSize(int(min(ref.Size, blobnet.MaxBlobSize))) + codec.Overhead, Class: blobnet.Foreground}
	if p.patience > 0 {
		w.Patience, w.Optional = p.patience, true
	}
	if p.t.mends() {
		w.Patience, w.Optional = lossPatience, true
	}
	return w
}

// run ends every target, or returns an error: that of the disk or ctx, or, with
// blobnet.ErrNotFound in it, that of a blob which keeps targets waiting. Then
// those that are not over can be tried again; what they have of their files
// stays for that.
func (a *assembly) run(ctx context.Context) error {
	defer func() {
		a.forsake()
		for _, t := range a.targets {
			t.clean(ctx)
		}
	}()
	a.want, a.atLoss = map[blobnet.ID][]*target{}, -1
	if err := a.sift(ctx, a.bound, func(t *target) blobnet.ID { return t.doubted }); err != nil {
		return err
	}
	for {
		before := a.delivered.Load()
		err := a.pass(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		var missing *fetch.NotFoundError
		if err != nil && !errors.As(err, &missing) {
			return err
		}
		waiting, waited := a.gaps(), a.forsake()
		if missing != nil {
			waiting = append(waiting, waited[missing.ID]...)
		}
		tried, rescueErr := a.rescue(ctx, waiting)
		if rescueErr != nil {
			return rescueErr
		}
		if tried {
			continue
		}
		if err == nil {
			a.blame(waiting, errGaps)
			return a.firstLost()
		}
		optional := a.blame(waiting, err)
		if a.patience > 0 && !a.sifted && a.swarm.Answered(time.Now().Add(-answerWindow)) {
			a.sifted = true
			if err := a.sift(ctx, nil, func(t *target) blobnet.ID { return t.entry.Root.ID }); err != nil {
				return err
			}
			continue
		}
		if a.delivered.Load() == before && !optional {
			return cmp.Or(a.firstLost(), err) // nothing comes; what is left would only wait as long
		}
	}
}

// firstLost is the error of the first target that has to be tried again.
func (a *assembly) firstLost() error {
	for _, t := range a.targets {
		if t.over.Load() && t.lost && !t.optional {
			return t.err
		}
	}
	return nil
}

// blame ends the targets that wait for a blob which cannot be had, and reports
// whether all of them may do without.
func (a *assembly) blame(waiting []*target, err error) (optional bool) {
	optional = true
	for _, t := range waiting {
		t.lose(err)
		optional = optional && t.optional
	}
	return optional && len(waiting) > 0
}

// forsake ends the waiting for all that was asked for, and returns who waited.
func (a *assembly) forsake() map[blobnet.ID][]*target {
	a.mu.Lock()
	waited := a.want
	a.want = map[blobnet.ID][]*target{}
	a.mu.Unlock()
	if a.place != nil {
		for id := range waited {
			a.place.Arrived(id)
		}
	}
	return waited
}

// pass asks for every chunk that is missing once.
func (a *assembly) pass(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	a.cancel = cancel
	a.finish = new(errgroup.Group)
	a.finish.SetLimit(finishers)
	err := fetch.Each(ctx, a.swarm, a.pieces(ctx), piece.asWant,
		func(p piece, blob []byte, local bool) error { return a.deliver(ctx, p, blob, local) })
	if finishErr := a.finish.Wait(); finishErr != nil {
		return finishErr // the cause of err, if that is any
	}
	return err
}

// pieces yields the chunks that are missing, one target after another.
func (a *assembly) pieces(ctx context.Context) iter.Seq2[piece, error] {
	return func(yield func(piece, error) bool) {
		for _, t := range a.targets {
			if t.over.Load() {
				continue
			}
			if !a.piecesOf(ctx, t, yield) {
				return
			}
		}
	}
}

func (a *assembly) piecesOf(ctx context.Context, t *target, yield func(piece, error) bool) bool {
	begun, err := t.begun(ctx)
	if err != nil {
		return yield(piece{}, fmt.Errorf("going on with %s: %w", t.out.full(t.name), err))
	}
	t.index = &indexes{src: a.source()}
	if !t.rooted {
		t.rooted, t.coded = true, a.coded(ctx, t)
	}
	for chunk, err := range codec.Chunks(ctx, t.index, t.entry.File()) {
		switch {
		case err != nil && ctx.Err() != nil:
			return yield(piece{}, context.Cause(ctx))
		case errors.Is(err, codec.ErrIndex), errors.Is(err, codec.ErrSealed), errors.Is(err, codec.ErrPadding):
			t.refuse(err)
			return true
		case errors.Is(err, blobnet.ErrNotFound):
			t.lose(err)
			return a.goOn() || yield(piece{}, err)
		case err != nil:
			return yield(piece{}, fmt.Errorf("file %q: %w", t.name, err))
		}
		if t.over.Load() {
			return true
		}
		if t.order.has(chunk.Offset) {
			continue
		}
		if begun {
			had, err := a.resume(ctx, piece{t, chunk, a.patience})
			if err != nil {
				return yield(piece{}, err)
			}
			if had {
				continue
			}
		}
		a.asked(chunk.Ref.ID, t)
		if !yield(piece{t, chunk, a.patience}, nil) {
			return false
		}
	}
	return true
}

// resume takes in a chunk that an earlier run has written, or reports that it
// has not.
func (a *assembly) resume(ctx context.Context, p piece) (bool, error) {
	plain, sealed, ok := p.t.has(p.chunk, a.buffer(), a.buffer())
	defer a.free(sealed)
	if !ok {
		a.free(plain)
		return false, nil
	}
	if a.keep { // that run kept it nowhere else, or its store had no room
		if err := a.swarm.Keep(ctx, p.chunk.Ref.ID, sealed); err != nil {
			a.free(plain)
			return false, err
		}
	}
	return true, a.took(ctx, p, len(plain), true, func() (bool, error) { return p.t.take(ctx, p.chunk, plain, sealed, a.free) })
}

// goOn reports, after the index of a target was waited for in vain, whether it
// makes sense to wait for the next one's: not if nothing came since the last
// time.
func (a *assembly) goOn() bool {
	if a.sifted {
		a.indexLoss++
		return a.indexLoss < maxIndexLoss
	}
	before := a.atLoss
	a.atLoss = a.delivered.Load()
	return a.atLoss > before
}

func (a *assembly) asked(id blobnet.ID, t *target) {
	a.mu.Lock()
	a.want[id] = append(a.want[id], t)
	first := len(a.want[id]) == 1
	a.mu.Unlock()
	if first && a.place != nil {
		a.place.Expect(id)
	}
}

func (a *assembly) came(id blobnet.ID) {
	a.mu.Lock()
	_, waited := a.want[id]
	delete(a.want, id)
	a.mu.Unlock()
	if waited && a.place != nil {
		a.place.Arrived(id)
	}
}

// deliver opens a chunk into its file. An error is one of the disk and ends all.
func (a *assembly) deliver(ctx context.Context, p piece, blob []byte, local bool) error {
	a.came(p.chunk.Ref.ID)
	if p.t.over.Load() {
		return nil
	}
	if blob == nil && p.patience > 0 && (!p.t.coded || p.t.rescues > 1) {
		p.t.loseOf(p.chunk.Ref.ID, fmt.Errorf("nobody has blob %s: %w", p.chunk.Ref.ID, blobnet.ErrNotFound))
		return nil
	}
	if blob == nil { // nobody has it: it is made of others when these are there
		p.t.gaps.Add(1)
		return nil
	}
	p.t.came.Add(1)
	if a.keep && local { // perhaps out of a file
		if err := a.swarm.Keep(ctx, p.chunk.Ref.ID, blob); err != nil {
			return err
		}
	}
	buf := a.buffer()
	plain, err := codec.Open(buf, blob, p.chunk.Ref)
	if err != nil {
		a.free(buf)
		p.t.refuse(err) // the blob is the one that was signed for: asking others does not help
		return nil
	}
	return a.took(ctx, p, len(plain), local, func() (bool, error) { return p.t.write(ctx, p.chunk, plain, blob, a.free) })
}

// took counts a chunk of n bytes that take takes into its file, and finishes
// the file that it completes.
func (a *assembly) took(ctx context.Context, p piece, n int, local bool, take func() (complete bool, err error)) error {
	t := p.t
	if local { // before it is taken: whoever takes the last one reads the sums
		t.fromStore.Add(uint64(n))
	} else {
		t.fromPeers.Add(uint64(n))
	}
	complete, err := take()
	if err != nil {
		return fmt.Errorf("writing %s: %w", t.out.full(t.name), err)
	}
	a.delivered.Add(1)
	if a.onBytes != nil {
		a.onBytes(t, n, local)
	}
	if complete {
		a.finish.Go(func() error { return a.complete(ctx, t) })
	}
	return nil
}

// complete finishes a target, and ends all if the disk fails.
func (a *assembly) complete(ctx context.Context, t *target) error {
	if err := t.finish(ctx); err != nil {
		err = fmt.Errorf("writing %s: %w", t.out.full(t.name), err)
		a.cancel(err)
		return err
	}
	if a.keep && t.claim != nil {
		a.recoverIndex(ctx, t)
	}
	return nil
}

// recoverIndex gets those index blobs again that the chunks which were kept have
// driven out of the store, so that the file can be served. What cannot be had
// now, the next fetch to the same path looks for.
func (a *assembly) recoverIndex(ctx context.Context, t *target) {
	limited, cancel := context.WithTimeout(ctx, reclaimTimeout)
	defer cancel()
	for _, id := range t.index.ids {
		w := fetch.Want{ID: id, Class: blobnet.Foreground, Patience: lossPatience}
		if _, err := a.swarm.Fetch(limited, w, nil); err != nil {
			return
		}
	}
}

func (a *assembly) buffer() []byte {
	if b, ok := a.buffers.Get().(*[]byte); ok {
		return (*b)[:0]
	}
	return nil
}

func (a *assembly) free(b []byte) {
	if cap(b) > 0 {
		a.buffers.Put(&b)
	}
}
