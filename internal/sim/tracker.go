package main

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// tracker says who follows what: a random choice of those that announced it,
// whether they are up or not, honest or not. It is slow, as a DHT is, and
// remembers who is gone, as a DHT does.
type tracker struct {
	found int // peers that one look-up gives
	loss  float64

	mu   sync.Mutex
	rng  *rand.Rand                   // guarded by mu
	sets map[[32]byte][]peer.AddrInfo // guarded by mu
}

func newTracker(o options) *tracker {
	return &tracker{found: o.Found, loss: o.Loss, rng: rand.New(rand.NewPCG(o.Seed, 7)), sets: make(map[[32]byte][]peer.AddrInfo)}
}

func (t *tracker) announce(info peer.AddrInfo, keys ...[32]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, k := range keys {
		if !slices.ContainsFunc(t.sets[k], func(i peer.AddrInfo) bool { return i.ID == info.ID }) {
			t.sets[k] = append(t.sets[k], info)
		}
	}
}

func (t *tracker) find(ctx context.Context, self peer.ID, key [32]byte) iter.Seq[peer.AddrInfo] {
	return func(yield func(peer.AddrInfo) bool) {
		t.mu.Lock()
		wait := 200*time.Millisecond + time.Duration(t.rng.Int64N(int64(800*time.Millisecond)))
		for t.rng.Float64() < t.loss {
			wait += 2 * time.Second
		}
		set := t.sets[key]
		var some []peer.AddrInfo
		for _, i := range t.rng.Perm(len(set)) {
			if set[i].ID != self && len(some) < t.found {
				some = append(some, set[i])
			}
		}
		t.mu.Unlock()
		if pause(ctx, wait) != nil {
			return
		}
		for _, info := range some {
			if !yield(info) {
				return
			}
		}
	}
}

// pause waits for d, or returns ctx's error.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
