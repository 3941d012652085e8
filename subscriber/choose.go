package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/size"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// Sources counts who has a file, by its root blob: it may stop at enough.
type Sources interface {
	CountSources(ctx context.Context, root blobnet.ID, enough int) int
}

// maxCounting is how many files' sources are counted at a time.
const maxCounting = 16

// refused is a file that is left out.
type refused struct {
	entry   channel.FileEntry
	verdict policy.Verdict
}

// leaveOut leaves a file out.
func (a *application) leaveOut(e channel.FileEntry, v policy.Verdict) {
	a.left = append(a.left, refused{e, v})
}

// judge says whether a file is wanted, as far as its release, the policy and what
// was written before tell.
func (a *application) judge(e *channel.FileEntry, before *catalog.Written) (wanted bool) {
	if before != nil && before.Position == a.release.Position && (before.Gone || a.again) {
		return false // it was here, and was let go, or the user has it in hand
	}
	if before != nil && before.Position > a.release.Position {
		return false
	}
	if v := a.verdicts.File(e); !v.Take() {
		a.leaveOut(*e, v)
		return false
	}
	if v := a.hooked.heed(e.Name); !v.Take() {
		a.leaveOut(*e, v)
		return false
	}
	if v := a.scannedBefore(e.Name); !v.Take() {
		a.leaveOut(*e, v)
		return false
	}
	if at, ok := a.keeping.doomed[e.Name]; ok && at == a.release.Position {
		a.leaveOut(*e, policy.Verdict{Reason: policy.KeepRule, Why: a.rules.WhyGone(e.Name)})
		return false
	}
	return true
}

// weigh leaves out those files that too few have, and that do not fit into the
// quota.
func (a *application) weigh(ctx context.Context) error {
	if err := a.countSources(ctx); err != nil {
		return err
	}
	if a.rules.Policy.Quota == 0 {
		return nil
	}
	tally, err := a.cfg.Ledger.Tally(ctx, a.order.Subscription)
	if err != nil {
		return err
	}
	var kept []item
	for _, it := range a.files {
		need := int64(it.entry.Size)
		if it.before != nil && !it.before.Gone {
			need = max(0, need-int64(it.before.Size))
		}
		if it.there || it.skip != nil || need == 0 {
			kept = append(kept, it)
			continue
		}
		fits := a.budget.take(tally.Bytes, need, a.rules.Policy.Quota)
		for !fits && need <= a.rules.Policy.Quota && len(a.keeping.letGo) > 0 {
			freed, err := a.letGoFirst(ctx)
			if err != nil {
				return err
			}
			tally.Bytes -= freed
			fits = a.budget.take(tally.Bytes, need, a.rules.Policy.Quota)
		}
		if !fits {
			a.leaveOut(it.entry, policy.Verdict{Reason: policy.Quota, Why: fmt.Sprintf("it has %s, and %s of the quota of %s are taken",
				size.Format(int64(it.entry.Size)), size.Format(a.budget.used(tally.Bytes)), size.Format(a.rules.Policy.Quota))})
			continue
		}
		a.taken += need
		kept = append(kept, it)
	}
	a.files = kept
	return nil
}

// countSources leaves out what too few nodes have.
func (a *application) countSources(ctx context.Context) error {
	enough := a.rules.Policy.MinSources
	if enough == 0 || a.cfg.Sources == nil {
		return nil
	}
	counts := make([]int, len(a.files))
	var group errgroup.Group
	group.SetLimit(maxCounting)
	for i, it := range a.files {
		if it.there || it.skip != nil {
			counts[i] = enough
			continue
		}
		group.Go(func() error {
			counts[i] = a.cfg.Sources.CountSources(ctx, it.entry.Root.ID, enough)
			return nil
		})
	}
	_ = group.Wait() // has no errors
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var kept []item
	for i, it := range a.files {
		if v := a.rules.Sources(counts[i]); v.Take() {
			kept = append(kept, it)
		} else {
			a.leaveOut(it.entry, v)
		}
	}
	a.files = kept
	return nil
}

