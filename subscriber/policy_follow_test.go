package subscriber_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/subscriber"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// picky is a world whose subscription has a policy and a clock.
type picky struct {
	*world
	policy  policy.Policy
	now     time.Time
	sources map[blobnet.ID]int
	hooks   subscriber.Hooks
	title   func(context.Context) string
}

var everything = catalog.EntryFilter{}

func newPicky(t *testing.T, text string) *picky {
	p := &picky{world: newWorld(t), now: time.Now(), title: func(context.Context) string { return "The Channel" }}
	p.want(text)
	return p
}

// want sets the policy of the next run.
func (p *picky) want(text string) {
	p.t.Helper()
	var err error
	if p.policy, err = policy.Parse("filters.json", []byte(text)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *picky) CountSources(_ context.Context, root blobnet.ID, _ int) int { return p.sources[root] }

func (p *picky) follow() error {
	p.t.Helper()
	s, err := subscriber.New(subscriber.Config{Ledger: p.ledger, Blobs: p.store, Swarm: p.swarm, Now: func() time.Time { return p.now }, Sources: p, Hooks: p.hooks})
	if err != nil {
		p.t.Fatal(err)
	}
	order := p.order()
	order.Policy, order.Title = p.policy, p.title
	return s.Follow(p.t.Context(), order, p.emit)
}

func (p *picky) update() {
	p.t.Helper()
	p.sync()
	if err := p.follow(); err != nil {
		p.t.Fatal(err)
	}
}

func (p *picky) wantTold(want ...string) {
	p.t.Helper()
	var got []string
	for _, e := range p.take() {
		switch e := e.(type) {
		case subscriber.PassedEvent:
			got = append(got, fmt.Sprintf("passed %s %d %s", e.Name, e.Files, e.Reason))
		case subscriber.RemovedEvent:
			got = append(got, strings.TrimSpace("removed "+e.Name+" "+strings.SplitN(e.Reason, ":", 2)[0]))
		default:
			got = append(got, told([]subscriber.Event{e})...)
		}
	}
	if !slices.Equal(got, want) {
		p.t.Errorf("told\n  %q, want\n  %q", got, want)
	}
}

// wantTally compares what is counted, as JSON.
func (p *picky) wantTally(want string) {
	p.t.Helper()
	tally, err := p.ledger.Tally(p.t.Context(), p.sub.ID)
	if err != nil {
		p.t.Fatal(err)
	}
	passed := map[string]int{}
	for _, r := range tally.Passed {
		passed[r.Reason] = r.Files
	}
	got, _ := json.Marshal(map[string]any{"files": tally.Files, "bytes": tally.Bytes, "passed": passed})
	if string(got) != want {
		p.t.Errorf("counted %s, want %s", got, want)
	}
}

func TestWhatAFilterLeavesOutIsToldCountedAndNeverFetched(t *testing.T) {
	w := newPicky(t, `{"paths":["*.txt"],"maxSize":100}`)
	p := w.publish("one", files{"a.txt": "a", "b.bin": "b", "large.txt": pattern(200, 1)})
	w.publish("two", files{"c.bin": "c", "d.bin": "d"})
	w.update()
	w.wantTree(files{"a.txt": "a"})
	w.wantTold("manifest 1 one", "passed b.bin 1 paths", "passed large.txt 1 maxSize", "file a.txt", "manifest 2 two", "passed  2 paths")
	w.wantTally(`{"bytes":1,"files":1,"passed":{"maxSize":1,"paths":3}}`)
	entries := map[string]channel.FileEntry{}
	for e, err := range w.pubLedger.Entries(t.Context(), w.id, everything) {
		if err != nil {
			t.Fatal(err)
		}
		entries[e.Name] = e.FileEntry
	}
	releases, err := w.pubLedger.Releases(t.Context(), w.id, 0, 0)
	if err != nil || p.Seq != 1 {
		t.Fatal(err)
	}
	w.peer.mu.Lock()
	defer w.peer.mu.Unlock()
	for _, name := range []string{"b.bin", "large.txt", "c.bin", "d.bin"} {
		if w.peer.asked[entries[name].Root.ID] > 0 {
			t.Errorf("%s was asked for", name)
		}
	}
	if id := releases[1].Manifest.Inventory; id == nil || w.peer.asked[*id] > 0 {
		t.Errorf("the inventory of a release that is left out was asked for")
	}
}

func TestALooserFilterLooksAgainAtWhatWasPassedOverAndAtNothingElse(t *testing.T) {
	w := newPicky(t, `{"paths":["*.txt"]}`)
	w.publish("one", files{"a.txt": "a", "b.bin": "b"})
	w.publish("two", files{"c.bin": "c", "d.txt": "d"})
	w.publish("three", files{"c.bin": "c2"})
	w.update()
	w.wantTree(files{"a.txt": "a", "d.txt": "d"})
	w.take()
	before, err := w.ledger.Cursor(t.Context(), w.sub.ID, w.id)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.out, "a.txt")); err != nil { // the user's wish
		t.Fatal(err)
	}
	w.update()
	w.wantTold()
	w.want(`{"paths":["*.bin","*.txt"],"rate":"10MiB/s"}`)
	w.update()
	w.wantTold("manifest 3 three", "file c.bin", "manifest 1 one", "file b.bin")
	w.wantTree(files{"b.bin": "b", "c.bin": "c2", "d.txt": "d"})
	w.wantTally(`{"bytes":5,"files":4,"passed":{}}`)
	if after, err := w.ledger.Cursor(t.Context(), w.sub.ID, w.id); err != nil || after != before {
		t.Errorf("the cursor went from %d to %d, %v", before, after, err)
	}
	w.want(`{"keywords":["nothing at all"]}`)
	w.publish("four", files{"e.txt": "e"})
	w.update()
	w.wantTold("manifest 4 four", "passed e.txt 1 keywords")
}

