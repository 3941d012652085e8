package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// quiet fails the test if s holds anything or asks for anything.
func quiet(t *testing.T, s *Swarm) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	waits := 0
	for i := range s.queues {
		waits += s.queues[i].len
	}
	if s.held != 0 || s.cfg.Budget.Held() != 0 || len(s.flights)+len(s.asking)+len(s.checks)+len(s.local)+waits != 0 || s.waste.reserved != 0 || s.reading != 0 {
		t.Errorf("%d bytes held, %d flights, %d asked for, %d waiting, %d bytes reserved", s.held, len(s.flights), len(s.asking), waits, s.waste.reserved)
	}
	for _, m := range s.members {
		if m.out != 0 || m.open != 0 {
			t.Errorf("%d bytes are asked of %s", m.out, m.name)
		}
	}
}

// boaster says that it has everything, and has nothing.
type boaster struct{ *fakePeer }

func (b boaster) Have(_ context.Context, ids []blobnet.ID) ([]bool, error) {
	has := make([]bool, len(ids))
	for i := range has {
		has[i] = true
	}
	return has, nil
}

func TestPeerThatClaimsEverythingCostsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(64)
		b := boaster{peerWith("boaster")}
		b.get = later(10*time.Millisecond, b.get)
		s := newSwarm(t, Config{}, b, simRanger{newSimPeer("good", all, newPipe(simRate), 10*time.Millisecond)})
		took := simEach(t, s, wants)
		if took > 4500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		if n := b.requests(); n > len(wants)+8 {
			t.Errorf("the boaster was asked %d times", n)
		}
		quiet(t, s)
	})
}

func TestAllKindsOfBadPeersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(64)
		stalls := silentPeer("stalls")
		s := newSwarm(t, Config{},
			stalls, peerThat("lies", blobnet.ErrCorrupt), peerThat("breaks rules", misbehaviour{}), peerThat("fails", errors.New("no")),
			peerThat("busy", blobnet.ErrBusy), boaster{peerWith("boasts")},
			simRanger{newSimPeer("slow", all, newPipe(50e3), 10*time.Millisecond)},
			simRanger{newSimPeer("good", all, newPipe(simRate), 10*time.Millisecond)})
		took := simEach(t, s, wants)
		if took > 5*time.Second {
			t.Errorf("took %v", took)
		}
		for _, name := range []string{"stalls", "slow", "fails", "busy", "boasts", "good"} {
			if s.members[name] == nil {
				t.Errorf("%s is not asked any more", name)
			}
		}
		if s.cfg.Bans.Banned("slow") || s.cfg.Bans.Banned("stalls") || !s.cfg.Bans.Banned("breaks rules") {
			t.Errorf("banned: %v", s.cfg.Bans.List())
		}
		quiet(t, s)
	})
}

func TestPeersThatLeaveAndCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(96)
		s := newSwarm(t, Config{})
		for i := range 3 {
			s.Add(simRanger{newSimPeer(fmt.Sprint("p", i), all, newPipe(simRate), 5*time.Millisecond)})
		}
		ctx, cancel := context.WithCancel(t.Context())
		var churn sync.WaitGroup
		churn.Go(func() {
			for i := 3; delay(ctx, 100*time.Millisecond) == nil; i++ {
				s.Remove(fmt.Sprint("p", i-3))
				s.Add(simRanger{newSimPeer(fmt.Sprint("p", i), all, newPipe(simRate), 5*time.Millisecond)})
			}
		})
		took := simEach(t, s, wants)
		cancel()
		churn.Wait()
		if took > 4*time.Second { // 1.7 s if nobody left
			t.Errorf("took %v", took)
		}
		quiet(t, s)
	})
}

func TestCancelDuringARaceEndsAllOfIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := silentPeer("a"), silentPeer("b")
		s := newSwarm(t, Config{}, a, b)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() {
			_, err := s.Fetch(ctx, Want{ID: blobnet.ID{1}, Tree: [32]byte{1}, Size: 1 << 20, Class: blobnet.Stream}, nil)
			done <- err
		}()
		<-time.After(5 * time.Second)
		if a.underWay() != 1 || b.underWay() != 1 {
			t.Errorf("%d and %d requests", a.underWay(), b.underWay())
		}
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if a.underWay()+b.underWay() != 0 {
			t.Error("requests are still under way")
		}
		quiet(t, s)
	})
}

func TestNeverMoreThanThreeAreAskedForOneBlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var peers []Peer
		for i := range 8 {
			peers = append(peers, silentPeer(fmt.Sprint(i)))
		}
		s := newSwarm(t, Config{}, peers...)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		go s.Get(ctx, blobnet.ID{1}, nil)
		for ctx.Err() == nil {
			<-time.After(time.Second)
			n := 0
			for _, p := range peers {
				n += p.(*fakePeer).underWay()
			}
			if n > maxCopies {
				t.Fatalf("%d are asked", n)
			}
		}
	})
}

// lyingRanger gives wrong parts, as the check of the proof finds.
type lyingRanger struct {
	*simPeer
	parts *int
}

func (l lyingRanger) GetRange(_ context.Context, _ blobnet.ID, _ blobnet.Range, dst []byte) ([]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	*l.parts++
	return dst, blobnet.ErrCorrupt
}

func TestWrongPartsAreBlamedOnWhoSentThemOnceAnotherGivesRightOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(8)
		liar := lyingRanger{newSimPeer("liar", newBlobMap(), newPipe(1e9), time.Millisecond), new(int)}
		s := newSwarm(t, Config{}, liar, simRanger{newSimPeer("good", all, newPipe(1e6), 50*time.Millisecond)})
		for _, w := range wants {
			got, err := s.FetchRange(t.Context(), w, 1000, 1000, nil)
			if err != nil || !bytes.Equal(got, all.blobs[w.ID][1000:2000]) {
				t.Fatal(err)
			}
		}
		if got := s.Peers(); len(got) != 1 || got[0] != "good" || !s.cfg.Bans.Banned("liar") {
			t.Errorf("peers %v", got)
		}
	})
}

func TestPeerThatSentOneWrongPartIsNotAskedForOthersOfThatBlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(1)
		liar := lyingRanger{newSimPeer("liar", newBlobMap(), newPipe(1e9), time.Millisecond), new(int)}
		good := simRanger{newSimPeer("good", all, newPipe(1e6), 2*time.Second)} // never the first to be asked
		s := newSwarm(t, Config{}, liar, good)
		for offset := 1000; offset < 500_000; offset += 100_000 {
			if _, err := s.FetchRange(t.Context(), wants[0], offset, 1000, nil); err != nil {
				t.Fatal(err)
			}
		}
		if *liar.parts != 1 || s.cfg.Bans.Banned("liar") {
			t.Errorf("the liar was asked for %d parts", *liar.parts)
		}
	})
}

// meter is a Limiter of so many bytes per second.
type meter struct {
	mu   sync.Mutex
	rate float64
	free time.Time
	only blobnet.Class
	took int64
}

func (l *meter) Take(_ string, class blobnet.Class, n int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if class != l.only {
		return 0
	}
	now := time.Now()
	if wait := l.free.Sub(now); wait > 0 {
		return wait
	}
	l.free = now.Add(time.Duration(float64(n) / l.rate * float64(time.Second)))
	l.took += int64(n)
	return 0
}

