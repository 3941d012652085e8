package fill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/mirror/owed"
	"github.com/anonymous-media-library/aml/plugins"
)

// Result counts what was done.
type Result struct {
	Put     int64 // blobs
	Bytes   int64 // of these
	There   int64 // the plugin had these already
	Deleted int64
	Failed  int64 // tries
	Lost    int64 // found by Check: it was said to have these, and has not
}

// work does some of what is due, with only, of that channel; what is to be deleted
// first. It reports whether there may be more that can be done now.
func (f *Filler) work(ctx context.Context, now time.Time, only *owed.Of, progress func(Result)) (res Result, more bool, err error) {
	gone, err := f.cfg.Ledger.Due(ctx, f.cfg.Name, owed.Delete, now, nil, Batch)
	if err != nil {
		return res, false, err
	}
	if len(gone) > 0 {
		if err := f.delete(ctx, gone, &res); err != nil || f.resting() {
			return res, false, err
		}
		more = len(gone) == Batch
	}
	list, err := f.cfg.Ledger.Due(ctx, f.cfg.Name, owed.Put, now, only, Batch)
	if err != nil || len(list) == 0 {
		return res, more, err
	}
	lacking, err := f.lacking(ctx, list, &res)
	if err != nil || f.resting() {
		return res, false, err
	}
	for len(lacking) > 0 {
		n := min(slice, len(lacking))
		if err := f.put(ctx, lacking[:n], &res); err != nil || f.resting() {
			return res, false, err
		}
		progress(res)
		if lacking = lacking[n:]; f.waiting.Load() > 0 || len(f.wake) > 0 {
			f.asked = map[blobnet.ID]bool{}
			for _, b := range lacking {
				f.asked[b.ID] = true
			}
			return res, true, nil // somebody waits, or something may have been taken back
		}
	}
	f.asked = nil
	return res, more || len(list) == Batch, nil
}

// lacking are those that the plugin has not, as far as it was not asked already, and
// notes that it has the others.
func (f *Filler) lacking(ctx context.Context, list []owed.Blob, res *Result) (out []owed.Blob, err error) {
	var ask, there []blobnet.ID
	for _, b := range list {
		if !f.asked[b.ID] {
			ask = append(ask, b.ID)
		}
	}
	is := map[blobnet.ID]bool{}
	if len(ask) > 0 {
		has, err := f.cfg.Plugin.Has(ctx, ask)
		if err != nil {
			return nil, f.fails(ctx, err)
		}
		f.answers()
		for i, id := range ask {
			if has[i] {
				is[id], there = true, append(there, id)
			}
		}
	}
	for _, b := range list {
		if !is[b.ID] {
			out = append(out, b)
		}
	}
	res.There = int64(len(there))
	return out, f.cfg.Ledger.There(ctx, f.cfg.Name, there...)
}

func namesOf(list []owed.Blob) []blobnet.ID {
	out := make([]blobnet.ID, len(list))
	for i, b := range list {
		out[i] = b.ID
	}
	return out
}

// tried is what came of some tries.
type tried struct {
	mu      sync.Mutex // guards what follows
	done    []blobnet.ID
	lacking []blobnet.ID
	failed  []owed.Failure
	fails   map[blobnet.ID]int
	bytes   int64
	row     int  // failures of the plugin in a row
	worked  bool // something did
	enough  error
	last    error
}

func newTried(list []owed.Blob, row int) *tried {
	t := &tried{fails: map[blobnet.ID]int{}, row: row}
	for _, b := range list {
		t.fails[b.ID] = b.Fails
	}
	return t
}

// one notes what came of one, of which so many bytes were given; an end says that no
// more is to be tried.
func (t *tried) one(id blobnet.ID, bytes int, err error) (end error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		t.done, t.bytes, t.row, t.worked = append(t.done, id), t.bytes+int64(bytes), 0, true
		return nil
	}
	if !off(err) {
		t.failed = append(t.failed, owed.Failure{ID: id, Err: err})
	}
	t.last = fmt.Errorf("blob %s: %w", id.Short(), err)
	if t.row++; t.row >= maxInRow || off(err) || errors.Is(err, blobnet.ErrFull) {
		t.enough = t.last
	}
	return t.enough
}

// bad notes a blob that is not to be had here, which is no fault of the plugin.
func (t *tried) bad(id blobnet.ID, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if errors.Is(err, blobnet.ErrNotFound) {
		t.lacking = append(t.lacking, id)
		return
	}
	t.failed = append(t.failed, owed.Failure{ID: id, Err: fmt.Errorf("reading it here: %w", err)})
}

// off reports whether an error says that nobody can be asked.
func off(err error) bool {
	return errors.Is(err, plugins.ErrOff) || errors.Is(err, plugins.ErrUnknown) || errors.Is(err, ErrAway)
}

// put puts blobs, and notes what came of it.
func (f *Filler) put(ctx context.Context, list []owed.Blob, res *Result) error {
	if err := f.cfg.Ledger.Try(ctx, f.cfg.Name, namesOf(list)...); err != nil {
		return err
	}
	t := newTried(list, f.failuresInRow())
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(parallel)
	for _, b := range list {
		if working.Err() != nil {
			break
		}
		group.Go(func() error {
			data, err := f.cfg.Here.Get(working, b.ID, nil)
			if working.Err() != nil {
				return context.Cause(working)
			}
			if err != nil {
				t.bad(b.ID, err)
				return nil
			}
			err = f.cfg.Plugin.Put(working, b.ID, data)
			if err != nil && working.Err() != nil {
				return context.Cause(working)
			}
			return t.one(b.ID, len(data), err)
		})
	}
	if err := group.Wait(); err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	res.Put += int64(len(t.done))
	res.Bytes += t.bytes
	return f.keep(ctx, t, res, f.cfg.Ledger.There)
}

