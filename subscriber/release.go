package subscriber

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// application is one release on its way into the output folder.
type application struct {
	*follower
	release catalog.Release
	body    *channel.Body
	out     *output
	title   string // of the channel, as far as it is known now

	files   []item // one for each entry that is to be there, sorted by name
	removal []item // one for each file to be deleted
	history map[string][]version

	again bool // it was applied before, and something was left out
	late  bool // with again: what it says was not known then, so that it removes what no later release has decided
	told  bool // with again: that something of it is missing was told

	announced bool // with told: its ManifestEvent was emitted; of the teller
	verdicts  *policy.Judge
	hooked    hooked
	left      []refused
	claimed   map[string]string // path to the name of the entry that gets it
	taken     int64             // bytes of the budget
	gone      []catalog.Written // to be recorded
}

// item is a name that the release changes.
type item struct {
	entry  channel.FileEntry // of a removal only the name
	before *catalog.Written  // what was made of the name before; nil for nothing
	path   string            // below the output, with slashes
	local  string
	info   fs.FileInfo // of what is there, nil for nothing
	stale  bool        // a later release that is known replaces it
	there  bool        // the very file is there
	skip   error       // something is in the way
}

// look compares the release with the channel's view and with what is on disk,
// and changes nothing.
func (a *application) look(ctx context.Context) error {
	removals := a.body.Removals
	if a.again && !a.late {
		removals = nil
	}
	for _, r := range removals {
		it, wanted, err := a.see(ctx, channel.FileEntry{Name: r.Name}, true)
		if err != nil {
			return err
		}
		if wanted && (it.info != nil || it.skip != nil) {
			a.removal = append(a.removal, it)
		}
	}
	for _, e := range a.body.Entries {
		it, wanted, err := a.see(ctx, e, false)
		if err != nil {
			return err
		}
		if wanted {
			a.files = append(a.files, it)
		}
	}
	return a.recall(ctx)
}

// see looks at one name. It is not wanted if the view says otherwise than this
// release, and is not going to be changed by a later one, or has what the later
// one brings already.
func (a *application) see(ctx context.Context, e channel.FileEntry, removal bool) (it item, wanted bool, err error) {
	it.entry = e
	view, err := a.cfg.Ledger.Entry(ctx, a.release.Channel, e.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return it, false, nil // a new root has withdrawn the release
	}
	if err != nil {
		return it, false, err
	}
	switch at := a.release.Position; {
	case view.Position < at:
		return it, false, nil // another log's word stands
	case view.Position > at && view.Removed && !removal:
		return it, false, nil // fetched only to be deleted
	case view.Position > at:
		it.stale = true
	}
	if it.before, err = a.before(ctx, e.Name); err != nil {
		return it, false, err
	}
	switch {
	case a.again && it.stale:
		return it, false, nil
	case removal && it.before != nil && it.before.Gone:
		return it, false, nil // it is not ours any more
	case removal && it.before != nil:
		it.path = it.before.Path
	case removal:
		it.path = e.Name
	case !a.judge(&e, it.before):
		return it, false, nil
	default:
		if it.path, err = a.pathOf(ctx, e, it.before); errors.Is(err, ErrConflict) {
			it.skip = err
			return it, true, nil
		} else if err != nil {
			return it, false, err
		}
	}
	it.local, it.info, err = a.out.inspect(it.path)
	if errors.Is(err, ErrConflict) {
		// A file that this release removes may be what is in the way.
		it.skip = err
		return it, true, nil
	}
	if err != nil || it.info == nil {
		return it, err == nil, err
	}
	if it.stale && !view.Removed {
		newer, err := a.out.isOne(ctx, it.local, it.info, version{view.Size, view.SHA256})
		if err != nil || newer {
			return it, false, err // as after the loss of a cursor
		}
	}
	if !removal {
		it.there, err = a.out.isOne(ctx, it.local, it.info, version{e.Size, e.SHA256})
	}
	return it, err == nil, err
}

// recall finds out what the channel has ever published under the names whose
// files are to be deleted or replaced: only such content is ours.
func (a *application) recall(ctx context.Context) error {
	a.history = map[string][]version{}
	for _, it := range a.removal {
		a.history[it.entry.Name] = nil
	}
	for _, it := range a.files {
		if it.info != nil && !it.there {
			a.history[it.entry.Name] = nil
		}
	}
	if len(a.history) == 0 {
		return nil
	}
	for after := int64(0); ; {
		releases, err := a.cfg.Ledger.Releases(ctx, a.release.Channel, after, 0)
		if err != nil {
			return err
		}
		if len(releases) == 0 {
			return nil
		}
		for _, r := range releases {
			after = r.Position
			if r.Body == nil {
				continue
			}
			for _, e := range r.Body.Entries {
				if versions, ok := a.history[e.Name]; ok {
					a.history[e.Name] = append(versions, version{e.Size, e.SHA256})
				}
			}
		}
	}
}

