package fill

import (
	"context"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/mirror/owed"
)

// look is when a channel was gone through last, and what is known of it.
type look struct {
	at      time.Time // the end; zero: never
	took    time.Duration
	news    bool
	missing int           // blobs that are not here, and releases of which not all is known
	pause   time.Duration // before what is missing is looked for again
}

// lookDue is when a channel is to be gone through.
func (f *Filler) lookDue(of owed.Of) time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.looks[of]
	if l == nil || l.at.IsZero() {
		return time.Time{}
	}
	rest := min(max(time.Second, sweepRest*l.took), lastLook)
	switch {
	case l.news:
		return l.at.Add(rest)
	case l.missing > 0:
		return l.at.Add(max(rest, l.pause))
	}
	return l.at.Add(sweepEvery)
}

// sweep goes through all that counts of a channel, and notes it.
func (f *Filler) sweep(ctx context.Context, of owed.Of) error {
	f.mu.Lock()
	l := f.looks[of]
	if l == nil {
		l = &look{}
		f.looks[of] = l
	}
	l.news = false
	f.mu.Unlock()
	begun := time.Now()
	missing, err := f.note(ctx, of)
	f.mu.Lock()
	defer f.mu.Unlock()
	l.at, l.took = time.Now(), time.Since(begun)
	l.pause = min(max(firstLook, 2*l.pause), lastLook)
	if missing < l.missing || missing == 0 {
		l.pause = firstLook // it is coming, or has
	}
	l.missing = missing
	if err != nil {
		l.missing++
	}
	return err
}

// note has the ledger hold what counts of a channel, and returns how much of it is not
// here.
func (f *Filler) note(ctx context.Context, of owed.Of) (missing int, err error) {
	list, err := f.cfg.List(ctx, of)
	if err != nil {
		return 0, fmt.Errorf("looking what counts: %w", err)
	}
	b := f.binding(of)
	round, err := f.cfg.Ledger.Round(ctx, b)
	if err != nil {
		return 0, err
	}
	var some []owed.Counted
	flush := func() error {
		ids := make([]blobnet.ID, len(some))
		for i, c := range some {
			ids[i] = c.ID
		}
		has, err := f.cfg.Here.Has(ctx, ids...)
		if err != nil {
			return fmt.Errorf("looking for what is here: %w", err)
		}
		for i := range some {
			if some[i].Here = has[i]; !has[i] {
				missing++
			}
		}
		err = f.cfg.Ledger.Mark(ctx, b, round, time.Now(), some...)
		some = some[:0]
		return err
	}
	var whole, unknown []int64
	for c, err := range list.Counts {
		switch {
		case err != nil:
			return missing, fmt.Errorf("looking what counts: %w", err)
		case c.Whole:
			whole = append(whole, c.Release)
			continue
		case c.Unknown:
			missing++
			unknown = append(unknown, c.Release)
			continue
		}
		if some = append(some, owed.Counted{Release: c.Release, ID: c.ID}); len(some) == Batch {
			if err := flush(); err != nil {
				return missing, err
			}
		}
	}
	if len(some) > 0 {
		if err := flush(); err != nil {
			return missing, err
		}
	}
	if err := f.cfg.Ledger.Keep(ctx, b, round, unknown...); err != nil {
		return missing, err
	}
	if _, err := f.cfg.Ledger.Drop(ctx, b, round, time.Now(), whole...); err != nil {
		return missing, err
	}
	_, err = f.cfg.Ledger.Finish(ctx, b, round, list.Version, time.Now())
	return missing, err
}
