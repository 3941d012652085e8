package fill

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/mirror/owed"
)

// Wish is what is to be done now.
type Wish struct {
	Only  *owed.Of // of that channel alone; nil: of all that are bound
	Check bool     // ask the plugin for all that it is said to have first
}

// Push does now what is owed, whenever it would be due, each once, and returns when
// that is done or the plugin fails as a whole. What then is owed still the ledger says,
// and State why. Its errors are those of what is here.
func (f *Filler) Push(ctx context.Context, w Wish, progress func(Result)) (res Result, err error) {
	defer f.Wake()
	if err := f.renew(ctx, w); err != nil {
		return res, err
	}
	if w.Check {
		if res.Lost, err = f.checkAll(ctx); err != nil || f.resting() {
			return res, err
		}
	}
	for start, more := time.Now(), true; more; {
		var some Result
		if some, more, err = f.pushSome(ctx, start, w.Only, func(r Result) { progress(sum(res, r)) }); err != nil {
			return sum(res, some), err
		}
		res = sum(res, some)
		if f.resting() {
			break
		}
	}
	return res, nil
}

func sum(a, b Result) Result {
	return Result{a.Put + b.Put, a.Bytes + b.Bytes, a.There + b.There, a.Deleted + b.Deleted, a.Failed + b.Failed, a.Lost + b.Lost}
}

// renew goes through what counts, and makes all that is owed due.
func (f *Filler) renew(ctx context.Context, w Wish) error {
	end, err := f.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	bound, err := f.bound(ctx)
	if err != nil {
		return err
	}
	if w.Only != nil && !slices.Contains(bound, *w.Only) {
		bound = nil
	}
	for _, of := range bound {
		if w.Only == nil || *w.Only == of {
			err = errors.Join(err, f.sweep(ctx, of))
		}
	}
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.state.Until, f.state.Away, f.row, f.check = time.Time{}, false, 0, blobnet.ID{}
	f.mu.Unlock()
	return f.cfg.Ledger.Again(ctx, f.cfg.Name, time.Now())
}

func (f *Filler) checkAll(ctx context.Context) (lost int64, err error) {
	for done := false; !done && !f.resting(); {
		end, err := f.begin(ctx)
		if err != nil {
			return lost, err
		}
		n, all, err := f.checkBatch(ctx)
		end()
		if err != nil {
			return lost, err
		}
		lost, done = lost+int64(n), all
	}
	return lost, nil
}

func (f *Filler) pushSome(ctx context.Context, now time.Time, only *owed.Of, progress func(Result)) (Result, bool, error) {
	end, err := f.begin(ctx)
	if err != nil {
		return Result{}, false, err
	}
	defer end()
	return f.work(ctx, now, only, progress)
}

// End ends a binding, which unbind takes out of what is bound. What only that has
// counted stays at the plugin, or is owed to be deleted there, of which the number is
// returned. Whoever is killed in between has a binding still, or nothing deleted.
func (f *Filler) End(ctx context.Context, of owed.Of, stay bool, unbind func() error) (gone int, err error) {
	end, err := f.begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	defer f.Wake()
	if stay {
		if err := unbind(); err != nil {
			return 0, err
		}
	}
	gone, err = f.cfg.Ledger.End(ctx, f.binding(of), stay, time.Now())
	if err == nil && !stay {
		err = unbind()
	}
	return gone, err
}
