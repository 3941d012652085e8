package subscriber_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
	"github.com/anonymous-media-library/aml/subscriber/policy"
)

// slow is a guest's node under an upload limit, which all that it sends at a time
// shares, in simulated time.
type slow struct {
	src  blobnet.Source
	rate int64 // bytes per second
	// without is how long it has none of its blobs.
	without time.Duration
	onEvent func(subscriber.Event) // of who follows; may be nil

	mu     sync.Mutex // guards what follows
	begun  time.Time
	active int64
	sent   int64
}

func (s *slow) Name() string { return "guest" }

func (s *slow) Came() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sent
}

func (s *slow) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return s.GetMetered(ctx, id, dst, new(atomic.Int64))
}

func (s *slow) GetMetered(ctx context.Context, id blobnet.ID, dst []byte, came *atomic.Int64) ([]byte, error) {
	s.mu.Lock()
	if s.begun.IsZero() {
		s.begun = time.Now()
	}
	early := time.Since(s.begun) < s.without
	s.mu.Unlock()
	if early {
		return dst, blobnet.ErrNotFound
	}
	blob, err := s.src.Get(ctx, id, nil)
	if err != nil {
		return dst, err
	}
	s.share(1)
	defer s.share(-1)
	for left := int64(len(blob)); left > 0; {
		t := time.NewTimer(time.Second)
		select {
		case <-ctx.Done():
			return dst, ctx.Err()
		case <-t.C:
		}
		n := s.send(left)
		came.Add(n)
		left -= n
	}
	return append(dst, blob...), nil
}

func (s *slow) share(n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.active += n
}

func (s *slow) send(left int64) int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(left, s.rate/s.active)
	s.sent += n
	return n
}

// largeFile publishes a file in chunks of 1 MiB as the guest, which the publisher's
// node does not have.
func (w *owned) largeFile(name string, size int) {
	w.t.Helper()
	w.largeFileOf(w.guest, name, size)
}

func (w *owned) largeFileOf(key channel.PrivateKey, name string, size int) {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(pattern(size, 3)), 0o644); err != nil {
		w.t.Fatal(err)
	}
	r, err := w.pub.FromDraft(w.t.Context(), publisher.DraftSpec{Draft: channel.Draft{Entries: []channel.DraftEntry{{Path: dir}}}, ChunkSize: 1 << 20})
	if err == nil {
		_, err = w.pub.Publish(w.t.Context(), publisher.Release{Channel: w.id, Key: key, Entries: r.Entries})
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// slowly follows in simulated time until all files are there, and returns when each
// came, and what else was told.
func (w *owned) slowly(guest *slow, files ...string) (came map[string]time.Duration, passed []string) {
	w.t.Helper()
	return w.slowlyInto(subscriber.Config{}, policy.Policy{}, guest, files...)
}

// slowlyInto is slowly with more of a configuration, and by a policy.
func (w *owned) slowlyInto(cfg subscriber.Config, rules policy.Policy, guest *slow, files ...string) (came map[string]time.Duration, passed []string) {
	w.t.Helper()
	came = map[string]time.Duration{}
	w.t.Run("follow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var store blobnet.Store = memstore.New(memstore.Config{})
			if cfg.Place != nil {
				store = cfg.Place.(blobnet.Store) // which keeps whole chunks in the file alone
			}
			swarm, err := fetch.New(fetch.Config{Store: store, LeastOutstanding: 2<<20 + 128})
			if err != nil {
				t.Fatal(err)
			}
			owner := &peer{Source: memstore.New(memstore.Config{}), asked: map[blobnet.ID]int{}}
			swarm.Add(named{owner, "owner"})
			swarm.Add(guest)
			cfg.Ledger, cfg.Swarm = w.ledger, swarm
			s, err := subscriber.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
			defer cancel()
			order := w.order()
			order.Once, order.Policy = false, rules
			begun := time.Now()
			err = s.Follow(ctx, order, func(e subscriber.Event) {
				if _, ok := e.(subscriber.ProgressEvent); ok {
					return
				}
				t.Log(time.Since(begun), told([]subscriber.Event{e}))
				if guest.onEvent != nil {
					guest.onEvent(e)
				}
				switch e := e.(type) {
				case subscriber.FileEvent:
					if came[e.Name] = time.Since(begun); !slices.ContainsFunc(files, func(name string) bool { return came[name] == 0 }) {
						cancel()
					}
				case subscriber.PassedEvent:
					passed = append(passed, e.Reason+" "+e.Name)
				}
			})
			if len(came) < len(files) {
				t.Error(came, err)
			}
		})
	})
	return came, passed
}

type named struct {
	fetch.Peer
	name string
}

func (n named) Name() string { return n.name }

