// Package letgo lets go of blobs that channels have taken back: of the files that
// a tombstone stands for, of what a root has withdrawn, and, in private channels that
// cannot be read here, of releases that a snapshot calls dead.
//
// It is for every node that has a catalogue and a store, whether it publishes,
// follows or mirrors. A publisher can name any blob in what it releases, and so in
// what it takes back: this room must never delete a blob that another file in any
// channel known here needs, nor one that somebody has pinned. It knows no peers and
// deletes no files of users.
package letgo

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

// Ledger is what is known of what was taken back and of what is not. *catalog.Catalog
// is one. Its methods may be called from many goroutines at once.
type Ledger interface {
	Former(ctx context.Context, after int64) ([]catalog.Former, error)
	ForgetFormer(ctx context.Context, numbers ...int64) error
	UnpinFormer(ctx context.Context, numbers ...int64) error
	Channels(ctx context.Context) ([]catalog.Info, error)
	Entries(ctx context.Context, id channel.ID, f catalog.EntryFilter) iter.Seq2[catalog.Entry, error]
	Releases(ctx context.Context, id channel.ID, after int64, limit int) ([]catalog.Release, error)
	Owns(ctx context.Context) ([]catalog.Own, error)
	Dead(ctx context.Context, id channel.ID, after int64, limit int) ([]catalog.Release, error)
}

// Store is where the blobs are. *inplace.Store is one. LetGo forgets where they
// lie in files, with the pins that this took.
type Store interface {
	blobnet.Store
	blobnet.Deleter
	blobnet.Pinner
	LetGo(ctx context.Context, ids ...blobnet.ID) error
}

// Config is what New needs.
type Config struct {
	Ledger Ledger
	Blobs  Store

	// Pinned says which blobs are pinned. *diskstore.Store's is one.
	Pinned func(ctx context.Context, ids ...blobnet.ID) ([]bool, error)

	// Unpin takes those pins back that the ledger says are to be. *publisher.Publisher's
	// is one. If nil, this node publishes nothing.
	Unpin func(ctx context.Context) error
}

// LetGo lets go. One pass may run at a time.
type LetGo struct {
	cfg Config
}

// New returns a LetGo. It starts nothing.
func New(cfg Config) (*LetGo, error) {
	if cfg.Ledger == nil || cfg.Blobs == nil || cfg.Pinned == nil {
		return nil, errors.New("letgo: want a ledger, a store and who knows what is pinned")
	}
	return &LetGo{cfg}, nil
}

// Result is what a pass did.
type Result struct {
	Files    int // of which nothing is to be done any more
	Releases int // the same, of dead ones that cannot be read
	Deleted  int // blobs that were here
	Waiting  int // files and releases of which a blob is pinned: it stays, and a later pass looks again
}

const (
	// maxCandidates is how many blobs are looked at together, 4 TiB of chunks of
	// 1 MiB. A file of more is let go of as far as that.
	maxCandidates = 1 << 22
	// fewCandidates is how many are enough for one look at what is needed.
	fewCandidates = 1 << 18
	idBatch       = 1024
)

// batch is what is looked at together.
type batch struct {
	files   []taken
	dead    []deadRelease
	ids     map[blobnet.ID]bool // candidates: here, and of one of the files or releases
	unknown map[channel.ID]bool // not all that the channel's live releases list is known here
}

func newBatch() *batch {
	return &batch{ids: map[blobnet.ID]bool{}, unknown: map[channel.ID]bool{}}
}

// taken is a file that was taken back, with its blobs as far as its index is here:
// index blobs first.
type taken struct {
	catalog.Former
	blobs []blobnet.ID
}

// Pass lets go of all that was taken back and is not needed; of dead releases only
// in channels for which look says so. After a crash, or an error, another pass does
// the rest.
func (l *LetGo) Pass(ctx context.Context, look func(channel.ID) bool) (res Result, err error) {
	if l.cfg.Unpin != nil {
		if err := l.cfg.Unpin(ctx); err != nil { // what a kill has left
			return res, err
		}
	}
	if err := l.passFiles(ctx, &res); err != nil {
		return res, err
	}
	if err := l.passDead(ctx, look, &res); err != nil {
		return res, fmt.Errorf("letting go of dead releases: %w", err)
	}
	return res, nil
}

func (l *LetGo) passFiles(ctx context.Context, res *Result) error {
	for after := int64(0); ; {
		page, err := l.cfg.Ledger.Former(ctx, after)
		if err != nil || len(page) == 0 {
			return err
		}
		b := newBatch()
		for _, f := range page {
			if len(b.ids) >= fewCandidates {
				break
			}
			after = f.No
			if err := l.collect(ctx, b, f); err != nil {
				return err
			}
		}
		if err := l.do(ctx, b, res); err != nil {
			return fmt.Errorf("letting go of what was taken back: %w", err)
		}
	}
}

