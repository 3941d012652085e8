package subscriber

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// Follow is an order to write a channel's releases out.
type Follow struct {
	Subscription string // whose cursor says how far it got
	Channel      channel.ID
	Output       string // folder, made if missing
	Once         bool   // return when all that is known is applied
	Policy       policy.Policy
	Title        func(context.Context) string // of the channel, for the names of files, asked for each release; may be nil
	Budget       *Budget                      // shared by all orders of the subscription; if nil, one of its own
	Blind        bool                         // have the blobs of what cannot be read, for others
	Stale        bool                         // write out what a channel of kind update has although it is not fresh
	KeepBlobs    bool                         // keep the blobs of files as well, in spite of Config.Place, which should be a *inplace.Keeper then
}

const (
	// releasePage is how many releases are read at a time.
	releasePage = 16
	// maxToldErrors is how many skipped things Follow's error names; the events
	// told of all.
	maxToldErrors = 16
)

// Follow applies a channel's releases after the cursor, in the ledger's order,
// and those that come, until ctx ends, whose cause it then returns. With Once it
// returns when none is left.
//
// A release is applied like this: its removals, then all of its files, then the
// cursor moves. A file is fetched to a hidden folder inside of Output, checked
// against its signed size and SHA-256, synced, and only then gets its name. One
// that is there already is not fetched again. A crash at any moment leaves each
// name with the old file or the new one; the release is then applied again.
//
// What only waiting or the user can mend (a full disk, a folder without
// permission, nobody there who answers) ends Follow with an error, after whatever
// else of the release could be had; the cursor stays, and a later Follow goes on
// there.
//
// What nobody has, as those say who answer, holds up nothing: the rest of its
// release is written, it is told in a PassedEvent with the reason "missing",
// remembered, and passed over. It is looked at again after a few seconds and then
// less and less often, up to every ten minutes, by the next Follow, and, of
// releases of earlier runs, the newest 256; what comes meanwhile does not wait for
// it, nor is anything replaced or brought back against what a later release says. So
// it is where the body of a release lies in a blob that nobody has; what it removes
// is removed when that comes. With Once, Follow names in its error what is missing.
//
// What comes and takes long is put aside where releases of other logs wait, in a
// PassedEvent with the reason "underway": it goes on after them, from what there is
// of it, and so do several of which each takes long, in turns.
//
// What cannot be mended is told in an ErrorEvent and skipped: a file
// that is not what was signed for, a name that something else occupies, a
// malformed body. With Once, Follow also returns those errors when it is
// through.
//
// Beside the files, Follow fetches each release's inventory for mirrors; no
// cursor waits for it. One that cannot be had is tried again with the releases
// that come, after a while, and by the next Follow. With Once, those that are
// being looked for in the end have a second to come.
//
// What is sealed in a private channel is opened first, see Unlock. A release that
// stays sealed is passed over, and news once it can be opened; where no read key
// of the channel is known at all, Blind has its blobs fetched for others, unread.
//
// What the channel takes back while it is fetched is fetched no further. What a
// release had brought that a new root has voided is deleted, if it is as it was
// signed, and what stood under the name before is written again.
//
// Of a channel of kind update nothing is written while it is not fresh, see
// HeldEvent, unless the order says Stale: its releases are listed, and their blobs
// are had for others and for later. With Once, Follow then returns ErrHeld.
// Releases of a log that has forked are left out, and those of others go on.
//
// The channel's view decides between releases of several logs: a file whose
// name a release of another log holds rightfully is not written, nor one that
// a known later release removes. Files that were changed in Output are never
// deleted, see KeptEvent.
//
// What the order's policy leaves out is told in a PassedEvent and remembered, and
// nothing of it is fetched; the cursor passes it. A Follow with a policy that
// takes more looks at it again. Files that the keep rules let go are deleted if
// this subscription has written them and nobody has changed them since.
//
// emit is called by one goroutine at a time and must be quick. One subscription
// must not be followed twice at a time into one Output.
func (s *Subscriber) Follow(ctx context.Context, order Follow, emit func(Event)) error {
	f, err := s.newFollower(order, emit)
	if err != nil {
		return err
	}
	news := make(chan struct{}, 1)
	f.lacks.news = news
	defer s.cfg.Ledger.Watch(func(id channel.ID, _ feed.Kind) {
		if id == order.Channel {
			select {
			case news <- struct{}{}:
			default: // there is news already
			}
		}
	})()
	if order.Output == "" {
		return errors.New("following: no output folder")
	}
	if err := os.MkdirAll(order.Output, 0o777); err != nil {
		return fmt.Errorf("output folder: %w", err)
	}
	if err := f.reclaimAll(ctx); err != nil {
		return err
	}
	if err := f.recallLacks(ctx); err != nil {
		return err
	}
	f.inventories = keepInventories(ctx, s.cfg, order, f.all)
	defer f.inventories.stop(0)
	for may := true; ; {
		if err := f.inHours(ctx, may); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return err
		}
		if err := f.tidy(ctx); err != nil {
			return err
		}
		if order.Once {
			f.inventories.stop(inventoryGrace)
			return errors.Join(append(f.skipped, f.missed()...)...)
		}
		if may, err = f.idle(ctx, news); err != nil {
			return err
		}
	}
}

