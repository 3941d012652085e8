package subscriber_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

// holder is a guest's node, which alone has the guest's blobs, is online, and gives
// nothing: it takes requests and says no word, or lets a byte come now and then.
type holder struct {
	mu    sync.Mutex
	has   map[blobnet.ID]bool
	drips bool
	came  int64
	gives *world // what it gives from at last; nil while it gives nothing
}

func (h *holder) Name() string { return "guest" }

func (h *holder) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	h.mu.Lock()
	has, gives := h.has[id], h.gives
	h.mu.Unlock()
	switch {
	case !has:
		return dst, blobnet.ErrNotFound
	case gives != nil:
		return gives.pubStore.Get(ctx, id, dst)
	}
	<-ctx.Done()
	return dst, ctx.Err()
}

func (h *holder) Came() int64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.drips {
		h.came++
	}
	return h.came
}

// hold makes the guest's node alone have blobs of releases.
func (w *owned) hold(ids ...blobnet.ID) *holder {
	w.lose(ids...)
	h := &holder{has: map[blobnet.ID]bool{}}
	for _, id := range ids {
		h.has[id] = true
	}
	return h
}

// lasting follows in simulated time until a file is there, and says how long that
// took. With gives, the guest's node gives what it has once something was passed over.
func (w *owned) lasting(h *holder, until string, gives bool) (took time.Duration) {
	w.t.Helper()
	w.t.Run("follow", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			swarm, err := fetch.New(fetch.Config{Store: memstore.New(memstore.Config{})}) // as a node's
			if err != nil {
				t.Fatal(err)
			}
			swarm.Add(w.peer)
			swarm.Add(h)
			s, err := subscriber.New(subscriber.Config{Ledger: w.ledger, Swarm: swarm})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			order := w.order()
			order.Once = false
			begun := time.Now()
			err = s.Follow(ctx, order, func(e subscriber.Event) {
				t.Log(time.Since(begun), told([]subscriber.Event{e}))
				if p, ok := e.(subscriber.PassedEvent); ok && gives {
					if p.Message != "nobody gives all of its blobs" {
						t.Error(p.Message)
					}
					h.mu.Lock()
					h.gives = w.world
					h.mu.Unlock()
				}
				if e, ok := e.(subscriber.FileEvent); ok && e.Name == until {
					took = time.Since(begun)
					cancel()
				}
			})
			if took == 0 {
				t.Error(err)
			}
		})
	})
	return took
}

// Whoever may publish in a channel must not hold up the others by a node that is
// online, alone has what he signed, and gives none of it.
func TestAGuestWhoseNodeStallsHoldsUpNoOtherLog(t *testing.T) {
	for name, drips := range map[string]bool{"silent": false, "dripping": true} {
		t.Run(name, func(t *testing.T) {
			w := newOwned(t)
			var ids []blobnet.ID
			for range 8 {
				e := w.ingest(files{fmt.Sprintf("guest %d", len(ids)): fmt.Sprint(len(ids))})
				if _, err := w.pub.Publish(t.Context(), publisher.Release{Channel: w.id, Key: w.guest, Entries: e}); err != nil {
					t.Fatal(err)
				}
				ids = append(ids, e[0].Root.ID)
			}
			w.syncAll()
			w.publish("owner's", files{"owner": "owner"})
			w.sync()
			h := w.hold(ids...)
			h.drips = drips
			if took := w.lasting(h, "owner", false); took > 5*time.Minute {
				t.Errorf("the owner's release came after %v", took)
			}
		})
	}
}

func TestAGuestWhoseNodeStallsBodiesHoldsUpNoOtherLog(t *testing.T) {
	w := newOwned(t)
	var ids []blobnet.ID
	for range 20 {
		r := publisher.Release{Channel: w.id, Key: w.guest, Metadata: longMetadata(), Entries: w.ingest(files{fmt.Sprintf("guest %d", len(ids)): fmt.Sprint(len(ids))})}
		if _, err := w.pub.Publish(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		releases, err := w.pubLedger.Releases(t.Context(), w.id, int64(len(ids)), 0)
		if err != nil || len(releases) != 1 || releases[0].Ref == nil {
			t.Fatal(len(releases), err)
		}
		ids = append(ids, releases[0].Ref.ID)
	}
	w.syncAll()
	w.publish("owner's", files{"owner": "owner"})
	w.sync()
	if took := w.lasting(w.hold(ids...), "owner", false); took > 5*time.Minute {
		t.Errorf("the owner's release came after %v", took)
	}
}

// What was passed over comes when its holder gives it, soon after.
func TestWhatAStallingNodeHasComesWhenItGivesIt(t *testing.T) {
	w := newOwned(t)
	e := w.ingest(files{"guest": "guest"})
	if _, err := w.pub.Publish(t.Context(), publisher.Release{Channel: w.id, Key: w.guest, Entries: e}); err != nil {
		t.Fatal(err)
	}
	w.syncAll()
	if took := w.lasting(w.hold(e[0].Root.ID), "guest", true); took > 5*time.Minute {
		t.Errorf("came after %v", took)
	}
	w.wantTree(files{"guest": "guest"})
}
