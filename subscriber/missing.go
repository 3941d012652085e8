package subscriber

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// errBody: what a release says lies in a blob that is not to be had.
var errBody = errors.New("its body")

const (
	// answerWindow is how long an answer of whomever counts as a sign that this node
	// reaches somebody. It is less than is waited where nobody answers, and more than
	// until one who has not a blob is asked for it again.
	answerWindow = 20 * time.Second
	// lookTime is how many ProbeTimeouts a look for what was missing takes at most
	// where nothing of it comes, or too little and others wait for it.
	lookTime = 3
)

// lack is a release of which something is not to be had.
type lack struct {
	position int64
	log      channel.PublicKey
	due      time.Time // when it is looked at again
	pause    time.Duration
	err      error
}

// lacking is what one run of Follow knows of what nobody has.
type lacking struct {
	releases map[int64]lack // by position
	blobs    map[content]blobnet.ID
	parts    map[string]int64           // names of unfinished files that are gone on with, to position
	unsure   bool                       // earlier runs may have left others
	turned   map[channel.PublicKey]bool // logs that have had their turn in this look
	owed     bool                       // a look was cut short, and goes on with the next round
	news     chan struct{}              // may be nil
}

// reachable reports whether somebody has answered a moment ago. If not, this node
// may be the one that is alone: it waits, and passes nothing over.
func (f *follower) reachable(ctx context.Context) bool {
	return ctx.Err() == nil && f.cfg.Swarm.Answered(time.Now().Add(-answerWindow))
}

// answered is reachable, or that what err tells of came, and too slowly.
func (f *follower) answered(ctx context.Context, err error) bool {
	var end givenUp
	return ctx.Err() == nil && errors.As(err, &end) && end.came || f.reachable(ctx)
}

// lack notes that something of a release was not to be had, and when it is looked
// at again: soon at first, since its publisher may only just be connecting.
func (f *follower) lack(r catalog.Release, err error) {
	l := f.lacks.releases[r.Position]
	l.position, l.log = r.Position, r.Log
	if errors.Is(err, errTurn) {
		f.tookTurn(r.Log)
		l.pause = 0
	}
	l.pause = min(max(2*l.pause, f.cfg.MissPause), againPause)
	l.due, l.err = time.Now().Add(l.pause), applying(r, err)
	if f.lacks.releases == nil {
		f.lacks.releases = map[int64]lack{}
	}
	f.lacks.releases[r.Position] = l
	if len(f.lacks.releases) > maxAgain { // the oldest is left to a later run
		f.settle(slices.Min(slices.Collect(maps.Keys(f.lacks.releases))))
	}
}

// missed are the errors of the first of what is still not to be had.
func (f *follower) missed() []error {
	var out []error
	for _, p := range slices.Sorted(maps.Keys(f.lacks.releases)) {
		if len(out) < maxToldErrors {
			out = append(out, f.lacks.releases[p].err)
		}
	}
	return out
}

// settle forgets that something of a release was not to be had.
func (f *follower) settle(position int64) {
	if _, ok := f.lacks.releases[position]; !ok {
		return
	}
	delete(f.lacks.releases, position)
	maps.DeleteFunc(f.lacks.blobs, func(c content, _ blobnet.ID) bool { return c.position == position })
	maps.DeleteFunc(f.lacks.parts, func(_ string, at int64) bool { return at == position })
}

// waits reports whether it is not time yet to look at a release again. With Once
// there is no other time.
func (f *follower) waits(position int64) bool {
	l, ok := f.lacks.releases[position]
	return ok && !f.order.Once && time.Now().Before(l.due)
}

