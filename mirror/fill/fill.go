// Package fill keeps a plugin that is a mirror filled: with what counts of the channels
// that are bound to it, by itself, until all is there; and takes away there what counts
// no more. What is owed is in a ledger (mirror/owed), so that nothing is forgotten
// however the process ends, and what fails is tried again for as long as it is owed.
//
// It asks for what counts and never decides it; it must never read what is in a blob,
// nor let one plugin hold up another: each has a Filler of its own.
package fill

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/mirror/owed"
)

// Plugin is where blobs are to be. Its methods may be called from many goroutines.
// Has answers in the order of ids, at most Batch of them; Put of what is there and
// Delete of what is not are no errors. Errors that wrap plugins.ErrOff,
// plugins.ErrUnknown or ErrAway say that nobody can be asked, blobnet.ErrFull that it has
// no room.
type Plugin interface {
	Has(ctx context.Context, ids []blobnet.ID) ([]bool, error)
	Put(ctx context.Context, id blobnet.ID, data []byte) error
	Delete(ctx context.Context, ids []blobnet.ID) error
}

// ErrAway: the process of the plugin cannot be asked, since it failed. Whoever starts it
// again too often has it turned off.
var ErrAway = errors.New("it does not run")

// Here is where blobs are taken from.
type Here interface {
	blobnet.Source
	Has(ctx context.Context, ids ...blobnet.ID) ([]bool, error)
}

// Counts says that a blob counts, of a release of a channel, or one of the two things
// that are said of each release at its end.
type Counts struct {
	Release int64
	ID      blobnet.ID

	Whole   bool // nothing else of it counts
	Unknown bool // something else may count: that is not known now
}

// Listing is what counts of a channel.
type Listing struct {
	// Version grows when releases are taken back as such. Where it has not, one that is
	// not listed any more is only not known.
	Version int64
	// Counts may end with an error, which says nothing of what counts.
	Counts iter.Seq2[Counts, error]
}

// Config is what New needs.
type Config struct {
	Name   string // of the plugin
	Plugin Plugin
	Ledger *owed.Ledger
	Here   Here

	// Bound returns the channels that are bound to the plugin now.
	Bound func() ([]owed.Of, error)
	// List says what counts of one.
	List func(context.Context, owed.Of) (Listing, error)
	// OnProblem is told what fails, for a log. If nil, nobody is.
	OnProblem func(error)
}

// Batch is how many blobs a plugin is asked about at once.
const Batch = 1024

const (
	slice    = 64 // blobs of a batch after which what was done is noted
	parallel = 4  // puts at a time
	maxInRow = 16 // failures after which a plugin rests

	// A blob that fails is tried again after pauses that double.
	firstRetry, lastRetry = time.Minute, 6 * time.Hour
	// lastSickRetry is the longest while nothing at all works: then it is the plugin's
	// fault, and it may work again at any time.
	lastSickRetry = 10 * time.Minute
	// So does a plugin that fails as a whole.
	firstRest, lastRest = 10 * time.Second, 10 * time.Minute
	// One whose process failed rests for longer from the second time on: so it is not
	// started three times within an hour, at which it would be turned off.
	firstAway, lastAway = time.Minute, 61 * time.Minute

	// sweepEvery is how often all that counts is gone through though there is no news.
	sweepEvery = time.Hour
	// What was missing is looked for again after pauses that double.
	firstLook, lastLook = 5 * time.Second, 10 * time.Minute
	// sweepRest is how many times as long as that took nobody does so again, up to
	// lastLook.
	sweepRest = 50
	// checkEvery is how often a plugin is asked for all that it is said to have.
	checkEvery = 24 * time.Hour
	// again is the pause after an error of what is here.
	again = time.Minute
)

// Filler fills one plugin. Its methods may be called from many goroutines, and work
// without Run.
type Filler struct {
	cfg     Config
	turn    chan struct{} // holds one while somebody is at work
	waiting atomic.Int32  // who wait for it: then who has it makes it short
	wake    chan struct{} // holds one: look again at what is to be done

	mu    sync.Mutex // guards what follows; held for memory work alone
	looks map[owed.Of]*look
	state State
	row   int           // failures in a row
	sick  bool          // nothing has worked since something failed
	rest  time.Duration // the last one
	aways int           // times in a row that the process did not run
	check blobnet.ID    // up to here the plugin was asked

	afresh bool // all that failed is to be tried at once: it may be another plugin now

	asked map[blobnet.ID]bool // of whoever has the turn: what was asked for and is not there
}

// State is how a plugin fares.
type State struct {
	Until time.Time // it rests; zero: it does not
	Why   string    // what failed last, empty once something worked
	Away  bool      // it rests since its process does not run: nobody should ask it
}

// New returns a Filler. It starts nothing.
func New(cfg Config) *Filler {
	if cfg.OnProblem == nil {
		cfg.OnProblem = func(error) {}
	}
	return &Filler{cfg: cfg, turn: make(chan struct{}, 1), wake: make(chan struct{}, 1), looks: map[owed.Of]*look{}, afresh: true}
}

