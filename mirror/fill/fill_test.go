package fill

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/mirror/owed"
	"github.com/anonymous-media-library/aml/plugins"
)

var a, b = owed.Of{1}, owed.Of{2}

// there is a plugin that can be made to fail.
type there struct {
	mu    sync.Mutex // guards what follows
	blobs map[blobnet.ID]bool
	down  error               // of everything
	puts  error               // of Put
	bad   map[blobnet.ID]bool // Put and Delete of these fail
	asked int                 // blobs, by Has
	tries int                 // Puts and Deletes
	after func(tries int)     // each try
}

func (p *there) Has(_ context.Context, ids []blobnet.ID) ([]bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(ids) > Batch {
		return nil, errors.New("too many at once")
	}
	out := make([]bool, len(ids))
	for i, id := range ids {
		out[i] = p.blobs[id]
	}
	p.asked += len(ids)
	return out, p.down
}

func (p *there) try(err error, ids ...blobnet.ID) error {
	if p.tries++; p.after != nil {
		p.after(p.tries)
	}
	for _, id := range ids {
		if p.bad[id] {
			err = errors.Join(err, errors.New("this one never works"))
		}
	}
	return errors.Join(p.down, err)
}

func (p *there) Put(_ context.Context, id blobnet.ID, data []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if blobnet.Sum(data) != id {
		return errors.New("other bytes")
	}
	err := p.try(p.puts, id)
	if err == nil {
		p.blobs[id] = true
	}
	return err
}

func (p *there) Delete(_ context.Context, ids []blobnet.ID) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	err := p.try(nil, ids...)
	for _, id := range ids {
		if err == nil {
			delete(p.blobs, id)
		}
	}
	return err
}

func (p *there) set(do func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	do()
}

// did is how many tries there were, and of how many blobs it was asked.
func (p *there) did() (tries, asked int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.tries, p.asked
}

func (p *there) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.blobs)
}

// house is a filler with all that it works on.
type house struct {
	*Filler
	t      *testing.T
	p      *there
	here   *memstore.Store
	ledger *owed.Ledger

	mu      sync.Mutex // guards what follows
	counts  map[owed.Of][]Counts
	known   map[owed.Of]map[int64]bool // releases; whether it is known what counts of them
	broken  error                      // of List
	version int64
	bound   []owed.Of
}

func newHouse(t *testing.T) *house {
	t.Helper()
	ledger, err := owed.Open(t.Context(), filepath.Join(t.TempDir(), "owed.db"))
	if err != nil {
		t.Fatal(err)
	}
	here := memstore.New(memstore.Config{})
	h := &house{t: t, p: &there{blobs: map[blobnet.ID]bool{}, bad: map[blobnet.ID]bool{}}, here: here, ledger: ledger, counts: map[owed.Of][]Counts{}, known: map[owed.Of]map[int64]bool{a: {}, b: {}}, version: 1, bound: []owed.Of{a, b}}
	h.Filler = h.filler()
	return h
}

// filler is a new one, as of a new process.
func (h *house) filler() *Filler {
	return New(Config{Name: "p", Plugin: h.p, Ledger: h.ledger, Here: h.here, Bound: func() ([]owed.Of, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.bound, nil
	}, List: func(_ context.Context, of owed.Of) (Listing, error) {
		h.mu.Lock()
		defer h.mu.Unlock()
		list, err := slices.Clone(h.counts[of]), h.broken
		for r, known := range h.known[of] {
			list = append(list, Counts{Release: r, Whole: known, Unknown: !known})
		}
		return Listing{h.version, func(yield func(Counts, error) bool) {
			for _, c := range list {
				if !yield(c, nil) {
					return
				}
			}
			if err != nil {
				yield(Counts{}, err)
			}
		}}, nil
	}})
}

func blob(i int) ([]byte, blobnet.ID) {
	data := fmt.Appendf(nil, "blob %d", i)
	return data, blobnet.Sum(data)
}