// due are the releases that it is time to look at again, the newest first.
func (f *follower) due() []int64 {
	var out []int64
	for p := range f.lacks.releases {
		if !f.waits(p) {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	slices.Reverse(out)
	return out
}

// nextLook is how long until something is due; false if nothing will be.
func (f *follower) nextLook() (time.Duration, bool) {
	if len(f.lacks.releases) == 0 {
		return 0, false
	}
	next := time.Duration(math.MaxInt64)
	for _, l := range f.lacks.releases {
		next = min(next, time.Until(l.due))
	}
	return max(next, f.cfg.MissPause), true // what is held back is due, and stays so
}

// passedBefore says what is remembered of a release that is looked at again: that
// something was missing of it, and that this was its body.
func (f *follower) passedBefore(ctx context.Context, r catalog.Release) (missing, body bool, err error) {
	rows, err := f.cfg.Ledger.PassedAt(ctx, f.order.Subscription, f.order.Channel, r.Position)
	for _, p := range rows {
		if p.Reason == string(policy.Missing) || p.Reason == string(policy.Underway) {
			missing, body = true, p.Files == 0
		}
	}
	return missing, body, err
}

// passBody passes over a release whose body nobody has. Nothing is known of what it
// removes, so all of that is left to when it comes.
func (f *follower) passBody(ctx context.Context, r catalog.Release, told bool, err error) error {
	f.lack(r, err)
	v := policy.Verdict{Reason: policy.Missing, Why: fmt.Sprintf("%s blob %s, its body", nobody(err), r.Ref.ID)}
	if errors.Is(err, errTurn) {
		v = underway()
	}
	if !told {
		f.emit(PassedEvent{Event: "passed", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Reason: string(v.Reason), Message: v.Why})
	}
	return f.cfg.Ledger.Record(ctx, f.order.Subscription, f.order.Channel, catalog.Judged{
		Position: r.Position, By: f.fingerprint, Passed: []catalog.Passed{{Reason: string(v.Reason), Again: true}},
	})
}

// underway says that something comes, and is put aside for others.
func underway() policy.Verdict {
	return policy.Verdict{Reason: policy.Underway, Why: "it takes long, and others have their turn; it goes on after them"}
}

// nobody says why a blob did not come.
func nobody(err error) string {
	if errors.Is(err, errStalled) {
		return "nobody gives"
	}
	return "nobody has"
}

// forgetBody notes that nothing is missing of a release any more that turned out to
// say nothing.
func (f *follower) forgetBody(ctx context.Context, r catalog.Release) error {
	return f.cfg.Ledger.Record(ctx, f.order.Subscription, f.order.Channel, catalog.Judged{Position: r.Position, By: f.fingerprint})
}

// getBody gets the blob of a body.
func (f *follower) getBody(ctx context.Context, r catalog.Release, again bool) ([]byte, error) {
	attended, stop := f.attend(ctx, r, again, true)
	defer stop()
	limited, cancel := attended, func() {}
	if again {
		limited, cancel = f.bound(attended, r, lookTime*f.cfg.ProbeTimeout, false)
	}
	defer cancel()
	blob, err := f.cfg.Swarm.Fetch(limited, fetch.Want{ID: r.Ref.ID, Class: blobnet.Foreground, Patience: f.patience(again)}, nil)
	switch {
	case err == nil || ctx.Err() != nil:
	case attended.Err() != nil:
		err = endOf(attended, err)
	case limited.Err() != nil:
		err = f.cfg.Swarm.Nobody(lookTime * f.cfg.ProbeTimeout)
	}
	if errors.Is(err, blobnet.ErrNotFound) {
		return nil, fmt.Errorf("%w: %w", errBody, err)
	}
	if err != nil {
		return nil, fmt.Errorf("its body: %w", err)
	}
	return blob, nil
}

// patience is how long is waited for what all who can be asked say they have not.
func (f *follower) patience(again bool) time.Duration {
	if again {
		return min(lossPatience, f.cfg.ProbeTimeout)
	}
	return f.cfg.ProbeTimeout
}

// passMissing leaves out the files that could not be had.
func (a *application) passMissing(targets []*target, err error) {
	a.lack(a.release, err)
	r := a.release
	for i, t := range targets {
		over := t != nil && t.over.Load()
		if t == nil || over && (!t.lost || t.optional) {
			continue
		}
		e := a.files[i].entry
		v := policy.Verdict{Reason: policy.Missing, Why: nobody(err) + " all of its blobs"}
		if errors.Is(err, errTurn) && !over {
			v = underway()
		}
		if over && t.lacks != (blobnet.ID{}) {
			v.Why = fmt.Sprintf("nobody has blob %s of it", t.lacks)
			a.doubtAlways(content{r.Position, e.Name}, t)
		}
		if a.lacks.parts == nil {
			a.follower.lacks.parts = map[string]int64{}
		}
		a.lacks.parts[t.partName()] = r.Position
		a.leaveOut(e, v)
		if !a.told {
			a.emit(PassedEvent{Event: "passed", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Name: e.Name, Files: 1, Bytes: e.Size, Reason: string(v.Reason), Message: v.Why})
		}
	}
}

// doubtAlways remembers which blob a file lacked, so that the next look asks for
// that first, and has nothing else twice.
func (a *application) doubtAlways(c content, t *target) {
	if t.coded {
		return // it may be made
	}
	if a.lacks.blobs == nil || len(a.lacks.blobs) >= maxRefusals {
		a.follower.lacks.blobs = map[content]blobnet.ID{}
	}
	a.lacks.blobs[c] = t.lacks
}

// recallLacks finds out whether earlier runs have left out something that may
// still be gone on with.
func (f *follower) recallLacks(ctx context.Context) error {
	some, err := f.cfg.Ledger.PassedOver(ctx, f.order.Subscription, f.order.Channel, math.MaxInt64, f.fingerprint, true, 1)
	f.lacks.unsure = len(some) > 0
	return err
}

// prune deletes unfinished files that nothing goes on with. Those of files that
// nobody has all of stay, unless a quota holds: they do not count in it.
func (f *follower) prune(ctx context.Context, out *output, targets []*target) error {
	if f.rules.Policy.Quota > 0 {
		return out.prune(ctx, f.cfg.Place, targets)
	}
	if f.lacks.unsure {
		return nil
	}
	return out.prune(ctx, f.cfg.Place, targets, slices.Collect(maps.Keys(f.lacks.parts))...)
}

// interrupted reports whether there is news, for which what is only looked at again
// has to wait.
func (f *follower) interrupted() bool { return len(f.lacks.news) > 0 }