// tellLeftOut emits what is left out: one event for all files where the reason
// is one, else one for each.
func (a *application) tellLeftOut() {
	slices.SortFunc(a.left, func(x, y refused) int {
		if x.entry.Name < y.entry.Name {
			return -1
		}
		return 1
	})
	if a.again && !a.late || len(a.left) == 0 {
		return
	}
	r := a.release
	e := PassedEvent{Event: "passed", Channel: r.Channel, Log: r.Log, Seq: r.Seq}
	if len(a.left) > 1 && len(a.left) == len(a.body.Entries) && !slices.ContainsFunc(a.left, func(l refused) bool { return l.verdict != a.left[0].verdict }) {
		e.Files, e.Reason, e.Message = len(a.left), string(a.left[0].verdict.Reason), a.left[0].verdict.Why
		for _, l := range a.left {
			e.Bytes += l.entry.Size
		}
		a.emit(e)
		return
	}
	for _, l := range a.left {
		e.Name, e.Files, e.Bytes, e.Reason, e.Message = l.entry.Name, 1, l.entry.Size, string(l.verdict.Reason), l.verdict.Why
		a.emit(e)
	}
}

// record remembers what has become of the release's files. It does so also when
// some of them failed to come; those that had been left out before are then still
// said to be.
func (a *application) record(ctx context.Context, targets []*target, failed bool) error {
	j := catalog.Judged{Position: a.release.Position, By: a.fingerprint, Written: a.gone}
	if failed && a.again {
		j.Position = 0
	}
	for _, l := range a.left {
		reason := string(l.verdict.Reason)
		i := slices.IndexFunc(j.Passed, func(p catalog.Passed) bool { return p.Reason == reason })
		if i < 0 {
			i = len(j.Passed)
			j.Passed = append(j.Passed, catalog.Passed{Reason: reason, Again: l.verdict.Reason.MayPass()})
		}
		j.Passed[i].Files++
		j.Passed[i].Bytes += l.entry.Size
	}
	for i, it := range a.files {
		there := it.there
		if t := targets[i]; t != nil {
			there = t.over.Load() && t.err == nil
		}
		if !there || it.skip != nil {
			continue
		}
		w := catalog.Written{
			Name: it.entry.Name, Path: it.path, Size: it.entry.Size, SHA256: it.entry.SHA256,
			Position: a.release.Position, Issued: a.release.Manifest.Issued,
		}
		if b := it.before; b != nil && *b == w {
			continue
		}
		if b := it.before; b != nil && !b.Gone && b.Path != w.Path {
			if err := a.dropOther(ctx, *b, w.Path); err != nil {
				return err
			}
		}
		j.Written = append(j.Written, w)
	}
	a.gone = nil
	if len(j.Written) == 0 && len(j.Passed) == 0 && !a.again {
		return nil
	}
	err := a.cfg.Ledger.Record(ctx, a.order.Subscription, a.order.Channel, j)
	if errors.Is(err, catalog.ErrUnknown) {
		return nil // the subscription has ended meanwhile; whoever moves its cursor hears of that
	}
	return err
}

// before returns what the subscription has made of a name already, nil for
// nothing.
func (f *follower) before(ctx context.Context, name string) (*catalog.Written, error) {
	w, err := f.cfg.Ledger.WrittenAs(ctx, f.order.Subscription, f.order.Channel, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return &w, err
}

// maxNumbered is how many files of one name are told apart.
const maxNumbered = 1000

// pathOf is where an entry of the release goes. One that has been written by
// this release stays where it is; two that would get one name are numbered.
func (a *application) pathOf(ctx context.Context, e channel.FileEntry, before *catalog.Written) (string, error) {
	if before != nil && !before.Gone && before.Position == a.release.Position {
		return before.Path, nil
	}
	path := a.rules.Template.Path(policy.Named{
		File: e.Name, Title: a.body.Title, Channel: a.title, Seq: a.release.Seq, Issued: a.release.Manifest.Issued,
	})
	path = a.hooked.path(e.Name, path)
	for n, try := 2, path; n < maxNumbered; n++ {
		owner, err := a.cfg.Ledger.WrittenTo(ctx, a.order.Subscription, a.order.Channel, try)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if name, claimed := a.claimed[try]; (!claimed || name == e.Name) && (err != nil || owner.Name == e.Name) {
			a.claimed[try] = e.Name
			return try, nil
		}
		try = policy.Numbered(path, n)
	}
	return "", fmt.Errorf("%q: %w: %d files have that name; use another name template", e.Name, ErrConflict, maxNumbered)
}
