package gossip

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// errOutstayed ends a session for another that is due.
var errOutstayed = errors.New("peer kept us waiting while others were to be asked")

// visit is one session of the plan's.
type visit struct {
	began time.Time
	end   context.CancelCauseFunc
	meter atomic.Pointer[meter] // nil until the peer has been reached
}

type visitKey struct{}

// newVisit returns a visit and the context of its session.
func newVisit(ctx context.Context) (*visit, context.Context) {
	v := &visit{began: time.Now()}
	ctx, v.end = context.WithCancelCause(context.WithValue(ctx, visitKey{}, v))
	return v, ctx
}

// metered says what measures the peer's part of the visit that ctx belongs to, if
// it is one.
func metered(ctx context.Context, m *meter) {
	if v, ok := ctx.Value(visitKey{}).(*visit); ok {
		v.meter.Store(m)
	}
}

// outstayed reports whether ctx is that of a visit that was ended for another.
func outstayed(ctx context.Context) bool { return errors.Is(context.Cause(ctx), errOutstayed) }

// kept is how long the peer has kept us waiting.
func (v *visit) kept(now time.Time) time.Duration {
	if m := v.meter.Load(); m != nil {
		return m.kept(now)
	}
	return now.Sub(v.began)
}

func (pl *plan) begin(v *visit) {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	pl.runs[v] = true
}

// makeRoom ends the session whose peer has kept us waiting longest, if that is
// long enough to be asked for by others: identities cost nothing, and sixteen
// that say nothing, and sixteen more, must not keep us from who has an answer.
// Otherwise it says when to look again. pl.mu is held.
func (pl *plan) makeRoom(now time.Time, never time.Duration) time.Duration {
	var worst *visit
	var longest time.Duration
	for v := range pl.runs {
		if kept := v.kept(now); worst == nil || kept > longest {
			worst, longest = v, kept
		}
	}
	switch {
	case worst == nil:
		return othersWait
	case longest < othersWait:
		return othersWait - longest
	}
	delete(pl.runs, worst)
	worst.end(errOutstayed)
	return never // done pokes
}
