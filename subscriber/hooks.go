package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// Hooks have a say in what is taken, beside the policy: they may leave out what it
// takes, and never add to it. What they are shown is verified. Their errors are
// ctx's, or those of reading a file: that who was to be asked says nothing is
// for them to make a verdict of. They may be called from many goroutines at
// once, and must not change what they are given.
type Hooks interface {
	// Filter is asked before anything of a release's files is fetched.
	Filter(ctx context.Context, r catalog.Release, body *channel.Body) (Filtered, error)
	// Plan is asked about those files that are wanted, with the path that each is
	// going to have.
	Plan(ctx context.Context, subscription string, r catalog.Release, files []channel.FileEntry, paths []string, labels map[string]string) (map[string]Plan, error)
	// Scan is asked about a file that is whole and verified, before it gets its name.
	Scan(ctx context.Context, r catalog.Release, e channel.FileEntry, open func() (io.ReadCloser, error)) (HookVerdict, error)
}

// HookVerdict says whether something is taken.
type HookVerdict struct {
	Refused bool
	Later   bool // with Refused: it is asked about again
	Why     string
}

// Filtered is what hooks say of a release.
type Filtered struct {
	HookVerdict
	Masked map[string]string // names of files that are left out, to why
	Labels map[string]string
}

// Plan is what hooks want otherwise of one file.
type Plan struct {
	Skip     HookVerdict
	Priority int    // higher is fetched first
	Path     string // another path; one that is no valid name is not heeded
}

// hooked is what hooks said of the release that is being applied.
type hooked struct {
	filtered Filtered
	plans    map[string]Plan
}

// consult asks hooks about the release, before anything is looked at.
func (a *application) consult(ctx context.Context) error {
	hooks := a.cfg.Hooks
	if hooks == nil || len(a.body.Entries) == 0 || !a.verdicts.Whole().Take() {
		return nil
	}
	said, err := hooks.Filter(ctx, a.release, a.body)
	if err != nil {
		return err
	}
	a.hooked.filtered = said
	if said.Refused || len(said.Masked) > 0 {
		a.unsettled = true
	}
	if said.Refused {
		return nil
	}
	var files []channel.FileEntry
	var paths []string
	for i := range a.body.Entries {
		e := &a.body.Entries[i]
		if _, masked := said.Masked[e.Name]; masked || !a.verdicts.File(e).Take() {
			continue
		}
		files, paths = append(files, *e), append(paths, a.rules.Template.Path(policy.Named{
			File: e.Name, Title: a.body.Title, Channel: a.title, Seq: a.release.Seq, Issued: a.release.Manifest.Issued,
		}))
	}
	if len(files) == 0 {
		return nil
	}
	a.hooked.plans, err = hooks.Plan(ctx, a.order.Subscription, a.release, files, paths, said.Labels)
	return err
}

// heed says what hooks make of a file that the policy takes.
func (h hooked) heed(name string) policy.Verdict {
	if h.filtered.Refused {
		return policy.Verdict{Reason: policy.Plugin, Why: h.filtered.Why}
	}
	if why, masked := h.filtered.Masked[name]; masked {
		return policy.Verdict{Reason: policy.Plugin, Why: why}
	}
	if p := h.plans[name]; p.Skip.Refused {
		return policy.Verdict{Reason: policy.Plugin, Why: p.Skip.Why}
	}
	return policy.Verdict{}
}

// path is where hooks want a file, or where it was going to be.
func (h hooked) path(name, planned string) string {
	if p := h.plans[name].Path; p != "" && channel.ValidName(p) == nil {
		return p
	}
	return planned
}

// order brings those first that hooks want first.
func (h hooked) order(targets []*target) {
	if len(h.plans) > 0 {
		slices.SortStableFunc(targets, func(x, y *target) int { return h.plans[y.entry.Name].Priority - h.plans[x.entry.Name].Priority })
	}
}

// scanning is how a target of this release is scanned; nil if it is not.
func (a *application) scanning() func(context.Context, *target) (HookVerdict, error) {
	if a.cfg.Hooks == nil {
		return nil
	}
	return func(ctx context.Context, t *target) (HookVerdict, error) {
		return a.cfg.Hooks.Scan(ctx, a.release, t.entry, func() (io.ReadCloser, error) {
			return io.NopCloser(io.NewSectionReader(t.temp, 0, int64(t.entry.Size))), nil
		})
	}
}

// errScanned: hooks do not want what is in a file. It is told as left out, and
// not as an error.
var errScanned = errors.New("refused by a plugin")

// scanned lets hooks look into the complete file, and ends the target if they
// refuse it.
func (t *target) scanned(ctx context.Context) (passed bool, err error) {
	if t.scan == nil {
		return true, nil
	}
	v, err := t.scan(ctx, t)
	if err != nil || !v.Refused {
		return err == nil, err
	}
	t.said = &policy.Verdict{Reason: policy.Scan, Why: v.Why}
	if v.Later {
		t.said.Reason = policy.ScanLater
	}
	t.settle(fmt.Errorf("file %q: %w", t.name, errScanned), false)
	return false, nil
}

// content is one file of one release.
type content struct {
	position int64
	name     string
}

// refusal is what hooks said of what is in a file, so that it is not fetched again
// only to hear the same.
type refusal struct {
	verdict policy.Verdict
	until   time.Time // zero: as long as this run lasts
}

// maxRefusals bounds what is remembered of a run.
const maxRefusals = 1 << 14

// scannedBefore is what hooks have said of a file in this run, and would say again.
func (a *application) scannedBefore(name string) policy.Verdict {
	r, ok := a.refusals[content{a.release.Position, name}]
	if !ok || !r.until.IsZero() && a.cfg.Now().After(r.until) {
		return policy.Verdict{}
	}
	return r.verdict
}

// tellScanned tells of a file that hooks have refused.
func (a *application) tellScanned(it item, v policy.Verdict) {
	a.leaveOut(it.entry, v)
	r := refusal{verdict: v}
	if v.Reason.MayPass() {
		r.until = a.cfg.Now().Add(againPause - time.Second)
	}
	if a.refusals == nil || len(a.refusals) >= maxRefusals {
		a.follower.refusals = map[content]refusal{}
	}
	a.refusals[content{a.release.Position, it.entry.Name}] = r
	if v.Reason.MayPass() {
		a.unsettled = true
	}
	rel := a.release
	a.emit(PassedEvent{
		Event: "passed", Channel: rel.Channel, Log: rel.Log, Seq: rel.Seq, Name: it.entry.Name, Files: 1, Bytes: it.entry.Size, Reason: string(v.Reason), Message: v.Why,
	})
}