// count has blobs first to last count for a channel, and puts them here.
func (h *house) count(of owed.Of, first, last int, here bool) {
	h.t.Helper()
	var list []Counts
	for i := first; i < last; i++ {
		data, id := blob(i)
		list = append(list, Counts{Release: int64(i / 10), ID: id})
		if here {
			if err := h.here.Put(h.t.Context(), id, data); err != nil {
				h.t.Fatal(err)
			}
		}
	}
	h.mu.Lock()
	h.counts[of] = list
	for _, c := range list {
		h.known[of][c.Release] = true
	}
	h.mu.Unlock()
	h.News(of)
}

// run runs it while do works, in a bubble where time is faked.
func run(t *testing.T, do func(h *house)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.ledger.Close()
		ctx, cancel := context.WithCancel(t.Context())
		var work sync.WaitGroup
		work.Go(func() { h.Run(ctx) })
		do(h)
		cancel()
		work.Wait()
	})
}

// within lets time pass, and then wants so many blobs there and all of them owed no more.
func (h *house) within(d time.Duration, want int) {
	h.t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if got := h.p.count(); got != want {
		h.t.Fatalf("after %v the plugin has %d blobs, want %d; %+v", d, got, want, h.State())
	}
}

func (h *house) owes(put, gone, missing int64) {
	h.t.Helper()
	c, err := h.ledger.Count(h.t.Context(), "p", nil)
	if err != nil || c.Put != put || c.Delete != gone || c.Missing != missing {
		h.t.Fatalf("owed %+v (%v), want %d to put, %d to delete, %d missing", c, err, put, gone, missing)
	}
}

func TestWhatCountsComesToThePluginAndWhatCountsNoMoreGoes(t *testing.T) {
	run(t, func(h *house) {
		h.count(a, 0, 400, true)
		h.within(2*time.Second, 400)
		h.count(b, 390, 450, true) // ten of them are in both channels
		h.within(2*time.Second, 450)
		h.count(a, 50, 80, true)
		h.within(time.Minute, 30+60)
		h.count(b, 0, 0, true)
		h.within(time.Minute, 30)
		h.owes(0, 0, 0)
	})
}

func TestAPluginThatIsAwayForHoursIsFilledWithinMinutesOfItsReturn(t *testing.T) {
	for name, fails := range map[string]func(*there){
		"it is off":       func(p *there) { p.down = plugins.ErrOff },
		"it fails":        func(p *there) { p.down = errors.New("no answer") },
		"it is read-only": func(p *there) { p.puts = errors.New("read-only file system") },
		"it is full":      func(p *there) { p.puts = fmt.Errorf("putting: %w", blobnet.ErrFull) },
	} {
		for _, size := range []int{3, 20} { // fewer and more than make it rest
			if size == 3 && name != "it is read-only" {
				continue
			}
			t.Run(fmt.Sprint(name, " ", size), func(t *testing.T) {
				run(t, func(h *house) {
					h.count(a, 10_000, 10_010, true)
					h.within(time.Second, 10)
					h.p.set(func() { fails(h.p) })
					h.count(a, 0, size, true)
					time.Sleep(2 * time.Hour)
					synctest.Wait()
					if h.State().Why == "" {
						t.Error("nothing says why")
					}
					if tries, _ := h.p.did(); tries > 40*size+16*40 {
						t.Errorf("it was tried %d times", tries)
					}
					h.p.set(func() { h.p.down, h.p.puts = nil, nil })
					h.within(12*time.Minute, size)
					h.owes(0, 0, 0)
					if s := h.State(); s != (State{}) {
						t.Errorf("its state is %+v", s)
					}
				})
			})
		}
	}
}

