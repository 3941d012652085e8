package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func sequence(ids []blobnet.ID) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func itself(id blobnet.ID) Want { return Want{ID: id, Class: blobnet.Foreground} }

func TestEachSpreadsOverPeersAndDeliversAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs, ids := randomBlobs(200, 3000)
		// Each peer has two of three blobs.
		var peers []Peer
		var fakes []*fakePeer
		for i := range 3 {
			var has [][]byte
			for j, b := range blobs {
				if j%3 != i {
					has = append(has, b)
				}
			}
			fakes = append(fakes, peerWith(string(rune('a'+i)), has...))
			fakes[i].get = later(time.Millisecond, fakes[i].get)
			peers = append(peers, fakes[i])
		}
		store := newBlobMap(blobs[:50]...)
		s := newSwarm(t, Config{Store: store}, peers...)
		var local, remote atomic.Int64
		seen := sync.Map{}
		err := Each(t.Context(), s, sequence(ids), itself, func(id blobnet.ID, blob []byte, isLocal bool) error {
			if blobnet.Sum(blob) != id {
				t.Error("wrong bytes")
			}
			if _, twice := seen.LoadOrStore(id, true); twice {
				t.Error("delivered twice")
			}
			if isLocal {
				local.Add(1)
			} else {
				remote.Add(1)
			}
			return nil
		})
		if err != nil || local.Load() != 50 || remote.Load() != 150 {
			t.Errorf("%d local, %d remote: %v", local.Load(), remote.Load(), err)
		}
		for _, p := range fakes {
			if p.requests() < 10 {
				t.Errorf("peer %s was asked %d times", p.name, p.requests())
			}
		}
		// The second run asks for nothing.
		before := fakes[0].requests()
		if err := Each(t.Context(), s, sequence(ids), itself, func(blobnet.ID, []byte, bool) error { return nil }); err != nil {
			t.Error(err)
		}
		if fakes[0].requests() != before {
			t.Error("a second run asks for what is there")
		}
	})
}

func TestEachOfRepeatedBlobsDeliversEveryItem(t *testing.T) {
	b := randomBlob(100, 1)
	ids := make([]blobnet.ID, 50)
	for i := range ids {
		ids[i] = blobnet.Sum(b)
	}
	p := peerWith("p", b)
	n := atomic.Int64{}
	s := newSwarm(t, Config{Store: newBlobMap()}, p)
	err := Each(t.Context(), s, sequence(ids), itself, func(_ blobnet.ID, blob []byte, _ bool) error {
		n.Add(1)
		if !bytes.Equal(blob, b) {
			t.Error("wrong bytes")
		}
		return nil
	})
	if err != nil || n.Load() != 50 || p.requests() != 1 {
		t.Errorf("%d deliveries, %d requests: %v", n.Load(), p.requests(), err)
	}
}

func TestEachHoldsNoMoreThanItMayAndLooksAheadWithinBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pulled := 0
		items := func(yield func(blobnet.ID, error) bool) {
			for {
				pulled++
				if !yield(blobnet.ID{byte(pulled), byte(pulled >> 8), byte(pulled >> 16)}, nil) {
					return
				}
			}
		}
		var peers []Peer
		for i := range 5 {
			peers = append(peers, silentPeer(fmt.Sprint("p", i)))
		}
		s := newSwarm(t, Config{MaxOutstanding: 5 * firstSize}, peers...)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			done <- Each(ctx, s, items, itself, func(blobnet.ID, []byte, bool) error { return nil })
		}()
		synctest.Wait()
		asked := 0
		for _, p := range peers {
			asked += p.(*fakePeer).requests()
		}
		if asked != 5 || pulled != lookahead+1 {
			t.Errorf("%d blobs were asked for, %d items were taken", asked, pulled)
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if s.held != 0 || len(s.flights) != 0 || len(s.asking) != 0 {
			t.Errorf("%d bytes held, %d flights", s.held, len(s.flights))
		}
	})
}

func TestEachAsksInTheOrderOfItems(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs, ids := randomBlobs(300, 10)
		p := peerWith("p", blobs...)
		p.get = later(time.Second, p.get)
		s := newSwarm(t, Config{Window: 4 * firstSize}, p)
		if err := Each(t.Context(), s, sequence(ids), itself, func(blobnet.ID, []byte, bool) error { return nil }); err != nil {
			t.Fatal(err)
		}
		place := make(map[blobnet.ID]int)
		for i, id := range ids {
			place[id] = i
		}
		for i, id := range p.asked {
			// Those asked at the same moment are in any order.
			if d := place[id] - i; d > 32 || d < -32 {
				t.Errorf("item %d was asked for as number %d", place[id], i)
			}
		}
	})
}

func TestEachEndsWithTheFirstError(t *testing.T) {
	blobs, ids := randomBlobs(20, 10)
	s := newSwarm(t, Config{}, peerWith("p", blobs...))
	broken := errors.New("broken")

	err := Each(t.Context(), s, sequence(ids), itself, func(id blobnet.ID, _ []byte, _ bool) error {
		if id == ids[7] {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("of deliver: %v", err)
	}
	items := func(yield func(blobnet.ID, error) bool) {
		_ = yield(ids[0], nil) && yield(blobnet.ID{}, broken)
	}
	if err := Each(t.Context(), s, items, itself, func(blobnet.ID, []byte, bool) error { return nil }); !errors.Is(err, broken) {
		t.Errorf("of items: %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, Config{}, peerWith("p", blobs[1:]...))
		err := Each(t.Context(), s, sequence(ids), itself, func(blobnet.ID, []byte, bool) error { return nil })
		var nf *NotFoundError
		if !errors.As(err, &nf) || nf.ID != ids[0] {
			t.Errorf("of a blob: %v", err)
		}
	})
}

func TestEachDeliversFromAtMostGOMAXPROCSGoroutinesAndDeliverMayGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs, ids := randomBlobs(60, 10)
		s := newSwarm(t, Config{MaxOutstanding: 4 * firstSize, Window: 1}, peerWith("p", blobs...))
		var now, most atomic.Int64
		err := Each(t.Context(), s, sequence(ids[:50]), itself, func(blobnet.ID, []byte, bool) error {
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			<-time.After(time.Second)
			_, err := s.Get(t.Context(), ids[55], nil)
			return err
		})
		if err != nil || most.Load() > int64(runtime.GOMAXPROCS(0)) {
			t.Errorf("%d at once: %v", most.Load(), err)
		}
	})
}

func TestNoMoreIsUnderWayThanRateAndRoundTripCallFor(t *testing.T) {
	for _, c := range []struct {
		rtt        time.Duration
		least, top int64 // of what is asked for at once
	}{{time.Millisecond, 2 << 20, 3 << 20}, {100 * time.Millisecond, 10 << 20, 32 << 20}} {
		synctest.Test(t, func(t *testing.T) {
			all, wants := simBlobs(256)
			g := &gauge{}
			p := gauged{newSimPeer("p", all, newPipe(100e6), c.rtt), g}
			s := newSwarm(t, Config{LeastOutstanding: 3 << 20}, p)
			took := simEach(t, s, wants)
			if most := g.most.Load(); most < c.least || most > c.top {
				t.Errorf("round trip %v: %d MiB were asked for at once", c.rtt, most>>20)
			}
			if least := 256 << 20 * time.Second / 100e6; took > least*7/4 {
				t.Errorf("round trip %v: took %v, at that rate %v", c.rtt, took, least)
			}
		})
	}
}