func TestDownloadLimiterIsKeptByNotAskingAndHoldsUpNoOtherClass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(16)
		l := &meter{rate: 2e6, only: blobnet.Foreground}
		p := newSimPeer("p", all, newPipe(100e6), 10*time.Millisecond)
		s := newSwarm(t, Config{Download: l}, simRanger{p})
		var wg sync.WaitGroup
		wg.Go(func() {
			if took, least := simEach(t, s, wants[:12]), 11*(1<<20)/2e6; took.Seconds() < least || took.Seconds() > 1.1*least+0.1 {
				t.Errorf("took %v, limited to %.1f s", took, least)
			}
		})
		<-time.After(time.Second)
		begun := time.Now()
		w := wants[14]
		w.Class = blobnet.Stream
		if _, err := s.Fetch(t.Context(), w, nil); err != nil || time.Since(begun) > 100*time.Millisecond {
			t.Errorf("a reader waited %v: %v", time.Since(begun), err)
		}
		wg.Wait()
		if l.took != 12<<20 {
			t.Errorf("%d bytes were taken", l.took)
		}
		quiet(t, s)
	})
}

// never is a Limiter that gives one class nothing.
type never blobnet.Class

func (l never) Take(_ string, class blobnet.Class, _ int) time.Duration {
	if class == blobnet.Class(l) {
		return time.Hour
	}
	return 0
}

func TestClassThatGetsNothingHoldsUpNoOtherWhenAPeerComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(2)
		s := newSwarm(t, Config{Download: never(blobnet.Foreground), StallTimeout: time.Minute})
		ctx, cancel := context.WithCancel(t.Context())
		var waits sync.WaitGroup
		waits.Go(func() { _, _ = s.Get(ctx, wants[0].ID, nil) })
		waits.Go(func() {
			defer cancel()
			if _, err := s.Fetch(ctx, Want{ID: wants[1].ID, Class: blobnet.Repair}, nil); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		begun := time.Now()
		s.Add(newSimPeer("p", all, newPipe(10e6), time.Millisecond))
		waits.Wait()
		if took := time.Since(begun); took > time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// without is a Limiter that gives one peer nothing.
type without string

func (l without) Take(peer string, _ blobnet.Class, _ int) time.Duration {
	if peer == string(l) {
		return time.Hour
	}
	return 0
}

func TestReaderDoesNotWaitForAFastPeerThatTheLimiterHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(1)
		limit := without("fast")
		fast := newSimPeer("fast", all, newPipe(100e6), 5*time.Millisecond)
		slow := newSimPeer("slow", all, newPipe(1e6), time.Millisecond)
		s := newSwarm(t, Config{Download: limit}, fast, slow)
		s.mu.Lock()
		s.members["fast"].rate, s.members["slow"].rate = 100e6, 1e6
		s.mu.Unlock()
		w := wants[0]
		w.Class = blobnet.Stream
		begun := time.Now()
		if _, err := s.Fetch(t.Context(), w, nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestUrgentGoesFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs, ids := randomBlobs(9, 1000)
		p := peerWith("p", blobs...)
		p.get = later(time.Second, p.get)
		s := newSwarm(t, Config{Window: 1}, p) // or chance would order those asked for at the same time
		names := make(map[blobnet.ID]string)
		var wg sync.WaitGroup
		get := func(name string, w Want) {
			names[w.ID] = name
			wg.Go(func() {
				if _, err := s.Fetch(t.Context(), w, nil); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		get("first", Want{ID: ids[0], Size: 1 << 20})
		get("first", Want{ID: ids[1], Size: 1 << 20})
		for i, id := range ids[2:5] {
			class := blobnet.Class(3 - i)
			get(class.String(), Want{ID: id, Class: class, Size: 2 << 20})
		}
		due := time.Now().Add(time.Hour)
		get("due in an hour", Want{ID: ids[5], Class: blobnet.Foreground, Size: 2 << 20, Due: due})
		get("due in a minute", Want{ID: ids[6], Class: blobnet.Foreground, Size: 2 << 20, Due: due.Add(-59 * time.Minute)})
		get("stream", Want{ID: ids[7], Class: blobnet.Stream, Size: 2 << 20})
		wg.Wait()
		var order []string
		for _, id := range p.asked {
			order = append(order, names[id])
		}
		want := []string{"first", "first", "stream", "due in a minute", "due in an hour", "foreground", "prefetch", "repair"}
		if fmt.Sprint(order) != fmt.Sprint(want) {
			t.Errorf("%v", order)
		}
	})
}
