package fetch

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// gauge counts the bytes that are asked for over all peers that share it.
type gauge struct{ now, most atomic.Int64 }

func (g *gauge) add(n int64) {
	now := g.now.Add(n)
	for most := g.most.Load(); now > most && !g.most.CompareAndSwap(most, now); most = g.most.Load() {
	}
}

// gauged is a simPeer whose requests are counted.
type gauged struct {
	*simPeer
	g *gauge
}

func (p gauged) GetMetered(ctx context.Context, id blobnet.ID, dst []byte, came *atomic.Int64) ([]byte, error) {
	p.g.add(1 << 20)
	defer p.g.add(-1 << 20)
	return p.simPeer.GetMetered(ctx, id, dst, came)
}

func TestSwarmsThatShareABudgetHoldNoMoreThanItTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const max = 16 << 20
		all, wants := simBlobs(12)
		budget, g, up := NewBudget(max), &gauge{}, newPipe(100e6)
		var work sync.WaitGroup
		var swarms []*Swarm
		for i := range 40 {
			s := newSwarm(t, Config{Budget: budget}, gauged{newSimPeer(fmt.Sprint("p", i), all, up, 10*time.Millisecond), g})
			swarms = append(swarms, s)
			if i%2 == 0 {
				work.Go(func() { simEach(t, s, wants) })
				continue
			}
			for _, w := range wants {
				work.Go(func() {
					if _, err := s.Fetch(t.Context(), w, nil); err != nil {
						t.Error(err)
					}
				})
			}
		}
		work.Wait()
		synctest.Wait()
		if most := g.most.Load(); most > max || most < max/2 {
			t.Errorf("%d MiB were asked for at once", most>>20)
		}
		for _, s := range swarms {
			quiet(t, s)
		}
	})
}

func TestADeliverFunctionMayGetABlobWhileEachesHoldAllTheyMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(64)
		budget := NewBudget(8 << 20)
		var work sync.WaitGroup
		for i := range 3 {
			s := newSwarm(t, Config{Budget: budget}, newSimPeer(fmt.Sprint("p", i), all, newPipe(simRate), time.Millisecond))
			work.Go(func() {
				err := Each(t.Context(), s, wanted(wants[:32]), asItIs, func(w Want, _ []byte, _ bool) error {
					_ = delay(t.Context(), time.Second) // until all is held
					_, err := s.Fetch(t.Context(), wants[32+i], nil)
					return err
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		work.Wait()
	})
}

func TestSwarmWhosePeersGiveNothingLeavesOthersMostOfTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(64)
		alone := simEach(t, newSwarm(t, Config{}, newSimPeer("alone", all, newPipe(simRate), 50*time.Millisecond)), wants)
		budget := NewBudget(16 << 20)
		ctx, cancel := context.WithCancel(t.Context())
		var stuck sync.WaitGroup
		for i := range 3 {
			s := newSwarm(t, Config{Budget: budget}, silentPeer(fmt.Sprint("silent", i)))
			stuck.Go(func() { _ = Each(ctx, s, wanted(wants), asItIs, func(Want, []byte, bool) error { return nil }) })
		}
		synctest.Wait()
		took := simEach(t, newSwarm(t, Config{Budget: budget}, newSimPeer("p", all, newPipe(simRate), 50*time.Millisecond)), wants)
		if took > alone*3/2 {
			t.Errorf("took %v beside those that are stuck, %v alone", took, alone)
		}
		cancel()
		stuck.Wait()
	})
}

func TestSwarmThatComesLaterGetsItsShareOfTheBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// What one may get in a time is what it holds by the round trip.
		all, wants := simBlobs(256)
		budget := NewBudget(16 << 20)
		var first, second time.Duration
		var work sync.WaitGroup
		work.Go(func() {
			first = simEach(t, newSwarm(t, Config{Budget: budget}, newSimPeer("a", all, newPipe(1e9), time.Second)), wants)
		})
		work.Go(func() {
			_ = delay(t.Context(), 10*time.Second)
			second = simEach(t, newSwarm(t, Config{Budget: budget}, newSimPeer("b", all, newPipe(1e9), time.Second)), wants)
		})
		work.Wait()
		if second > 2*first {
			t.Errorf("the first took %v, the second %v", first, second)
		}
	})
}
