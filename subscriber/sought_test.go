package subscriber_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/subscriber"
)

// What has just been found has its head last. It is not called stale before somebody
// has answered, or none has for long.
func TestAChannelIsNotCalledStaleBeforeItWasLookedFor(t *testing.T) {
	w, ahead := newWorldOfKind(t, channel.Update)
	w.publish("one", files{"tool": "one"})
	roots, err := w.pubLedger.Roots(t.Context(), w.id, 1, 100, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	manifests, err := w.pubLedger.Manifests(t.Context(), w.id, w.key.Public(), 1, 100, 100, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.ledger.OfferAll(t.Context(), append(roots, manifests...)); err != nil {
		t.Fatal(err)
	}
	// follow follows for a while of simulated time, and returns when it told that the
	// channel is stale, and when it wrote its file.
	follow := func(t *testing.T, sought *atomic.Bool, then func()) (stale, wrote time.Duration) {
		now := time.Now()
		synctest.Test(t, func(t *testing.T) {
			ahead.Store(int64(time.Until(now))) // a bubble begins in the year 2000
			swarm, err := fetch.New(fetch.Config{Store: memstore.New(memstore.Config{})})
			if err != nil {
				t.Fatal(err)
			}
			swarm.Add(w.peer)
			s, err := subscriber.New(subscriber.Config{Ledger: w.ledger, Swarm: swarm, Sought: func(channel.ID) bool { return sought.Load() }})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			order := w.order()
			order.Once = false
			begun := time.Now()
			go func() {
				time.Sleep(10 * time.Second) // simulated
				then()
			}()
			_ = s.Follow(ctx, order, func(e subscriber.Event) {
				switch e.(type) {
				case subscriber.HeldEvent:
					stale = time.Since(begun)
				case subscriber.FileEvent:
					wrote = time.Since(begun)
				}
			})
		})
		return stale, wrote
	}
	var sought atomic.Bool
	if stale, wrote := follow(t, &sought, func() {}); stale < 30*time.Second || wrote != 0 {
		t.Errorf("nobody answers: called stale after %v, written after %v", stale, wrote)
	}
	if stale, wrote := follow(t, &sought, func() { sought.Store(true) }); stale < 10*time.Second || stale > 12*time.Second || wrote != 0 {
		t.Errorf("somebody answers, who has no head: called stale after %v, written after %v", stale, wrote)
	}
	sought.Store(false)
	if stale, wrote := follow(t, &sought, func() { w.sync(); sought.Store(true) }); stale != 0 || wrote == 0 {
		t.Errorf("a head comes: called stale after %v, written after %v", stale, wrote)
	}
}