// newFollower checks an order.
func (s *Subscriber) newFollower(order Follow, emit func(Event)) (*follower, error) {
	rules, err := order.Policy.Compile(time.Local)
	if err != nil {
		return nil, fmt.Errorf("following: %w", err)
	}
	f := &follower{cfg: s.cfg, order: order, emit: emit, unlocker: newUnlocker(s.cfg, order.Channel), rules: rules, begun: time.Now(), fingerprint: order.Policy.Fingerprint(), budget: order.Budget}
	if f.budget == nil {
		f.budget = new(Budget)
	}
	f.all = f.fingerprint == policy.Policy{}.Fingerprint()
	return f, nil
}

// idle waits for news, or for the time to look again at what was left out.
func (f *follower) idle(ctx context.Context, news <-chan struct{}) (may bool, err error) {
	var tick, look <-chan time.Time // never
	if timed(f.rules.Policy) || len(f.lacks.releases) > 0 || f.unsettled {
		t := time.NewTimer(againPause)
		defer t.Stop()
		tick = t.C
	}
	if in, ok := f.nextLook(); ok || f.unsought {
		if f.unsought {
			in = soughtCheck
		}
		t := time.NewTimer(in)
		defer t.Stop()
		look = t.C
	}
	select {
	case <-news:
		return false, nil
	case <-look:
		return false, nil
	case <-tick:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	}
}

// follower is one run of Follow.
type follower struct {
	cfg     Config
	order   Follow
	emit    func(Event)
	skipped []error // the first of those that were told in events; with Once alone

	rules       *policy.Rules
	fingerprint string // of the policy
	all         bool   // the policy takes everything
	budget      *Budget
	keeping     keeping
	lacks       lacking
	freed       bool // there is more room in the quota than when what did not fit was left out

	refusals  map[content]refusal
	unsettled bool // hooks have left something out, and are asked again

	begun        time.Time
	why, message string                     // why nothing is written now; empty if it is
	told         string                     // the reason that was told last, while there is one
	unsought     bool                       // the reason is not told yet: the channel was not looked for so far
	frozen       map[channel.PublicKey]bool // logs of a channel of kind update that have forked
	mirrored     int64                      // while it is held, the blobs of releases up to this position were had

	inventories *inventories
	unlocker    *unlocker
	ahead       ahead
	replaced    probe
	stalls      stalls
	turns       stalls // logs that have lately used up their turns
	pulse       pulse
}

func (f *follower) tag() string {
	return "follow " + f.order.Subscription + " " + f.order.Channel.String()
}

// tidy deletes what runs that did not end left unfinished, and nothing goes on
// with: all is applied.
func (f *follower) tidy(ctx context.Context) error {
	if !hasLeftovers(f.order.Output, f.tag()) {
		return nil
	}
	out, err := openOutput(f.order.Output, f.tag())
	if err != nil {
		return err
	}
	defer out.close()
	return f.prune(ctx, out, nil)
}

// catchUp applies releases until none is left.
func (f *follower) catchUp(ctx context.Context) error {
	cursor, err := f.cfg.Ledger.Cursor(ctx, f.order.Subscription, f.order.Channel)
	if err != nil {
		return err
	}
	for {
		if err := f.learnAndTell(ctx); err != nil {
			return err
		}
		releases, err := f.cfg.Ledger.Releases(ctx, f.order.Channel, cursor, releasePage)
		if err != nil {
			return err
		}
		if len(releases) == 0 {
			return nil
		}
		for _, r := range releases {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			if held, err := f.held(ctx); held || err != nil {
				return err // the round goes on with what may be done
			}
			if len(f.rules.Policy.Keep) > 0 && r.Position > f.keeping.upTo {
				if err := f.plan(ctx, f.pending(ctx, cursor)); err != nil {
					return err
				}
			}
			if f.frozen[r.Log] {
				err = f.leaveForked(ctx, r)
			} else {
				err = f.apply(ctx, r, false)
			}
			if err != nil {
				return applying(r, err)
			}
			if err := f.cfg.Ledger.SetCursor(ctx, f.order.Subscription, f.order.Channel, cursor, r.Position); err != nil {
				return err
			}
			cursor = r.Position
		}
	}
}