// delete deletes blobs: all at once, or, if that fails, one by one, so that one that
// cannot be deleted keeps no other from it.
func (f *Filler) delete(ctx context.Context, list []owed.Blob, res *Result) error {
	t := newTried(list, f.failuresInRow())
	err := f.cfg.Plugin.Delete(ctx, namesOf(list))
	switch {
	case ctx.Err() != nil:
		return context.Cause(ctx)
	case err == nil:
		t.done, t.row, t.worked = namesOf(list), 0, true
	case off(err):
		return f.fails(ctx, err)
	default:
		for _, b := range list {
			err := f.cfg.Plugin.Delete(ctx, []blobnet.ID{b.ID})
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if t.one(b.ID, 0, err) != nil {
				break
			}
		}
	}
	res.Deleted += int64(len(t.done))
	return f.keep(ctx, t, res, f.cfg.Ledger.Deleted)
}

// keep notes what came of tries, in the ledger and of the plugin.
func (f *Filler) keep(ctx context.Context, t *tried, res *Result, done func(context.Context, string, ...blobnet.ID) error) error {
	now := time.Now()
	sick, well := f.judge(t, now)
	for i := range t.failed {
		pause := doubled(firstRetry, t.fails[t.failed[i].ID], lastRetry)
		if sick {
			pause = min(pause, lastSickRetry)
		}
		t.failed[i].Due = now.Add(jitter(pause))
	}
	res.Failed += int64(len(t.failed))
	err := errors.Join(
		done(ctx, f.cfg.Name, t.done...),
		f.cfg.Ledger.Lacking(ctx, f.cfg.Name, t.lacking...),
		f.cfg.Ledger.Failed(ctx, f.cfg.Name, t.failed...),
	)
	if well && err == nil { // who failed before has waited for the plugin
		err = f.cfg.Ledger.Again(ctx, f.cfg.Name, now)
	}
	if t.last != nil {
		f.cfg.OnProblem(fmt.Errorf("%s: %w", f.cfg.Name, t.last))
	}
	return err
}

// judge says of the plugin what follows from tries: that it is sick, or has become well.
func (f *Filler) judge(t *tried, now time.Time) (sick, well bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.row = t.row
	if t.worked {
		well, f.sick = f.sick, false
		f.rest, f.aways, f.state = 0, 0, State{}
	}
	if t.last != nil {
		f.state.Why = words(t.last)
		f.sick = f.sick || !t.worked || t.enough != nil
	}
	if t.enough != nil {
		f.restNow(now, errors.Is(t.enough, ErrAway))
	}
	return f.sick, well && !f.sick
}

// restNow has the plugin rest. mu is held.
func (f *Filler) restNow(now time.Time, away bool) {
	rest := firstAway
	if away {
		if f.aways++; f.aways > 1 {
			rest = lastAway
		}
	} else {
		f.rest = min(max(firstRest, 2*f.rest), lastRest)
		rest = f.rest
	}
	f.state.Until, f.state.Away, f.row, f.sick = now.Add(jitter(rest)), away, 0, true
}

// fails has the plugin rest for an error that is about no blob.
func (f *Filler) fails(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	f.Fails(err)
	f.cfg.OnProblem(fmt.Errorf("%s: %w", f.cfg.Name, err))
	return nil
}

// Fails says that the plugin failed as a whole when somebody else asked it.
func (f *Filler) Fails(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.state.Why = words(err)
	f.restNow(time.Now(), errors.Is(err, ErrAway))
}

// answers says that its process runs.
func (f *Filler) answers() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.aways = 0
}

func (f *Filler) resting() bool { return !f.State().Until.IsZero() }

func (f *Filler) failuresInRow() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.row
}

// words are an error's, with what helps where it is known.
func words(err error) string {
	if errors.Is(err, blobnet.ErrFull) {
		return err.Error() + "; make room there: it goes on by itself"
	}
	return err.Error()
}

// doubled is first, doubled so many times, and last at most.
func doubled(first time.Duration, times int, last time.Duration) time.Duration {
	for ; times > 0 && first < last; times-- {
		first *= 2
	}
	return min(first, last)
}

// checkBatch asks the plugin for some of what it is said to have: what it has not is
// owed again. It reports whether that was all.
func (f *Filler) checkBatch(ctx context.Context) (lost int, done bool, err error) {
	f.mu.Lock()
	after := f.check
	f.mu.Unlock()
	list, err := f.cfg.Ledger.Held(ctx, f.cfg.Name, after, Batch)
	if err != nil {
		return 0, false, err
	}
	var away []blobnet.ID
	if len(list) > 0 {
		has, err := f.cfg.Plugin.Has(ctx, list)
		if err != nil {
			return 0, false, f.fails(ctx, err)
		}
		f.answers()
		for i, id := range list {
			if !has[i] {
				away = append(away, id)
			}
		}
		after = list[len(list)-1]
	}
	if err := f.cfg.Ledger.Away(ctx, f.cfg.Name, time.Now(), away...); err != nil {
		return 0, false, err
	}
	if done = len(list) < Batch; done {
		after = blobnet.ID{}
		err = f.cfg.Ledger.Check(ctx, f.cfg.Name, time.Now())
	}
	f.mu.Lock()
	f.check = after
	f.mu.Unlock()
	return len(away), done, err
}