// Whoever lets a process be started three times within an hour has it turned off: a disk
// that is mounted late would then never be filled.
func TestAPluginWhoseProcessFailsIsStartedTwiceAnHourAtMost(t *testing.T) {
	run(t, func(h *house) {
		h.p.set(func() { h.p.down = fmt.Errorf("no such folder: %w", ErrAway) })
		h.count(a, 0, 20, true)
		var calls []int
		for range 240 {
			time.Sleep(time.Minute)
			_, asked := h.p.did()
			if calls = append(calls, asked/20); len(calls) > 60 && calls[len(calls)-1]-calls[len(calls)-61] > 2 {
				t.Fatalf("it was started more than twice within an hour: %d", calls)
			}
		}
		if calls[239] < 5 || !h.State().Away {
			t.Errorf("it was started %d times in four hours, %+v", calls[239], h.State())
		}
		h.p.set(func() { h.p.down = nil })
		h.within(70*time.Minute, 20)
		h.p.set(func() { h.p.down = ErrAway })
		h.count(a, 0, 30, true)
		h.within(10*time.Second, 20)
		h.p.set(func() { h.p.down = nil })
		h.Changed() // an operator has looked
		h.within(time.Second, 30)
		h.p.set(func() { h.p.puts = errors.New("wrong credentials") })
		h.count(a, 0, 33, true)
		h.within(time.Hour, 30)
		h.p.set(func() { h.p.puts = nil })
		h.Changed()
		h.within(time.Second, 33)
	})
}

func TestOneBlobThatNeverWorksKeepsNoOtherAndIsTriedEverMoreSeldom(t *testing.T) {
	run(t, func(h *house) {
		_, poison := blob(50)
		h.p.set(func() { h.p.bad[poison] = true })
		h.count(a, 0, 70, true)
		h.within(time.Second, 69)
		h.owes(1, 0, 0)
		before, _ := h.p.did()
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if tries, _ := h.p.did(); tries < before+2 || tries > before+24*6+10 {
			t.Errorf("it was tried %d times a day", tries-before)
		}
		h.p.set(func() { h.p.bad = map[blobnet.ID]bool{} })
		h.within(7*time.Hour, 70)

		// The same of one that cannot be deleted.
		h.p.set(func() { h.p.bad[poison] = true })
		h.count(a, 60, 70, true)
		h.within(time.Minute, 11)
		h.owes(0, 1, 0)
		h.p.set(func() { h.p.bad = map[blobnet.ID]bool{} })
		h.within(7*time.Hour, 10)
	})
}

func TestARetractionReachesAPluginThatWasAwayAlsoAfterARestart(t *testing.T) {
	run(t, func(h *house) {
		h.count(a, 0, 20, true)
		h.within(time.Second, 20)
		h.p.set(func() { h.p.down = plugins.ErrOff })
		h.count(a, 10, 20, true)
		h.within(time.Minute, 20)
		h.owes(0, 10, 0)
		h.p.set(func() { h.p.down = nil })
		h.mu.Lock()
		h.bound = nil // nothing is bound any more, but deletions are still owed
		h.mu.Unlock()
		if _, err := h.filler().Push(h.t.Context(), Wish{}, func(Result) {}); err != nil {
			t.Error(err)
		}
		h.within(0, 10)
	})
}

func TestWhatWasBeingPutWhenTheProcessWasKilledIsDeletedWhenItCountsNoMore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.ledger.Close()
		h.count(a, 0, 200, true)
		ctx, kill := context.WithCancel(h.t.Context())
		defer kill()
		h.p.after = func(tries int) {
			if tries == 100 {
				kill() // so that nothing of this is noted
			}
		}
		h.Run(ctx)
		had := h.p.count()
		if c, err := h.ledger.Count(h.t.Context(), "p", nil); err != nil || c.There >= int64(had) {
			t.Fatalf("of %d blobs %d are noted, %v", had, c.There, err)
		}
		h.count(a, 0, 0, true)
		h.Filler = h.filler()
		res, err := h.Push(h.t.Context(), Wish{}, func(Result) {})
		if err != nil || h.p.count() != 0 || res.Put != 0 {
			t.Errorf("%d blobs are left; %+v, %v", h.p.count(), res, err)
		}
		h.owes(0, 0, 0)
	})
}

func TestWhatIsNotHereComesWhenItIs(t *testing.T) {
	run(t, func(h *house) {
		h.count(a, 0, 10, true)
		h.within(time.Second, 10)
		h.count(a, 0, 50, false)
		h.within(time.Hour, 10)
		h.owes(0, 0, 40)
		for i := range 50 {
			data, id := blob(i)
			if err := h.here.Put(h.t.Context(), id, data); err != nil {
				t.Fatal(err)
			}
		}
		h.within(11*time.Minute, 50)
		h.owes(0, 0, 0)
	})
}