// collect adds the blobs of a file that are here.
func (l *LetGo) collect(ctx context.Context, b *batch, f catalog.Former) error {
	t := taken{Former: f}
	seen := map[blobnet.ID]bool{}
	for id, err := range codec.Blobs(ctx, l.cfg.Blobs, f.Entry.File()) {
		if err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			break // its index is not here, or not sound: what lies below is nobody's any more, and goes as room is wanted
		}
		if seen[id] {
			continue
		}
		seen[id] = true
		if t.blobs = append(t.blobs, id); len(t.blobs)+len(b.ids) >= maxCandidates {
			break
		}
	}
	b.files = append(b.files, t)
	return l.candidates(ctx, b, t.blobs)
}

// candidates adds those blobs that are here to what may be deleted.
func (l *LetGo) candidates(ctx context.Context, b *batch, all []blobnet.ID) error {
	for ids := range slices.Chunk(all, idBatch) {
		has, err := l.cfg.Blobs.Has(ctx, ids...)
		if err != nil {
			return err
		}
		for i, id := range ids {
			if has[i] {
				b.ids[id] = true
			}
		}
	}
	return nil
}

// do deletes what nobody needs, and forgets the files of which nothing is left.
func (l *LetGo) do(ctx context.Context, b *batch, res *Result) error {
	if err := l.spareNeeded(ctx, b); err != nil {
		return err
	}
	if err := l.unpin(ctx, b); err != nil {
		return err
	}
	var done []int64
	for _, t := range b.files {
		deleted, waits, err := l.delete(ctx, b, t)
		if err != nil {
			return err
		}
		res.Deleted += deleted
		if waits {
			res.Waiting++
			continue
		}
		res.Files++
		done = append(done, t.No)
	}
	if len(done) == 0 {
		return nil
	}
	return l.cfg.Ledger.ForgetFormer(ctx, done...)
}

// delete deletes those blobs of a file that nobody has pinned. Chunks go before the
// indexes that name them, and indexes only when no chunk is left, so that another
// pass finds what this one did not come to.
func (l *LetGo) delete(ctx context.Context, b *batch, t taken) (deleted int, waits bool, err error) {
	ids := slices.DeleteFunc(slices.Clone(t.blobs), func(id blobnet.ID) bool { return !b.ids[id] })
	slices.Reverse(ids)
	pinned, err := l.release(ctx, ids)
	if err != nil {
		return 0, false, err
	}
	if len(pinned) > 0 {
		if ids, err = l.chunksOf(ctx, t, ids, pinned); err != nil {
			return 0, false, err
		}
	}
	deleted, waits, err = l.erase(ctx, ids)
	return deleted, waits || len(pinned) > 0, err
}

// release forgets where blobs lie in files, and returns those that are pinned.
func (l *LetGo) release(ctx context.Context, ids []blobnet.ID) (pinned map[blobnet.ID]bool, err error) {
	if err := l.cfg.Blobs.LetGo(ctx, ids...); err != nil {
		return nil, err
	}
	pinned = map[blobnet.ID]bool{}
	for some := range slices.Chunk(ids, idBatch) {
		is, err := l.cfg.Pinned(ctx, some...)
		if err != nil {
			return nil, err
		}
		for i, id := range some {
			if is[i] {
				pinned[id] = true
			}
		}
	}
	return pinned, nil
}

// erase deletes blobs; waits says that somebody has just pinned one of them.
func (l *LetGo) erase(ctx context.Context, ids []blobnet.ID) (deleted int, waits bool, err error) {
	for some := range slices.Chunk(ids, idBatch) {
		err := l.cfg.Blobs.Delete(ctx, some...)
		if errors.Is(err, blobnet.ErrPinned) {
			return deleted, true, nil
		}
		if err != nil {
			return deleted, false, err
		}
		deleted += len(some)
	}
	return deleted, false, nil
}

// chunksOf are those of ids that are chunks of a file and not pinned.
func (l *LetGo) chunksOf(ctx context.Context, t taken, ids []blobnet.ID, pinned map[blobnet.ID]bool) ([]blobnet.ID, error) {
	chunks := map[blobnet.ID]bool{}
	for c, err := range codec.Chunks(ctx, l.cfg.Blobs, t.Entry.File()) {
		if err != nil || len(chunks) > maxCandidates {
			break // see collect
		}
		chunks[c.Ref.ID] = true
	}
	return slices.DeleteFunc(ids, func(id blobnet.ID) bool { return pinned[id] || !chunks[id] }), ctx.Err()
}

// unpin takes back the pins of one's own releases which another publisher, or a
// root, has taken back: one's own publications do so themselves.
func (l *LetGo) unpin(ctx context.Context, b *batch) error {
	if l.cfg.Unpin == nil {
		return nil
	}
	var numbers []int64
	var owns []catalog.Own
	for _, t := range b.files {
		if !t.Pinned {
			continue
		}
		if owns == nil {
			var err error
			if owns, err = l.cfg.Ledger.Owns(ctx); err != nil {
				return err
			}
		}
		if slices.ContainsFunc(owns, func(o catalog.Own) bool { return o.Channel == t.Channel && o.Key == t.Log }) {
			numbers = append(numbers, t.No)
		}
	}
	if len(numbers) == 0 {
		return nil
	}
	if err := l.cfg.Ledger.UnpinFormer(ctx, numbers...); err != nil {
		return err
	}
	return l.cfg.Unpin(ctx)
}