// State returns how the plugin fares.
func (f *Filler) State() State {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.state.Until.After(time.Now()) { // a rest that is over
		f.state.Until, f.state.Away = time.Time{}, false
	}
	return f.state
}

// News says that something is new in a channel.
func (f *Filler) News(of owed.Of) {
	f.mu.Lock()
	l := f.looks[of]
	if l != nil {
		l.news, l.pause = true, 0
	}
	f.mu.Unlock()
	if l != nil { // else it is not bound, or nobody has looked yet
		f.Wake()
	}
}

// Changed says that the plugin is another one now: it is asked at once.
func (f *Filler) Changed() {
	f.mu.Lock()
	f.state.Until, f.state.Away, f.rest, f.aways, f.afresh = time.Time{}, false, 0, 0, true
	f.mu.Unlock()
	f.Wake()
}

// Wake says that there is something to look at.
func (f *Filler) Wake() {
	select {
	case f.wake <- struct{}{}:
	default: // it is known already
	}
}

// begin waits for the turn.
func (f *Filler) begin(ctx context.Context) (end func(), err error) {
	f.waiting.Add(1)
	defer f.waiting.Add(-1)
	select {
	case f.turn <- struct{}{}:
		return func() { <-f.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// Run fills until ctx ends.
func (f *Filler) Run(ctx context.Context) {
	for ctx.Err() == nil {
		end, err := f.begin(ctx)
		if err != nil {
			return
		}
		next, err := f.step(ctx)
		end()
		if err != nil && ctx.Err() == nil {
			f.cfg.OnProblem(err)
			next = time.Now().Add(again)
		}
		timer := time.NewTimer(time.Until(next))
		select {
		case <-f.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
	}
}

// step does what is due, or a part of it, and returns when to do so again. Its errors
// are those of what is here; those of the plugin are its state.
func (f *Filler) step(ctx context.Context) (next time.Time, err error) {
	bound, err := f.bound(ctx)
	if err == nil && f.takeAfresh() {
		err = f.cfg.Ledger.Again(ctx, f.cfg.Name, time.Now())
	}
	if err != nil {
		return next, err
	}
	next = time.Now().Add(sweepEvery)
	for _, of := range bound {
		due := f.lookDue(of)
		if !due.After(time.Now()) {
			if err = errors.Join(err, f.sweep(ctx, of)); ctx.Err() != nil {
				return next, context.Cause(ctx)
			}
			due = f.lookDue(of)
		}
		next = earlier(next, due)
	}
	if err != nil {
		return next, err
	}
	now := time.Now()
	if until := f.State().Until; !until.IsZero() {
		return earlier(next, until), nil
	}
	if _, more, err := f.work(ctx, now, nil, func(Result) {}); err != nil || more {
		return now, err
	}
	if until := f.State().Until; !until.IsZero() {
		return earlier(next, until), nil
	}
	checked, err := f.cfg.Ledger.Checked(ctx, f.cfg.Name)
	if err != nil {
		return next, err
	}
	if checked.UnixMilli() == 0 { // it is new: all that it has it was given, or asked for, just now
		return next, f.cfg.Ledger.Check(ctx, f.cfg.Name, now)
	}
	if due := checked.Add(checkEvery); due.After(now) {
		next = earlier(next, due)
	} else if _, done, err := f.checkBatch(ctx); err != nil || !done && !f.resting() {
		return now, err
	}
	if until := f.State().Until; !until.IsZero() {
		return earlier(next, until), nil
	}
	due, err := f.cfg.Ledger.Next(ctx, f.cfg.Name)
	if !due.IsZero() {
		next = earlier(next, due)
	}
	return next, err
}

// takeAfresh reports, once, whether nobody knows yet how the plugin fares.
func (f *Filler) takeAfresh() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	afresh := f.afresh
	f.afresh = false
	return afresh
}

// bound are the channels that are bound, and has the ledger forget others: bindings
// that were ended when the process was.
func (f *Filler) bound(ctx context.Context) ([]owed.Of, error) {
	bound, err := f.cfg.Bound()
	if err != nil {
		return nil, err
	}
	is := map[owed.Of]bool{}
	for _, of := range bound {
		is[of] = true
	}
	known, err := f.cfg.Ledger.Bindings(ctx)
	if err != nil {
		return nil, err
	}
	for _, b := range known {
		if b.Plugin != f.cfg.Name || is[b.Of] {
			continue
		}
		if _, err := f.cfg.Ledger.End(ctx, b, true, time.Now()); err != nil {
			return nil, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for of := range f.looks {
		if !is[of] {
			delete(f.looks, of)
		}
	}
	return bound, nil
}

func (f *Filler) binding(of owed.Of) owed.Binding { return owed.Binding{Plugin: f.cfg.Name, Of: of} }

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// jitter makes a pause longer by up to a tenth, so that not all come back at once.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration(rand.Float64()/10*float64(d))
}