func TestReleasesAreListedAloneUntilTheyAreWanted(t *testing.T) {
	w := newPicky(t, `{"autoDownload":false}`)
	w.publish("one", files{"a.txt": "a", "b.txt": "b"})
	w.update()
	w.wantTold("manifest 1 one", "passed  2 autoDownload")
	w.wantTree(files{})
	w.want(`{}`)
	w.update()
	w.wantTold("manifest 1 one", "file a.txt", "file b.txt")
	w.wantTree(files{"a.txt": "a", "b.txt": "b"})
}

func TestWhatDoesNotFitIntoTheQuotaIsLeftOutUntilThereIsRoom(t *testing.T) {
	w := newPicky(t, `{"quota":250}`)
	w.publish("one", files{"a": pattern(100, 1), "b": pattern(100, 2), "c": pattern(100, 3)})
	w.update()
	w.wantTold("manifest 1 one", "passed c 1 quota", "file a", "file b")
	w.wantTally(`{"bytes":200,"files":2,"passed":{"quota":1}}`)
	w.publish("two", files{"a": pattern(150, 4)})
	w.update()
	w.wantTold("manifest 2 two", "file a")
	w.publish("three", nil, "a")
	w.update()
	w.wantTold("manifest 3 three", "removed a", "manifest 1 one", "file c")
	w.wantTree(files{"b": pattern(100, 2), "c": pattern(100, 3)})
	w.wantTally(`{"bytes":200,"files":2,"passed":{}}`)
}

func TestAFullQuotaTakesTheRoomOfWhatIsNotKept(t *testing.T) {
	w := newPicky(t, `{"quota":250,"keep":{"count":2}}`)
	w.publish("one", files{"a": pattern(100, 1)})
	w.update()
	w.publish("two", files{"b": pattern(100, 2)})
	w.update()
	w.take()
	w.publish("three", files{"c": pattern(100, 3)})
	w.update()
	w.wantTold("manifest 3 three", "removed a it is let go", "file c")
	w.publish("four", files{"d": pattern(300, 4)})
	w.update()
	w.wantTold("manifest 4 four", "passed d 1 quota")
	w.wantTree(files{"b": pattern(100, 2), "c": pattern(100, 3)})
}

