package erasure

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
)

// Config says whose blobs a Source rebuilds, and from where.
type Config struct {
	// Source has the blobs, less those that are lost. It must not be nil. A
	// blob is lost when its Get gives blobnet.ErrNotFound or ErrCorrupt; a
	// Source that waits long before it says so is better asked with Slow.
	Source blobnet.Source
	// File is whose blobs are rebuilt. If it has no parity, nothing is.
	File codec.File
	// Slow is how long Source may take for a blob before it is rebuilt from
	// others at the same time, the faster winning, and how long those may take
	// before one more of them is asked for. If zero, for ever.
	Slow time.Duration
	// Extra is how many blobs of a stripe are asked for beyond those that are
	// needed, so that a slow one does not matter. If zero, 2; if negative,
	// none.
	Extra int
	// Spares, if not nil, yields ids of blobs among which there may be copies
	// of the root index: those of the release's inventory, or of a store. It is
	// used only if the root index is lost, until a copy was found.
	Spares iter.Seq2[blobnet.ID, error]
}

// Source is a blobnet.Source for one file that makes a blob which its own source
// has not out of the others of its stripe. It gives other blobs as well, as they
// are. Get may be called from many goroutines; a blob that is rebuilt costs the
// memory of its stripe, and one walk through the index blobs before it. The last
// index blobs that were made are kept, 16 MiB of them, and those that could not be
// are not tried again: who expects that more blobs have come makes a new Source.
type Source struct {
	cfg    Config
	memory memory
}

var _ blobnet.Source = (*Source)(nil)

// NewSource returns a Source. It does no I/O.
func NewSource(cfg Config) (*Source, error) {
	if cfg.Source == nil {
		return nil, errors.New("erasure: config without a source")
	}
	if cfg.Slow < 0 {
		return nil, errors.New("erasure: config has a negative time")
	}
	if err := cfg.File.Validate(); err != nil {
		return nil, fmt.Errorf("erasure: %w", err)
	}
	if cfg.Extra == 0 {
		cfg.Extra = 2
	}
	cfg.Extra = max(0, cfg.Extra)
	return &Source{cfg: cfg}, nil
}

// Get implements blobnet.Source. If a blob of the file can neither be had nor
// rebuilt, the error is a *LostError in most cases, and wraps
// blobnet.ErrNotFound in all.
func (s *Source) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return s.get(ctx, id, dst, s.rebuild)
}

// maker makes a blob that could not be had, or not soon, because of why.
type maker func(ctx context.Context, id blobnet.ID, why error) ([]byte, error)

func (s *Source) get(ctx context.Context, id blobnet.ID, dst []byte, rebuild maker) ([]byte, error) {
	var blob []byte
	var err error
	if s.cfg.Slow > 0 {
		if blob, err = s.race(ctx, id, rebuild); err == nil {
			return append(dst, blob...), nil
		}
		return dst, err
	}
	if blob, err = s.cfg.Source.Get(ctx, id, dst); err == nil || !isLost(err) {
		return blob, err
	}
	if blob, err = rebuild(ctx, id, err); err != nil {
		return dst, err
	}
	return append(dst, blob...), nil
}

func isLost(err error) bool {
	return errors.Is(err, blobnet.ErrNotFound) || errors.Is(err, blobnet.ErrCorrupt)
}

// race gets the blob, and rebuilds it if that fails or takes too long.
func (s *Source) race(ctx context.Context, id blobnet.ID, rebuild maker) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type answer struct {
		blob []byte
		err  error
	}
	got, rebuilt := make(chan answer, 1), make(chan answer, 1)
	gotEnded, rebuiltEnded := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gotEnded)
		blob, err := s.cfg.Source.Get(ctx, id, nil)
		got <- answer{blob, err}
	}()
	defer func() { cancel(); <-gotEnded }()
	slow := time.NewTimer(s.cfg.Slow)
	defer slow.Stop()
	select {
	case a := <-got:
		if a.err == nil || !isLost(a.err) {
			return a.blob, a.err
		}
		return rebuild(ctx, id, a.err)
	case <-slow.C:
	}
	go func() {
		defer close(rebuiltEnded)
		blob, err := rebuild(ctx, id, blobnet.ErrNotFound)
		rebuilt <- answer{blob, err}
	}()
	defer func() { cancel(); <-rebuiltEnded }()
	var first answer
	select {
	case first = <-got:
		got = rebuilt
	case first = <-rebuilt:
	}
	if first.err == nil {
		return first.blob, nil
	}
	second := <-got
	if second.err != nil {
		return nil, first.err
	}
	return second.blob, nil
}

// rebuild makes the blob id, which could not be had because of why, out of
// others of the file.
func (s *Source) rebuild(ctx context.Context, id blobnet.ID, why error) ([]byte, error) {
	if s.cfg.File.Depth == 0 {
		return nil, why
	}
	if id == s.cfg.File.Root.ID {
		return s.root(ctx, why)
	}
	var broken error
	for stripe, err := range s.stripes(ctx) {
		if err != nil {
			if ctx.Err() != nil {
				return nil, ctx.Err()
			}
			broken = err
			continue
		}
		for i, m := range members(stripe) {
			if m.ID == id && !m.ID.IsZero() {
				if stripe.Level > 0 && i < len(stripe.Data) {
					return s.index(ctx, place{stripe, i})
				}
				return s.one(ctx, stripe, i)
			}
		}
	}
	if broken != nil {
		return nil, broken
	}
	blob := []byte(nil)
	_, err := codec.RootCopies(ctx, s, s.cfg.File, func(copied blobnet.ID, b []byte) error {
		if copied == id {
			blob = append([]byte(nil), b...)
		}
		return nil
	})
	if err == nil && blob == nil {
		err = why // no blob of this file
	}
	return blob, err
}

// one makes the blob at a place of a stripe.
func (s *Source) one(ctx context.Context, stripe codec.Stripe, place int) ([]byte, error) {
	shards, err := gather(ctx, s.cfg.Source, stripe, map[int]bool{place: true}, s.cfg.Extra, s.cfg.Slow)
	if err != nil {
		return nil, err
	}
	blobs, err := solve(stripe, shards, []int{place})
	return blobs[place], err
}

// root finds a copy of the root index among the spares.
func (s *Source) root(ctx context.Context, why error) ([]byte, error) {
	if blob := s.memory.root(); blob != nil {
		return blob, nil
	}
	if s.cfg.Spares == nil {
		return nil, fmt.Errorf("root index, and nothing to look for a copy in: %w", why)
	}
	var buf []byte
	for id, err := range s.cfg.Spares {
		if err != nil {
			return nil, fmt.Errorf("looking for a copy of the root index: %w", err)
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if buf, err = s.cfg.Source.Get(ctx, id, buf[:0]); err != nil {
			buf = nil
			continue
		}
		if root, ok := codec.RestoreRoot(s.cfg.File, buf); ok {
			s.memory.keepRoot(root)
			return root, nil
		}
	}
	return nil, fmt.Errorf("root index, and no copy of it: %w", why)
}
