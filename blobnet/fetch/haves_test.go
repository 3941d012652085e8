package fetch

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestPeersThatHaveEverythingAreAskedOnceWhatTheyHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(128)
		s := newSwarm(t, Config{})
		var peers []*simPeer
		for i := range 4 {
			peers = append(peers, newSimPeer(fmt.Sprint("p", i), all, newPipe(simRate), 5*time.Millisecond))
			s.Add(peers[i])
		}
		simEach(t, s, wants)
		for _, p := range peers {
			if p.haves != 1 {
				t.Errorf("%s was asked %d times", p.name, p.haves)
			}
		}
	})
}

func TestPartialHolderGivesWhatItHasAndIsAskedAgainAsItGrows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(60)
		seeder := newSimPeer("seeder", all, newPipe(2e6), 5*time.Millisecond)
		has := newBlobMap()
		give := func(from, to int) {
			for _, w := range wants[from:to] {
				has.Put(t.Context(), w.ID, all.blobs[w.ID])
			}
		}
		give(40, 45)
		partial := newSimPeer("partial", has, newPipe(20e6), 5*time.Millisecond)
		time.AfterFunc(3*time.Second, func() { give(45, 60) })
		s := newSwarm(t, Config{}, seeder, partial)
		took := simEach(t, s, wants)
		if n := partial.sent() >> 20; n < 15 {
			t.Errorf("the partial holder gave %d of the 20 that it had", n)
		}
		if took > 27*time.Second { // 31 s from the seeder alone, 21 s at best
			t.Errorf("took %v", took)
		}
		if misses := partial.gets - int(partial.sent()>>20); misses > 2 {
			t.Errorf("it was asked for %d blobs that it had not", misses)
		}
		if partial.haves > 2+int(took/leastPoll) {
			t.Errorf("it was asked %d times in %v what it has", partial.haves, took)
		}
		quiet(t, s)
	})
}

func TestWhatAPeerTellsUnaskedIsUsedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs, ids := randomBlobs(1, 1000)
		has := newBlobMap()
		p := &fakePeer{name: "p", get: has.Get}
		s := newSwarm(t, Config{}, p)
		time.AfterFunc(time.Second, func() {
			has.Put(t.Context(), ids[0], blobs[0])
			s.Told("p", ids)
			s.Told("nobody", ids)
		})
		begun := time.Now()
		if _, err := s.Get(t.Context(), ids[0], nil); err != nil || time.Since(begun) != time.Second {
			t.Errorf("took %v: %v", time.Since(begun), err)
		}
	})
}

func TestOneSourceIsReadInOrderAndSeveralFetchersAreNot(t *testing.T) {
	order := func(t *testing.T, partial bool) (outOfPlace int) {
		synctest.Test(t, func(t *testing.T) {
			all, wants := simBlobs(100)
			s := newSwarm(t, Config{Seed: 7}, newSimPeer("seeder", all, newPipe(simRate), 5*time.Millisecond))
			if partial {
				s.Add(newSimPeer("fetcher", newBlobMap(), newPipe(simRate), 5*time.Millisecond))
			}
			place := make(map[blobnet.ID]int)
			for i, w := range wants {
				place[w.ID] = i
			}
			var mu sync.Mutex
			n := 0
			err := Each(t.Context(), s, wanted(wants), asItIs, func(w Want, _ []byte, _ bool) error {
				mu.Lock()
				defer mu.Unlock()
				if d := place[w.ID] - n; d < -8 || d > 8 { // what is kept in memory to be hashed
					outOfPlace++
				}
				n++
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
		return outOfPlace
	}
	if n := order(t, false); n != 0 {
		t.Errorf("%d of 100 came out of order from one source", n)
	}
	if n := order(t, true); n < 50 {
		t.Errorf("only %d of 100 came out of order while another gets the same", n)
	}
}

func TestBansAreBounded(t *testing.T) {
	var b Bans
	for i := range 2 * maxBans {
		b.Ban(fmt.Sprint(i))
	}
	if len(b.peers) > maxBans || !b.Banned(fmt.Sprint(2*maxBans-1)) || b.strike("new") || !b.strike("new") {
		t.Errorf("%d remembered", len(b.peers))
	}
	b.Lift("new")
	if b.Banned("new") {
		t.Error("still banned")
	}
}

func TestWindowFollowsRateAndRoundTrip(t *testing.T) {
	for _, test := range []struct {
		rate        float64
		rtt         time.Duration
		least, most int
	}{
		{100e6, 200 * time.Millisecond, 30 << 20, 64 << 20},
		{20e6, 50 * time.Millisecond, 3 << 20, 6 << 20},
		{20e6, time.Millisecond, 2 << 20, 4 << 20},
		{1e9, 500 * time.Millisecond, 64 << 20, 64 << 20},
	} {
		p := pace{limit: 64 << 20, window: firstWindow}
		p.answered(test.rtt)
		now := time.Now()
		var open []request
		var free time.Time // when the link is
		for range 600 {
			for p.free() {
				open = append(open, p.ask(1<<20, now, likelyRate))
			}
			r := open[0]
			open = open[1:]
			start := r.begun.Add(test.rtt)
			if start.Before(free) {
				start = free
			}
			free = start.Add(time.Duration(float64(1<<20) / test.rate * float64(time.Second)))
			if free.After(now) {
				now = free
			}
			p.over(r)
			p.came(r, 1<<20, now, 0)
		}
		if p.window < test.least || p.window > test.most {
			t.Errorf("%.0f MB/s, %v: window is %.1f MiB, rate %.1f MB/s", test.rate/1e6, test.rtt, float64(p.window)/(1<<20), p.rate/1e6)
		}
		p.shrink()
		for range 40 {
			p.shrink()
		}
		if p.window != 1 || !p.stalled(now.Add(time.Hour)) || p.stalled(now) {
			t.Errorf("window %d after many failures", p.window)
		}
	}
}