// remove deletes what the release removes, as far as it is ours.
func (a *application) remove(ctx context.Context) error {
	r := a.release
	for _, it := range a.removal {
		kept := KeptEvent{
			Event: "kept", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Name: it.entry.Name, Path: a.out.full(it.local),
			Message: "the channel removed it, but it is not the file that the channel had published",
		}
		if it.skip != nil {
			a.emit(kept)
			continue
		}
		ours, err := a.out.isOne(ctx, it.local, it.info, a.history[it.entry.Name]...)
		if err != nil {
			return err
		}
		if !ours { // what of it is as it was is served no more all the same
			a.out.forget(ctx, a.cfg.Place, it.local)
			a.leave(it.before)
			a.emit(kept)
			continue
		}
		if err := a.out.remove(it.local); err != nil {
			return fmt.Errorf("removing %s: %w", a.out.full(it.local), err)
		}
		a.out.forget(ctx, a.cfg.Place, it.local)
		a.leave(it.before)
		a.emit(RemovedEvent{Event: "removed", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Name: it.entry.Name, Path: a.out.full(it.local), Reason: a.reasonOf(it.entry.Name)})
	}
	return nil
}

// leave notes that a file is not the subscription's any more.
func (a *application) leave(before *catalog.Written) {
	if before != nil {
		w := *before
		w.Gone, a.freed = true, true
		a.gone = append(a.gone, w)
	}
}

// reasonOf is what the release says of why it removes a name.
func (a *application) reasonOf(name string) string {
	i, ok := slices.BinarySearchFunc(a.body.Removals, name, func(r channel.Removal, name string) int { return strings.Compare(r.Name, name) })
	if !ok {
		return ""
	}
	return a.body.Removals[i].Reason
}

// fetch brings the files. Events are told in the order of names, as soon as all
// before them are settled.
func (a *application) fetch(ctx context.Context) error {
	targets := make([]*target, len(a.files)) // nil for what needs no fetching
	settled, grown := make(chan int, len(a.files)), make(chan int, 1)
	large := map[*target]int{} // index
	as := assembly{swarm: a.cfg.Swarm, place: sieveOf(a.cfg.Place, a.order.KeepBlobs), keep: a.cfg.Place == nil || a.order.KeepBlobs, patience: a.patience(a.again), bound: func(ctx context.Context, n int) (context.Context, func()) {
		return a.bound(ctx, a.release, lookTime*a.cfg.ProbeTimeout, n > 1)
	}, onBytes: func(t *target, n int, _ bool) {
		if i, ok := large[t]; ok && a.pulse.due() {
			select {
			case grown <- i:
			default: // the teller is busy
			}
		}
	}}
	again := reclaimer{a.cfg.Place, a.cfg.Swarm}
	for i := range a.files {
		it := &a.files[i]
		if it.skip != nil { // unless a removal of this release has cleared the way
			if it.path == "" {
				settled <- i
				continue
			}
			if it.local, it.info, it.skip = a.out.inspect(it.path); it.skip != nil && !errors.Is(it.skip, ErrConflict) {
				return it.skip
			}
		}
		if it.there {
			if err := again.reclaim(ctx, it.entry, a.out.absolute(it.local)); err != nil {
				return err
			}
		}
		if it.there || it.skip != nil || it.stale && !a.available(ctx, it) {
			settled <- i
			continue
		}
		targets[i] = &target{
			entry: it.entry, name: it.path, out: a.out, place: a.cfg.Place, ours: append([]version{}, a.history[it.entry.Name]...),
			optional: it.stale, onEnd: func(*target) { settled <- i }, order: inorder{size: it.entry.Size},
			scan: a.scanning(), doubted: a.lacks.blobs[content{a.release.Position, it.entry.Name}],
		}
		as.targets = append(as.targets, targets[i])
		if it.entry.Size >= progressMin {
			large[targets[i]] = i
		}
	}
	a.hooked.order(as.targets)
	if len(as.targets) > 0 { // else it may be another release that goes on
		if err := a.prune(ctx, a.out, as.targets); err != nil {
			return err
		}
	}
	watched, stop := ctx, func() []refusedBody { return nil }
	if len(as.targets) > 0 {
		watched, stop = a.watchful(ctx, as.targets)
	}
	var teller sync.WaitGroup
	teller.Go(func() { a.tellAll(targets, settled, grown) })
	attended, heard := a.attend(watched, a.release, a.again, true)
	err := endOf(attended, as.run(attended))
	heard()
	close(settled)
	teller.Wait()
	for _, r := range stop() {
		a.follower.skip(r.release, "", r.err)
	}
	if errors.Is(err, blobnet.ErrNotFound) && ctx.Err() == nil { // perhaps everybody has let go of it already
		if gone := a.lookForTombstones(ctx, as.targets); errors.Is(gone, errRetracted) {
			err = gone
		}
	}
	if errors.Is(err, blobnet.ErrNotFound) && !errors.Is(err, errRetracted) && a.answered(ctx, err) {
		a.passMissing(targets, err)
		err = nil
	}
	if recordErr := a.record(context.WithoutCancel(ctx), targets, err != nil); err == nil {
		err = recordErr
	}
	return err
}