// Who gives 24 KiB/s is neither missing nor asked for the same again and again; and
// others wait no longer than for his turn.
func TestASlowPublishersFileIsUnderWayAndComes(t *testing.T) {
	w := newOwned(t)
	const size = 6 << 20
	w.largeFile("big", size)
	w.syncAll()
	w.publish("owner's", files{"urgent": "urgent"})
	w.sync()
	guest := &slow{src: w.pubStore, rate: 24 << 10}
	came, told := w.slowly(guest, "urgent", "big")
	if !slices.Equal(told, []string{"underway big"}) {
		t.Errorf("told %q", told)
	}
	if came["urgent"] > 3*time.Minute {
		t.Errorf("the owner's came after %v", came["urgent"])
	}
	if guest.sent > size+4<<20 {
		t.Errorf("%d bytes were sent for %d", guest.sent, size)
	}
}

// What was missing is heard out when it comes at last, however long one blob takes.
func TestASlowPublisherIsHeardOutWhenHeHasWhatWasMissing(t *testing.T) {
	for _, rate := range []int64{24 << 10, 8 << 10} {
		t.Run(fmt.Sprint(rate), func(t *testing.T) {
			w := newOwned(t)
			w.largeFile("big", 3<<20)
			w.syncAll()
			guest := &slow{src: w.pubStore, rate: rate, without: time.Minute}
			came, told := w.slowly(guest, "big")
			if !slices.Equal(told, []string{"missing big"}) || came["big"] > time.Hour || guest.sent > 5<<20 {
				t.Errorf("after %v, told %q, %d bytes were sent", came["big"], told, guest.sent)
			}
		})
	}
}

// However many large files a guest gives at a rate that is not slow, others have
// their turns.
func TestAGuestWhoGivesJustEnoughHoldsUpNoOtherLog(t *testing.T) {
	w := newOwned(t)
	for n := range 6 {
		w.largeFile(fmt.Sprint("big ", n), 3<<20)
	}
	w.syncAll()
	w.publish("owner's", files{"urgent": "urgent"})
	w.sync()
	came, told := w.slowly(&slow{src: w.pubStore, rate: 17 << 10}, "urgent")
	if came["urgent"] > 5*time.Minute {
		t.Errorf("the owner's came after %v, told %q", came["urgent"], told)
	}
	if slices.ContainsFunc(told, func(s string) bool { return s[:8] != "underway" }) {
		t.Errorf("told %q", told)
	}
}

// What is under way gives way to news once it has had its turn, and two of which
// each would take long come side by side.
// What is put aside has no room in a quota: it would be dropped, and never come.
func TestLargeFilesComeInAQuotaOneAfterTheOther(t *testing.T) {
	w := newOwned(t)
	const size = 12 << 20
	w.largeFileOf(w.key, "owner's", size)
	w.sync()
	w.largeFile("guest's", size)
	w.syncAll()
	store, err := inplace.Open(t.Context(), inplace.Config{Inner: memstore.New(memstore.Config{}), Path: filepath.Join(t.TempDir(), "inplace.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	guest := &slow{src: w.pubStore, rate: 64 << 10}
	came, told := w.slowlyInto(subscriber.Config{Place: store.Sieve()}, policy.Policy{Quota: 1 << 30}, guest, "owner's", "guest's")
	if len(told) > 0 || max(came["owner's"], came["guest's"]) > 15*time.Minute {
		t.Errorf("they came after %v, told %q", came, told)
	}
	if guest.sent > 3*size {
		t.Errorf("%d bytes were asked for, of %d", guest.sent, 2*size)
	}
}

func TestWhatIsUnderWayTakesTurns(t *testing.T) {
	w := newOwned(t)
	now := time.Now() // another than in simulated time
	ledger, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db"), Now: func() time.Time { return now.Add(time.Minute) }})
	if err != nil {
		t.Fatal(err)
	}
	defer ledger.Close()
	w.ledger = ledger
	w.subscribe()
	w.largeFile("guest's", 8<<20)
	w.syncAll()
	w.largeFileOf(w.key, "owner's", 8<<20)
	w.sync()
	w.publish("news", files{"news": "news"})
	guest := &slow{src: w.pubStore, rate: 32 << 10}
	var published time.Time
	var took time.Duration
	guest.onEvent = func(e subscriber.Event) {
		switch e := e.(type) {
		case subscriber.PassedEvent:
			if e.Name == "owner's" { // both are looked at again and again from now on
				go func() {
					<-time.After(15 * time.Second)
					published = time.Now()
					w.sync()
				}()
			}
		case subscriber.FileEvent:
			if e.Name == "news" {
				took = time.Since(published)
			}
		}
	}
	came, told := w.slowly(guest, "guest's", "owner's", "news")
	if !slices.Equal(told, []string{"underway guest's", "underway owner's"}) {
		t.Errorf("told %q", told)
	}
	if took > 3*time.Minute {
		t.Errorf("the news came after %v", took)
	}
	if apart := (came["guest's"] - came["owner's"]).Abs(); apart > 5*time.Minute || max(came["guest's"], came["owner's"]) > 20*time.Minute {
		t.Errorf("they came %v apart: %v", apart, came)
	}
}
