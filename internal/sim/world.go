package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/sim/simnet"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// world is everything that is simulated.
type world struct {
	o       options
	say     func(string)
	began   time.Time
	net     *simnet.Net
	tracker *tracker
	watch   *watch

	authors []*author // those whose publishers equivocate last
	honest  []*node
	hostile []*adversary
	byID    map[channel.ID]*author
}

func newWorld(t testing.TB, o options, say func(string)) (*world, error) {
	w := &world{o: o, say: say, began: time.Now(), tracker: newTracker(o), byID: make(map[channel.ID]*author)}
	w.net = simnet.New(simnet.Config{
		Seed: o.Seed, Loss: o.Loss, Lossy: func(p protocol.ID) bool { return p == meshProtocol },
		Latency: w.latency, Uplink: o.Uplink, Silence: 30 * time.Second,
	})
	for i := range o.Channels + o.Forks {
		a := newAuthor(t, i, i >= o.Channels)
		w.authors = append(w.authors, a)
		w.byID[a.ID] = a
	}
	for i := range o.Nodes - o.hostile() {
		n := &node{w: w, number: i, id: nameOf(i)}
		n.follow = w.choose(i)
		w.honest = append(w.honest, n)
	}
	for i, a := range w.authors[:o.Channels] { // the publisher, and one more
		for _, n := range []*node{w.honest[i], w.honest[len(w.honest)-1-i]} {
			if !slices.Contains(n.follow, a) {
				n.follow = append(n.follow, a)
			}
		}
	}
	for i := range o.hostile() {
		number := len(w.honest) + i
		w.hostile = append(w.hostile, newAdversary(w, number, w.choose(number)))
	}
	for _, n := range w.honest {
		for _, a := range n.follow {
			a.followers++
		}
	}
	w.watch = newWatch(w)
	return w, nil
}

// dice is randomness for one purpose, the same in every run with the seed.
func (w *world) dice(number, purpose int) *rand.Rand {
	return rand.New(rand.NewPCG(w.o.Seed, uint64(number)<<8|uint64(purpose)))
}

// choose says which channels a node follows: about Follows of them, the n-th
// with a chance like 1/n.
func (w *world) choose(number int) []*author {
	r := w.dice(number, 1)
	want := 1 + int(r.ExpFloat64()*(w.o.Follows-1)+0.5)
	var weights []float64
	sum := 0.0
	for _, a := range w.authors {
		weight := 1 / float64(a.index+1)
		if a.forked {
			weight = 1 / float64(a.index-w.o.Channels+4)
		}
		weights = append(weights, weight)
		sum += weight
	}
	var out []*author
	for range 50 {
		x := r.Float64() * sum
		for i, weight := range weights {
			if x -= weight; x < 0 {
				if !slices.Contains(out, w.authors[i]) {
					out = append(out, w.authors[i])
				}
				break
			}
		}
		if len(out) >= min(want, len(w.authors)) {
			break
		}
	}
	return out
}

// latency is 10 ms and the distance on a map on which to cross takes 100 ms.
func (w *world) latency(a, b int) time.Duration {
	ra, rb := w.dice(a, 2), w.dice(b, 2)
	dx, dy := ra.Float64()-rb.Float64(), ra.Float64()-rb.Float64()
	far := dx*dx + dy*dy
	root := far
	for range 8 { // Newton's
		root = (root + far/max(root, 1e-9)) / 2
	}
	return 10*time.Millisecond + time.Duration(root*float64(100*time.Millisecond))
}

// run plays all of it, and says what came of it.
func (w *world) run() (*results, error) {
	var mu sync.Mutex
	var failed error
	var lives sync.WaitGroup
	live := func(f func() error) {
		lives.Go(func() {
			if err := f(); err != nil {
				mu.Lock()
				failed = errors.Join(failed, err)
				mu.Unlock()
			}
		})
	}
	end, finish := context.WithCancel(context.Background())
	defer finish()
	live(func() error { w.report(end); return nil })

	// Everybody comes, hostile ones too, and the roots spread.
	crowd := w.dice(0, 6)
	var coming sync.WaitGroup
	for i, n := range w.honest {
		wait := time.Duration(crowd.Int64N(int64(w.o.Warm / 2)))
		coming.Go(func() {
			time.Sleep(wait)
			if err := n.start(false); err != nil {
				live(func() error { return err })
				return
			}
			if i < w.o.Channels {
				_, _ = n.known.OfferAll(end, [][]byte{w.authors[i].Envelope})
			}
		})
	}
	for _, h := range w.hostile {
		wait := time.Duration(crowd.Int64N(int64(w.o.Warm / 2)))
		coming.Go(func() {
			time.Sleep(wait)
			live(func() error { return h.run(end) })
		})
	}
	coming.Wait()
	time.Sleep(time.Until(w.began.Add(w.o.Warm)))

	// Releases, churn, connections that break.
	season, over := context.WithTimeout(context.Background(), w.o.Publish)
	var busy sync.WaitGroup
	for i, n := range w.honest {
		busy.Go(func() {
			var err error
			if i < w.o.Channels {
				err = n.career(season, w.authors[i])
			} else {
				err = n.churn(season)
			}
			if err != nil {
				live(func() error { return fmt.Errorf("%s: %w", n.id, err) })
			}
		})
		live(func() error { n.breaks(end); return nil })
	}
	busy.Wait()
	over()
	time.Sleep(time.Until(w.began.Add(w.o.Warm + w.o.Publish + w.o.Settle)))

	r := w.watch.results()
	var leaving sync.WaitGroup
	for _, n := range w.honest {
		leaving.Go(func() {
			if err := n.stop(false); err != nil {
				live(func() error { return err })
			}
		})
	}
	leaving.Wait()
	finish()
	lives.Wait()
	return r, failed
}

// report tells once a simulated minute how far the simulation is, and keeps
// the most memory that was in use.
func (w *world) report(ctx context.Context) {
	for {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		w.watch.memory(m.Sys)
		w.say(fmt.Sprintf("%5s  %s, %d goroutines, %d MiB", time.Since(w.began).Round(time.Second), w.watch.line(), runtime.NumGoroutine(), m.Sys>>20))
		if pause(ctx, time.Minute) != nil {
			return
		}
	}
}