func TestOnlyWhatTheKeepRulesKeepIsFetchedAndTheRestLetGoUnlessChanged(t *testing.T) {
	w := newPicky(t, `{"keep":[{"path":"daily/*","count":2}]}`)
	for i := range 5 {
		w.publish(fmt.Sprint("day ", i), files{fmt.Sprintf("daily/%d", i): fmt.Sprint("day ", i)})
	}
	w.publish("other", files{"other": "o"})
	w.update()
	w.wantTree(files{"daily/3": "day 3", "daily/4": "day 4", "other": "o"})
	w.wantTally(`{"bytes":11,"files":3,"passed":{"keep":3}}`)
	w.take()
	if err := os.WriteFile(filepath.Join(w.out, "daily/3"), []byte("mine"), 0o644); err != nil {
		t.Fatal(err)
	}
	w.publish("day 5", files{"daily/5": "day 5"})
	w.update()
	w.wantTold("manifest 7 day 5", "file daily/5", "kept daily/3 3")
	w.publish("day 6", files{"daily/6": "day 6"})
	w.update()
	w.wantTold("manifest 8 day 6", "file daily/6", "removed daily/4 it is let go")
	w.wantTree(files{"daily/3": "mine", "daily/5": "day 5", "daily/6": "day 6", "other": "o"})
	w.want(`{"keep":[{"path":"daily/*","count":3}]}`)
	w.update() // what was let go, or is the user's, does not come back; what was never here may
	w.wantTold("manifest 3 day 2", "file daily/2")
}

func TestFilesAreLetGoWhenTheyAreTooOld(t *testing.T) {
	w := newPicky(t, `{"keep":{"age":"1d"}}`)
	w.publish("one", files{"a": "a"})
	w.update()
	w.take()
	w.now = w.now.Add(25 * time.Hour)
	w.update()
	w.wantTold("removed a it is let go")
	w.update()
	w.wantTold()
	w.wantTree(files{})
}

func TestFilesGetTheNamesOfTheTemplateInTheirFolderAlone(t *testing.T) {
	w := newPicky(t, `{"name":"{channel}/{title}{ext}"}`)
	w.publish("../../evil", files{"x/a.txt": "a", "x/b.txt": "b"})
	w.update()
	w.wantTree(files{"The Channel/.._.._evil.txt": "a", "The Channel/.._.._evil (2).txt": "b"})
	w.update() // nothing moves
	w.publish("new", files{"x/a.txt": "a2"})
	w.update()
	w.wantTree(files{"The Channel/new.txt": "a2", "The Channel/.._.._evil (2).txt": "b"})
	w.publish("less", nil, "x/b.txt", "x/a.txt")
	w.update()
	w.wantTree(files{})
	for _, e := range w.take() {
		if e, ok := e.(subscriber.ErrorEvent); ok {
			t.Error(e.Message)
		}
	}
}

// A daemon may follow a channel before it knows anything of it.
func TestATemplateUsesTheTitleThatIsKnownWhenAFileIsPlaced(t *testing.T) {
	w := newPicky(t, `{"name":"{channel}/{file}"}`)
	w.publish("one", files{"a": "a", "b": "b"})
	w.publish("two", files{"c": "c"})
	asked := 0
	w.title = func(context.Context) string {
		if asked++; asked == 1 {
			return "4lzfkq"
		}
		return "The Channel"
	}
	w.update()
	w.wantTree(files{"4lzfkq/a": "a", "4lzfkq/b": "b", "The Channel/c": "c"})
}

func TestAFileThatTooFewHaveWaitsUntilMoreHaveIt(t *testing.T) {
	w := newPicky(t, `{"minSources":2}`)
	w.publish("one", files{"a": "a"})
	w.update()
	w.wantTold("manifest 1 one", "passed a 1 minSources")
	w.update()
	w.wantTold()
	for e, err := range w.pubLedger.Entries(t.Context(), w.id, everything) {
		if err != nil {
			t.Fatal(err)
		}
		w.sources = map[blobnet.ID]int{e.Root.ID: 2}
	}
	w.update()
	w.wantTold("manifest 1 one", "file a")
}

