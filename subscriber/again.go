package subscriber

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

const (
	// againPause is how often what was left out, and may be taken later, is
	// looked at again, and what has become too old is let go.
	againPause = 10 * time.Minute
	// maxAgain is how many releases that is at a time, the newest.
	maxAgain = 256
	// hoursCheck is how often the clock is looked at outside of the hours.
	hoursCheck = time.Minute
)

// ErrHours: it is not the time of day at which the subscription may do something.
var ErrHours = errors.New("outside of the hours of the subscription")

// judgeOf is what the policy makes of a release.
func (f *follower) judgeOf(r catalog.Release, body *channel.Body) *policy.Judge {
	return f.rules.Judge(policy.Release{Issued: r.Manifest.Issued, Title: body.Title, Description: body.Description, Metadata: body.Metadata}, f.cfg.Now())
}

// lookAgain judges releases of which something was left out: all that another
// policy has judged; with may, the newest of those that may be taken though
// the policy stays; and those that lack something and whose turn it is. The cursor
// stays where it is.
func (f *follower) lookAgain(ctx context.Context, may bool) error {
	before, left := int64(math.MaxInt64), maxAgain
	f.lacks.owed = false
	for {
		positions, err := f.cfg.Ledger.PassedOver(ctx, f.order.Subscription, f.order.Channel, before, f.fingerprint, may && left > 0, releasePage)
		if err != nil {
			return err
		}
		if len(positions) == 0 {
			break
		}
		before, left = positions[len(positions)-1], left-len(positions)
		if cut, err := f.lookAt(ctx, positions); cut || err != nil {
			f.lacks.owed = may
			return err
		}
	}
	if may {
		f.lacks.unsure = false
	}
	if f.order.Once { // all were looked at
		return nil
	}
	_, err := f.lookAt(ctx, f.due())
	return err
}

// lookAt judges releases again. It is cut short by news: nobody may make those who
// publish wait for what is not to be had.
func (f *follower) lookAt(ctx context.Context, positions []int64) (cut bool, err error) {
	var releases []catalog.Release
	for _, p := range positions {
		if f.waits(p) {
			continue
		}
		found, err := f.cfg.Ledger.Releases(ctx, f.order.Channel, p-1, 1)
		if err != nil {
			return false, err
		}
		if len(found) == 1 && found[0].Position == p {
			releases = append(releases, found[0])
		} else {
			f.settle(p)
		}
	}
	if len(releases) == 0 {
		return false, nil
	}
	err = f.plan(ctx, func(yield func(catalog.Release) error) error {
		for _, r := range releases {
			if err := yield(r); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	f.lacks.turned = nil // each log has one turn, however many releases it has
	for i, r := range releases {
		if err := ctx.Err(); err != nil {
			return false, context.Cause(ctx)
		}
		if held, err := f.held(ctx); held || err != nil {
			return true, err
		}
		if f.frozen[r.Log] || f.lacks.turned[r.Log] {
			continue
		}
		if i > 0 && !f.order.Once && f.interrupted() {
			return true, nil
		}
		due := f.lacks.releases[r.Position].due
		err := f.apply(ctx, r, true)
		switch {
		case errors.Is(err, blobnet.ErrNotFound) && ctx.Err() == nil:
			f.lack(r, err)
			if !f.reachable(ctx) {
				return true, nil // whoever is asked next is not there either
			}
		case err != nil:
			return false, applying(r, err)
		case f.lacks.releases[r.Position].due.Equal(due):
			f.settle(r.Position)
		}
	}
	return false, nil
}

// pending calls yield with the releases after a position.
func (f *follower) pending(ctx context.Context, after int64) func(yield func(catalog.Release) error) error {
	return func(yield func(catalog.Release) error) error {
		for {
			releases, err := f.cfg.Ledger.Releases(ctx, f.order.Channel, after, 0)
			if err != nil || len(releases) == 0 {
				return err
			}
			for _, r := range releases {
				if err := yield(r); err != nil {
					return err
				}
			}
			after = releases[len(releases)-1].Position
		}
	}
}

// round does all that there is to do now.
func (f *follower) round(ctx context.Context, may bool) error {
	if err := f.withdraw(ctx); err != nil {
		return err
	}
	for {
		held, err := f.held(ctx)
		if err == nil && !held {
			err = f.catchUp(ctx)
		}
		if err != nil {
			return err
		}
		if f.why == "" {
			break
		}
		cursor, err := f.cfg.Ledger.Cursor(ctx, f.order.Subscription, f.order.Channel)
		if err == nil {
			err = f.hold(ctx, cursor)
		}
		if err != nil || f.why != "" {
			return err
		}
	}
	if err := f.sweep(ctx); err != nil {
		return err
	}
	if err := f.lookAgain(ctx, may || f.freed || f.lacks.owed); err != nil {
		return err
	}
	f.freed = false
	return nil
}

// inHours does a round when the subscription's hours let it, and ends it when
// they end; what is unfinished then waits for the next ones.
func (f *follower) inHours(ctx context.Context, may bool) error {
	for waiting := false; ; {
		now := f.cfg.Now()
		change := f.rules.Week.Change(now)
		if !f.rules.Week.Holds(now) {
			if change.IsZero() {
				change = now.Add(time.Hour) // days on which the clock skips the hours
			}
			if !waiting {
				f.emit(WaitingEvent{Event: "waiting", Channel: f.order.Channel, Until: channel.TimeOf(change)})
			}
			if f.order.Once {
				return ErrHours
			}
			// The clock may be set, and a machine may sleep, meanwhile.
			if err := wait(ctx, min(change.Sub(now), hoursCheck)); err != nil {
				return err
			}
			waiting = true
			continue
		}
		waiting = false
		if change.IsZero() {
			return f.round(ctx, may)
		}
		limited, cancel := context.WithTimeoutCause(ctx, change.Sub(now), ErrHours)
		err := f.round(limited, may)
		over := limited.Err() != nil && ctx.Err() == nil
		cancel()
		if err == nil || !over {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// timed reports whether time alone, without news, gives something to do.
func timed(p policy.Policy) bool {
	return p.MinSources > 0 || p.Quota > 0 || slices.ContainsFunc(p.Keep, func(k policy.Keep) bool { return k.Age > 0 })
}
