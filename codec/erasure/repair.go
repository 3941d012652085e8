package erasure

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// RepairConfig says what is repaired.
type RepairConfig struct {
	// Store is what lost blobs, and gets them back. It must not be nil.
	Store blobnet.Store
	// File is whose blobs are repaired.
	File codec.File
	// Source is where the blobs that are left are had; if nil, Store alone.
	Source blobnet.Source
	// Spares is as in Config. If nil and Store is a blobnet.Lister, all of its
	// blobs that are not too long.
	Spares iter.Seq2[blobnet.ID, error]
	// Verify reads every blob, so that one which is damaged is found as well as
	// one which is gone. If false, what Store says that it has is believed.
	Verify bool
}

// Result is what Repair found and did.
type Result struct {
	Coding  codec.Coding
	Blobs   int     // of the file that were looked at
	Lost    int     // of them that Store had not, or damaged
	Rebuilt int     // of those that it has now
	Failed  []error // one for each stripe that has too few blobs left (*LostError) or index that is lost; after maxFailed of them one for all others
}

// maxFailed bounds the errors of a Result: a small entry can name a million
// blobs that never were.
const maxFailed = 100

// Repair puts back the blobs of a file that a store lost: data, parity, index
// blobs and the copies of the root, as far as enough of their stripes is left.
// What cannot be is in Result.Failed; an error means that it ended early. It
// holds one stripe in memory, and looks at what an index lists once, though a
// hostile file lists it often. The error wraps ErrNotCoded if the file has no
// parity.
func Repair(ctx context.Context, cfg RepairConfig) (Result, error) {
	if cfg.Store == nil {
		return Result{}, errors.New("erasure: repair without a store")
	}
	from := cfg.Source
	if from == nil {
		from = cfg.Store
	}
	spares := cfg.Spares
	if lister, ok := cfg.Store.(blobnet.Lister); ok && spares == nil {
		spares = small(ctx, lister)
	}
	src, err := NewSource(Config{Source: from, File: cfg.File, Spares: spares, Extra: -1})
	if err != nil {
		return Result{}, err
	}
	r := repair{RepairConfig: cfg, from: from, src: src}
	err = r.run(ctx)
	if more := r.failed - len(r.Failed); more > 0 {
		r.Failed = append(r.Failed, fmt.Errorf("and %d more: %w", more, blobnet.ErrNotFound))
	}
	if err != nil {
		return r.Result, fmt.Errorf("repairing: %w", err)
	}
	return r.Result, nil
}

// small yields the blobs of a store that could be index blobs.
func small(ctx context.Context, lister blobnet.Lister) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		enough := errors.New("enough")
		err := lister.List(ctx, func(info blobnet.Info) error {
			if info.Size <= codec.MaxIndexBlob && !yield(info.ID, nil) {
				return enough
			}
			return nil
		})
		if err != nil && !errors.Is(err, enough) {
			yield(blobnet.ID{}, err)
		}
	}
}

type repair struct {
	RepairConfig
	Result
	from blobnet.Source
	src  *Source
	buf  []byte

	failed int
}

func (r *repair) run(ctx context.Context) error {
	for stripe, err := range r.src.stripes(ctx) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.fail(err)
			continue
		}
		if r.Coding.IsZero() {
			r.Coding = stripe.Coding
			if err := r.top(ctx); err != nil {
				return err
			}
		}
		if err := r.stripe(ctx, stripe); err != nil {
			return err
		}
	}
	if r.Coding.IsZero() && len(r.Failed) == 0 {
		return ErrNotCoded
	}
	return nil
}

// top puts back the root index and its copies. That the root can be had is
// known.
func (r *repair) top(ctx context.Context) error {
	root, err := r.src.Get(ctx, r.File.Root.ID, nil)
	if err != nil {
		return err
	}
	if err := r.keep(ctx, r.File.Root.ID, root); err != nil {
		return err
	}
	_, err = codec.RootCopies(ctx, r.src, r.File, func(id blobnet.ID, blob []byte) error { return r.keep(ctx, id, blob) })
	return err
}

// keep puts blob if the store has it not.
func (r *repair) keep(ctx context.Context, id blobnet.ID, blob []byte) error {
	r.Blobs++
	here, err := r.here(ctx, id)
	if err != nil || here {
		return err
	}
	r.Lost++
	return r.put(ctx, id, blob)
}

func (r *repair) put(ctx context.Context, id blobnet.ID, blob []byte) error {
	if err := r.Store.Put(ctx, id, blob); err != nil {
		return fmt.Errorf("putting blob %s: %w", id.Short(), err)
	}
	r.Rebuilt++
	return nil
}

func (r *repair) here(ctx context.Context, id blobnet.ID) (bool, error) {
	has, err := r.Store.Has(ctx, id)
	if err != nil || !has[0] || !r.Verify {
		return err == nil && has[0], err
	}
	r.buf, err = r.Store.Get(ctx, id, r.buf[:0])
	if err == nil || isLost(err) {
		return err == nil, nil
	}
	return false, err
}

func (r *repair) stripe(ctx context.Context, s codec.Stripe) error {
	lost := make(map[int]bool)
	var places []int
	all := members(s)
	for i, m := range all {
		if m.ID.IsZero() {
			continue
		}
		r.Blobs++
		here, err := r.here(ctx, m.ID)
		if err != nil {
			return err
		}
		if !here {
			lost[i] = true
			places = append(places, i)
		}
	}
	if len(places) == 0 {
		return nil
	}
	r.Lost += len(places)
	skip := lost
	if r.Source != nil {
		skip = nil // another source may have them
	}
	shards, err := gather(ctx, r.from, s, skip, 0, 0)
	if err == nil {
		var blobs map[int][]byte
		if blobs, err = solve(s, shards, places); err == nil {
			for _, i := range places {
				if err := r.put(ctx, all[i].ID, blobs[i]); err != nil {
					return err
				}
			}
			return nil
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.src.lostStripe(s, err)
	r.fail(err)
	return nil
}

func (r *repair) fail(err error) {
	if r.failed++; r.failed <= maxFailed {
		r.Failed = append(r.Failed, err)
	}
}