func TestNothingIsDoneOutsideOfTheHours(t *testing.T) {
	w := newPicky(t, `{"hours":"01:00-02:00"}`)
	w.publish("one", files{"a": "a"})
	w.sync()
	w.now = time.Date(2026, 11, 30, 12, 0, 0, 0, time.Local)
	if err := w.follow(); !errors.Is(err, subscriber.ErrHours) {
		t.Errorf("at noon: %v", err)
	}
	if e, ok := w.take()[0].(subscriber.WaitingEvent); !ok || e.Until.Time().Local().Hour() != 1 {
		t.Errorf("told %+v", e)
	}
	w.wantTree(files{})
	w.now = time.Date(2026, 12, 1, 1, 30, 0, 0, time.Local)
	w.update()
	w.wantTree(files{"a": "a"})
}

func TestWhatIsUnderWayWhenTheHoursEndWaitsForTheNext(t *testing.T) {
	w := newPicky(t, `{"hours":"01:00-02:00"}`)
	w.publish("one", files{"a": "a"})
	w.sync()
	var mu sync.Mutex
	now := time.Date(2026, 12, 1, 1, 59, 59, 950e6, time.Local)
	clock := func() time.Time { mu.Lock(); defer mu.Unlock(); return now }
	stuck := stuckPeer(func() { mu.Lock(); defer mu.Unlock(); now = now.Add(time.Second) })
	s, err := subscriber.New(subscriber.Config{Ledger: w.ledger, Blobs: w.store, Swarm: newSwarm(t, w.store, stuck), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	order := w.order()
	order.Policy = w.policy
	err = s.Follow(t.Context(), order, w.emit)
	if !errors.Is(err, subscriber.ErrHours) {
		t.Errorf("got %v", err)
	}
	w.now = time.Date(2026, 12, 2, 1, 0, 0, 0, time.Local)
	w.update()
	w.wantTree(files{"a": "a"})
}

// stuckPeer is asked, and never answers.
type stuckPeer func()

func (stuckPeer) Name() string { return "stuck" }

func (p stuckPeer) Get(ctx context.Context, _ blobnet.ID, dst []byte) ([]byte, error) {
	p()
	<-ctx.Done()
	return dst, ctx.Err()
}

func TestWhatIsWantedLaterAndNobodyHasHoldsUpNothingAndIsTriedAgain(t *testing.T) {
	w := newPicky(t, `{"paths":["*.txt"]}`)
	w.publish("one", files{"a.bin": "a", "b.bin": "b"})
	w.update()
	w.take()
	w.want(`{}`)
	var gone blobnet.ID
	for e, err := range w.pubLedger.Entries(t.Context(), w.id, everything) {
		if err != nil {
			t.Fatal(err)
		}
		gone = e.Root.ID // of b.bin
	}
	w.peer.onGet = func(id blobnet.ID) error {
		if id == gone {
			return blobnet.ErrNotFound
		}
		return nil
	}
	w.publish("two", files{"c.txt": "c"})
	w.sync()
	if err := w.follow(); !errors.Is(err, blobnet.ErrNotFound) {
		t.Errorf("got %v", err)
	}
	w.wantTold("manifest 2 two", "file c.txt", "manifest 1 one", "file a.bin", "passed b.bin 1 missing")
	w.wantTally(`{"bytes":2,"files":2,"passed":{"missing":1}}`)
	w.peer.onGet = nil
	w.update()
	w.wantTold("manifest 1 one", "file b.bin")
	w.wantTally(`{"bytes":3,"files":3,"passed":{}}`)
}

func TestALargeReleaseIsPlannedForOnceItsListIsHere(t *testing.T) {
	w := newPicky(t, `{"keep":{"count":1}}`)
	large := files{}
	for i := range 250 {
		large[fmt.Sprintf("%03d%s", i, strings.Repeat("x", 100))] = fmt.Sprint(i)
	}
	w.publish("large", large)
	w.update()
	got := tree(t, w.out)
	if len(got) != 1 {
		t.Errorf("%d files are there", len(got))
	}
	w.wantTally(`{"bytes":1,"files":1,"passed":{"keep":249}}`)
}
