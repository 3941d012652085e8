package subscriber_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/subscriber"
)

// inventories returns the ids of the inventories of all releases.
func (w *world) inventories() []blobnet.ID {
	w.t.Helper()
	releases, err := w.pubLedger.Releases(w.t.Context(), w.id, 0, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []blobnet.ID
	for _, r := range releases {
		ids = append(ids, *r.Manifest.Inventory)
	}
	return ids
}

func (w *world) wantKept(ids ...blobnet.ID) {
	w.t.Helper()
	has, err := w.store.Has(w.t.Context(), ids...)
	if err != nil || slices.Contains(has, false) {
		w.t.Errorf("inventories kept: %v, %v", has, err)
	}
}

// lacking lets the peer have all but these blobs.
func (p *peer) lacking(ids ...blobnet.ID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.onGet = func(id blobnet.ID) error {
		if slices.Contains(ids, id) {
			return blobnet.ErrNotFound
		}
		return nil
	}
}

// patient has the swarm wait for blobs that nobody has as long as it does for
// users.
func (w *world) patient(store blobnet.Store) {
	w.t.Helper()
	var err error
	if w.swarm, err = fetch.New(fetch.Config{Store: store, NotFoundRetry: time.Millisecond}); err != nil {
		w.t.Fatal(err)
	}
	w.swarm.Add(w.peer)
}

// followOn follows until the test ends, and returns a channel of the names of
// files that came and a function that ends it sooner.
func (w *world) followOn() (<-chan string, func()) {
	w.t.Helper()
	order := w.order()
	order.Once = false
	ctx, cancel := context.WithCancel(w.t.Context())
	came, done := make(chan string, 100), make(chan struct{})
	s := w.subscriber()
	go func() {
		defer close(done)
		err := s.Follow(ctx, order, func(e subscriber.Event) {
			if f, ok := e.(subscriber.FileEvent); ok {
				came <- f.Name
			}
		})
		if !errors.Is(err, context.Canceled) {
			w.t.Error(err)
		}
	}()
	stop := func() { cancel(); <-done }
	w.t.Cleanup(stop)
	return came, stop
}

func (w *world) wait(came <-chan string, name string) {
	w.t.Helper()
	late := time.After(5 * time.Second)
	for {
		select {
		case got := <-came:
			if got == name {
				return
			}
		case <-late:
			w.t.Fatalf("%s did not come", name)
		}
	}
}

// A publisher may be gone right after its last file: nothing of a file comes
// here before the inventory is asked for.
func TestTheInventoryIsAskedForWithTheFirstBlobs(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"a": pattern(300_000, 1), "b": "b"})
	w.sync()
	inventory := w.inventories()[0]
	asked := make(chan struct{})
	w.peer.onGet = func(id blobnet.ID) error {
		if id == inventory {
			close(asked)
			return nil
		}
		select {
		case <-asked:
			return nil
		case <-time.After(5 * time.Second):
			return errors.New("the inventory was not asked for")
		}
	}
	if err := w.follow(); err != nil {
		t.Fatal(err)
	}
	w.wantKept(inventory)
}

func TestAnInventoryThatNobodyHasHoldsNothingUp(t *testing.T) {
	w := newWorld(t)
	w.patient(w.store)
	// Each would be waited for a second and more: far longer than a busy machine takes.
	const releases, patience = 40, 30 * time.Second
	for i := range releases {
		w.publish("", files{fmt.Sprint(i): fmt.Sprint(i)})
	}
	w.sync()
	w.peer.lacking(w.inventories()...)
	came, stop := w.followOn()
	w.wait(came, fmt.Sprint(releases-1))
	began := time.Now()
	stop()
	if took := time.Since(began); took > patience {
		t.Errorf("Follow took %v to end", took)
	}
	// A run that has to end waits a moment, once.
	w.loseCursor()
	began = time.Now()
	w.update()
	if took := time.Since(began); took > patience {
		t.Errorf("with Once it took %v", took)
	}
}

func TestAnInventoryThatWasNotToBeHadIsFetchedByTheNextFollow(t *testing.T) {
	w := newWorld(t)
	w.publish("one", files{"a": "a"})
	w.publish("two", files{"b": "b"})
	w.peer.lacking(w.inventories()...)
	w.update()
	w.peer.lacking()
	if err := w.follow(); err != nil {
		t.Fatal(err)
	}
	w.wantKept(w.inventories()...)
	w.peer.reset()
	if err := w.follow(); err != nil {
		t.Fatal(err)
	}
	if n := w.peer.reset(); n != 0 {
		t.Errorf("%d blobs were asked for again", n)
	}
}

// watched is a store that tells what is put into it.
type watched struct {
	*memstore.Store
	mu   sync.Mutex // guards want and done
	want blobnet.ID
	done chan struct{}
}

func (s *watched) PutVerified(ctx context.Context, id blobnet.ID, blob []byte) error {
	err := s.Store.PutVerified(ctx, id, blob)
	s.mu.Lock()
	defer s.mu.Unlock()
	if id == s.want {
		close(s.done)
	}
	return err
}

func TestAnInventoryThatWasNotToBeHadIsFetchedWithTheNextRelease(t *testing.T) {
	w := newWorld(t)
	store := &watched{Store: w.store, done: make(chan struct{})}
	w.swarm = newSwarm(t, store, w.peer) // whose patience is short
	w.publish("one", files{"a": "a"})
	w.sync()
	first := w.inventories()[0]
	store.want = first
	tried := make(chan struct{}, 1)
	w.peer.onGet = func(id blobnet.ID) error {
		if id != first {
			return nil
		}
		select {
		case tried <- struct{}{}:
		default:
		}
		return blobnet.ErrNotFound
	}
	came, _ := w.followOn()
	w.wait(came, "a")
	for given := false; !given; { // up: nobody is asked any more
		select {
		case <-tried:
		case <-time.After(300 * time.Millisecond):
			given = true
		}
	}
	w.peer.lacking()
	w.publish("two", files{"b": "b"})
	w.sync()
	w.wait(came, "b")
	select {
	case <-store.done:
	case <-time.After(5 * time.Second):
		t.Fatal("the first release's inventory was not fetched")
	}
}