func applying(r catalog.Release, err error) error {
	return fmt.Errorf("applying release %d of log %s: %w", r.Seq, r.Log.Short(), err)
}

// apply does all that a release asks for, and returns when it is safe on disk.
// With again, it was applied before, and something of it was left out.
func (f *follower) apply(ctx context.Context, r catalog.Release, again bool) error {
	var missing, late bool // something of it; what it says, so that nothing was done
	if again {
		var err error
		if missing, late, err = f.passedBefore(ctx, r); err != nil {
			return err
		}
	}
	if f.all && !again {
		f.inventories.want(r)
	}
	body, err := f.body(ctx, r, again)
	if errors.Is(err, errBody) && f.answered(ctx, err) {
		return f.passBody(ctx, r, missing, err)
	}
	if err == nil && late && (body == nil || len(body.Entries)+len(body.Removals) == 0) {
		err = f.forgetBody(ctx, r)
	}
	if err != nil || body == nil {
		return err
	}
	if !again || late {
		f.emit(manifestEvent(r, body))
	}
	if r.Body == nil && !again && len(f.rules.Policy.Keep) > 0 { // it could not be planned for
		if err := f.plan(ctx, f.pending(ctx, r.Position-1)); err != nil {
			return err
		}
	}
	if len(body.Entries)+len(body.Removals) > 0 {
		a := application{follower: f, release: r, body: body, again: again, late: late, told: missing && !late}
		if err := f.write(ctx, a); err != nil {
			return err
		}
	}
	if s, ok := f.cfg.Blobs.(blobnet.Syncer); ok {
		if err := s.Sync(ctx); err != nil {
			return fmt.Errorf("syncing the blob store: %w", err)
		}
	}
	return nil
}

func manifestEvent(r catalog.Release, body *channel.Body) ManifestEvent {
	m := ManifestEvent{
		Event: "manifest", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Hash: r.Hash, Issued: r.Manifest.Issued,
		Title: body.Title, Description: body.Description, Metadata: body.Metadata,
		Entries: len(body.Entries), Removals: len(body.Removals),
	}
	for _, e := range body.Entries {
		m.Bytes += e.Size
	}
	return m
}

// write changes the output folder as the release says, and begins anew with the
// rest where the channel takes one of the files back meanwhile.
func (f *follower) write(ctx context.Context, a application) error {
	for {
		err := f.writeOnce(ctx, a)
		if !errors.Is(err, errRetracted) || ctx.Err() != nil {
			return err
		}
	}
}

func (f *follower) writeOnce(ctx context.Context, of application) error {
	out, err := openOutput(f.order.Output, f.tag())
	if err != nil {
		return err
	}
	defer out.close()
	out.floor = f.cfg.MinFree
	a := &of
	a.out, a.verdicts, a.claimed = out, f.judgeOf(a.release, a.body), map[string]string{}
	if f.order.Title != nil {
		a.title = f.order.Title(ctx)
	}
	defer func() { f.budget.give(a.taken) }()
	if err := a.consult(ctx); err != nil {
		return err
	}
	if err := a.look(ctx); err != nil {
		return err
	}
	if err := a.weigh(ctx); err != nil {
		return err
	}
	if a.again && !a.late && !a.told && len(a.files) > 0 {
		f.emit(manifestEvent(a.release, a.body))
	}
	a.tellLeftOut()
	if !f.all && len(a.files) > 0 {
		f.inventories.want(a.release)
	}
	if err := a.remove(ctx); err != nil {
		return err
	}
	err = a.fetch(ctx)
	if syncErr := out.sync(); err == nil {
		err = syncErr
	}
	return err
}

// skip tells of what will not be tried again.
func (f *follower) skip(r catalog.Release, name string, err error) {
	if f.order.Once && len(f.skipped) < maxToldErrors {
		f.skipped = append(f.skipped, err)
	}
	f.emit(ErrorEvent{Event: "error", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Name: name, Message: err.Error()})
}
