package subscriber

import (
	"context"
	"fmt"
	"sync"

	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// Budget is what the followers of one subscription have begun to write into its
// quota and not yet recorded. The zero Budget is ready.
type Budget struct {
	mu    sync.Mutex
	bytes int64 // guarded by mu
}

// take reserves n bytes if they fit beside what is on disk.
func (b *Budget) take(onDisk, n, quota int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n > quota || onDisk+b.bytes > quota-n {
		return false
	}
	b.bytes += n
	return true
}

func (b *Budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.bytes -= n
}

func (b *Budget) used(onDisk int64) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return onDisk + b.bytes
}

// keeping is what the keep rules make of what is on disk and what is to come.
type keeping struct {
	upTo   int64             // releases up to this position are in it
	doomed map[string]int64  // of what is to come: would be let go at once; name to position
	letGo  []catalog.Written // of what is on disk: would be let go once the rest has come; the oldest first
}

// written calls do with every file of the subscription that is its own.
func (f *follower) written(ctx context.Context, do func(catalog.Written)) error {
	for after := ""; ; {
		page, err := f.cfg.Ledger.AllWritten(ctx, f.order.Subscription, f.order.Channel, after, 512)
		if err != nil || len(page) == 0 {
			return err
		}
		for _, w := range page {
			do(w)
		}
		after = page[len(page)-1].Name
	}
}

// plan works out what the keep rules make of releases that are about to be
// applied, so that nothing is fetched only to be let go.
func (f *follower) plan(ctx context.Context, releases func(yield func(catalog.Release) error) error) error {
	f.keeping = keeping{}
	if len(f.rules.Policy.Keep) == 0 {
		return nil
	}
	f.keeping.doomed = map[string]int64{}
	keeper := f.rules.Keeper(f.cfg.Now())
	coming := map[string]policy.Item{}
	err := releases(func(r catalog.Release) error {
		f.keeping.upTo = max(f.keeping.upTo, r.Position)
		if r.Body == nil {
			return nil // it is planned for when its body is here
		}
		judge := f.judgeOf(r, r.Body)
		for i := range r.Body.Entries {
			e := &r.Body.Entries[i]
			if view, err := f.cfg.Ledger.Entry(ctx, r.Channel, e.Name); err != nil || view.Position != r.Position || !judge.File(e).Take() {
				continue // what is to be made of it shows when it is applied
			}
			if w, err := f.before(ctx, e.Name); err != nil || w != nil && w.Gone && w.Position == r.Position {
				continue // it does not come back
			}
			coming[e.Name] = policy.Item{Name: e.Name, Size: e.Size, Issued: r.Manifest.Issued, Position: r.Position}
		}
		return nil
	})
	if err != nil {
		return err
	}
	var there []policy.Item
	onDisk := map[string]catalog.Written{}
	err = f.written(ctx, func(w catalog.Written) {
		if _, replaced := coming[w.Name]; !replaced {
			onDisk[w.Name] = w
			there = append(there, policy.Item{Name: w.Name, Size: w.Size, Issued: w.Issued, Position: w.Position})
		}
	})
	if err != nil {
		return err
	}
	add := func(it policy.Item) {
		for _, gone := range keeper.Add(it) {
			if w, ok := onDisk[gone.Name]; ok {
				f.keeping.letGo = append(f.keeping.letGo, w)
			} else {
				f.keeping.doomed[gone.Name] = gone.Position
			}
		}
	}
	for _, it := range coming {
		there = append(there, it)
	}
	policy.Oldest(there)
	for _, it := range there {
		add(it)
	}
	return nil
}

// sweep lets go of what the keep rules do not keep.
func (f *follower) sweep(ctx context.Context) error {
	err := f.plan(ctx, func(func(catalog.Release) error) error { return nil })
	if err != nil || len(f.keeping.letGo) == 0 {
		return err
	}
	out, err := openOutput(f.order.Output, f.tag())
	if err != nil {
		return err
	}
	defer out.close()
	a := &application{follower: f, out: out}
	for len(f.keeping.letGo) > 0 {
		if _, err := a.letGoFirst(ctx); err != nil {
			return err
		}
	}
	return out.sync()
}

// letGoFirst deletes the first file that is to be let go, if it is as it was
// written, and returns how many bytes that freed in the quota.
func (a *application) letGoFirst(ctx context.Context) (freed int64, err error) {
	w := a.keeping.letGo[0]
	a.keeping.letGo = a.keeping.letGo[1:]
	return int64(w.Size), a.letGo(ctx, w, "it is let go: "+a.rules.WhyGone(w.Name))
}

// dropOther deletes a file whose next version has come under another path.
func (a *application) dropOther(ctx context.Context, w catalog.Written, path string) error {
	return a.drop(ctx, w, "its next version is "+path)
}

// letGo is drop, and forgets the file.
func (a *application) letGo(ctx context.Context, w catalog.Written, why string) error {
	if err := a.drop(ctx, w, why); err != nil {
		return err
	}
	a.freed = true
	w.Gone = true
	return a.cfg.Ledger.Record(ctx, a.order.Subscription, a.order.Channel, catalog.Judged{Written: []catalog.Written{w}})
}

// drop deletes a file that the subscription has written, unless somebody has
// changed it.
func (a *application) drop(ctx context.Context, w catalog.Written, why string) error {
	local, info, err := a.out.inspect(w.Path)
	if err != nil || info == nil {
		return nil // it is not there any more, or something else is
	}
	var r catalog.Release
	if found, err := a.cfg.Ledger.Releases(ctx, a.order.Channel, w.Position-1, 1); err == nil && len(found) == 1 && found[0].Position == w.Position {
		r = found[0]
	}
	ours, err := a.out.isOne(ctx, local, info, version{w.Size, w.SHA256})
	if err != nil {
		return err
	}
	if !ours {
		a.emit(KeptEvent{Event: "kept", Channel: a.order.Channel, Log: r.Log, Seq: r.Seq, Name: w.Name, Path: a.out.full(local),
			Message: "it was to be deleted (" + why + "), but it has been changed"})
		return nil
	}
	if err := a.out.remove(local); err != nil {
		return fmt.Errorf("removing %s: %w", a.out.full(local), err)
	}
	a.out.forget(ctx, a.cfg.Place, local)
	a.emit(RemovedEvent{Event: "removed", Channel: a.order.Channel, Log: r.Log, Seq: r.Seq, Name: w.Name, Path: a.out.full(local), Reason: why})
	return nil
}