// tellAll emits what becomes of the files, in order, as their indexes come
// through settled, until it is closed, and how far one is that comes through
// grown.
func (a *application) tellAll(targets []*target, settled, grown <-chan int) {
	done := make([]bool, len(targets))
	next := 0
	for open := true; open; {
		var i int
		select {
		case i, open = <-settled:
			if !open {
				break
			}
			for done[i] = true; next < len(done) && done[next]; next++ {
				a.tell(a.files[next], targets[next])
			}
		case i = <-grown:
			if t := targets[i]; !done[i] {
				local := t.fromStore.Load()
				a.emit(ProgressEvent{
					Event: "progress", Channel: a.release.Channel, Name: t.name, Done: local + t.fromPeers.Load(), Total: t.entry.Size, Local: local,
				})
			}
		}
	}
	for ; next < len(done); next++ { // some were not settled
		if done[next] {
			a.tell(a.files[next], targets[next])
		}
	}
}

// available reports whether the first blob of a file that a later release
// replaces can be had at all; if not, the item says so.
func (a *application) available(ctx context.Context, it *item) bool {
	look, cancel := context.WithTimeout(ctx, a.replaced.patience(a.cfg.ProbeTimeout))
	defer cancel()
	_, err := a.cfg.Swarm.Get(look, it.entry.Root.ID, nil)
	a.replaced.ended(err == nil)
	if err != nil && ctx.Err() == nil {
		it.skip = fmt.Errorf("file %q: %w", it.entry.Name, errGone)
		return false
	}
	return true
}

// errGone: nobody gives the blobs of a file that is of no use any more.
var errGone = fmt.Errorf("replaced by a later release, and nobody has it any more: %w", blobnet.ErrNotFound)

// tell emits what became of one file.
func (a *application) tell(it item, t *target) {
	r, name := a.release, it.entry.Name
	file := FileEvent{
		Event: "file", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Name: name, Size: it.entry.Size, SHA256: it.entry.SHA256,
		Path: a.out.full(it.local), Root: it.entry.Root.ID,
	}
	switch {
	case errors.Is(it.skip, errGone): // no loss: it is not told as an error
		return
	case it.skip != nil:
		a.follower.skip(r, name, it.skip)
		return
	case t == nil:
		a.bring(file)
		return
	case t.said != nil:
		a.tellScanned(it, *t.said)
		return
	case t.err != nil && t.lost && t.optional:
		return
	case t.err != nil && t.lost: // run returns it
		return
	case t.err != nil:
		a.follower.skip(r, name, t.err)
		return
	}
	if t.kept != "" {
		a.emit(KeptEvent{
			Event: "kept", Channel: r.Channel, Log: r.Log, Seq: r.Seq, Name: name, Path: a.out.full(t.kept),
			Message: "the channel has a new file of this name; what was there is not what the channel had published",
		})
	}
	file.FromStore, file.FromPeers = t.fromStore.Load(), t.fromPeers.Load()
	a.bring(file)
}

// bring tells of a file, and of its release before, where that was not done because
// perhaps nothing of it would come.
func (a *application) bring(file FileEvent) {
	if a.told && !a.announced {
		a.announced = true
		a.emit(manifestEvent(a.release, a.body))
	}
	a.emit(file)
}