func TestOfAReleaseThatCannotBeReadNowNothingIsDeleted(t *testing.T) {
	run(t, func(h *house) {
		h.count(a, 0, 30, true)
		h.within(time.Second, 30)
		h.mu.Lock()
		h.counts[a] = h.counts[a][:5]
		h.known[a][1] = false
		h.mu.Unlock()
		h.News(a)
		h.within(time.Minute, 15) // blobs 0 to 4, and 10 to 19 of the release that is not known
		h.mu.Lock()
		h.broken = errors.New("the catalogue cannot be read")
		h.counts[a] = nil
		h.mu.Unlock()
		h.News(a)
		h.within(2*time.Hour, 15)
		h.mu.Lock()
		h.broken, h.known[a] = nil, map[int64]bool{} // it was lost, and a new one begins
		h.mu.Unlock()
		h.News(a)
		h.within(2*time.Hour, 15)
		h.mu.Lock()
		h.version++ // a root has withdrawn the releases
		h.mu.Unlock()
		h.News(a)
		h.within(time.Minute, 0)
	})
}

func (h *house) lose(n int) {
	h.p.set(func() {
		for id := range h.p.blobs {
			if n--; n >= 0 {
				delete(h.p.blobs, id)
			}
		}
	})
}

func TestWhatAPluginHasLostIsFoundWithinADayAndPutAgain(t *testing.T) {
	run(t, func(h *house) {
		h.count(a, 0, 100, true)
		h.within(time.Second, 100)
		h.lose(70)
		h.within(time.Hour, 30)
		h.within(26*time.Hour, 100)
		if _, asked := h.p.did(); asked > 500 {
			t.Errorf("it was asked about %d blobs", asked)
		}
	})
}

func TestACheckAsksForAllThatThePluginIsSaidToHave(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		defer h.ledger.Close()
		h.count(a, 0, Batch+100, true) // more than it may be asked about at once
		res, err := h.Push(t.Context(), Wish{}, func(Result) {})
		if err != nil || res.Put != Batch+100 {
			t.Fatalf("%+v, %v", res, err)
		}
		h.lose(700)
		res, err = h.Push(t.Context(), Wish{Check: true}, func(Result) {})
		if err != nil || res.Lost != 700 || res.Put != 700 || h.p.count() != Batch+100 {
			t.Errorf("%+v, %v", res, err)
		}
	})
}

func TestAPushTriesAtOnceWhatRestsAndSaysWhatIsLeft(t *testing.T) {
	run(t, func(h *house) {
		h.p.set(func() { h.p.puts = errors.New("read-only") })
		h.count(a, 0, 100, true)
		h.count(b, 100, 110, true)
		h.within(time.Hour, 0)
		res, err := h.Push(h.t.Context(), Wish{}, func(Result) {})
		if err != nil || res.Put != 0 || h.State().Until.IsZero() {
			t.Errorf("%+v, %v", res, err)
		}
		h.owes(110, 0, 0)
		h.p.set(func() { h.p.puts = nil })
		if _, err = h.Push(h.t.Context(), Wish{Only: &b}, func(Result) {}); err != nil {
			t.Error(err)
		}
		if c, err := h.ledger.Count(h.t.Context(), "p", &b); err != nil || c.There != 10 {
			t.Errorf("%+v, %v", c, err)
		}
		h.within(time.Minute, 110)
	})
}

func TestTheEndOfABindingLeavesOrDeletes(t *testing.T) {
	for _, stay := range []bool{true, false} {
		t.Run(fmt.Sprint(stay), func(t *testing.T) {
			run(t, func(h *house) {
				h.count(a, 0, 20, true)
				h.count(b, 15, 30, true)
				h.within(time.Second, 30)
				gone, err := h.End(h.t.Context(), a, stay, func() error {
					h.mu.Lock()
					defer h.mu.Unlock()
					h.bound = []owed.Of{b}
					return nil
				})
				want := map[bool]int{true: 30, false: 15}[stay]
				if err != nil || gone != 30-want {
					t.Errorf("%d, %v", gone, err)
				}
				h.within(time.Minute, want)
				h.owes(0, 0, 0)
			})
		})
	}
}
