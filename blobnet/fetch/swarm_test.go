package fetch

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func newSwarm(t testing.TB, cfg Config, peers ...Peer) *Swarm {
	t.Helper()
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		s.Add(p)
	}
	return s
}

func TestStoreIsAskedFirstAndKeepsWhatPeersGive(t *testing.T) {
	here, there := randomBlob(1000, 1), randomBlob(1000, 2)
	store, p := newBlobMap(here), peerWith("p", there)
	s := newSwarm(t, Config{Store: store}, p)
	for range 2 {
		for _, b := range [][]byte{here, there} {
			got, err := s.Get(t.Context(), blobnet.Sum(b), []byte("x"))
			if err != nil || !bytes.Equal(got[1:], b) || got[0] != 'x' {
				t.Fatal(err)
			}
		}
	}
	if p.requests() != 1 || store.puts != 1 {
		t.Errorf("%d requests, %d puts", p.requests(), store.puts)
	}
}

func TestGetsOfOneBlobAtTheSameTimeShareOneRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		p := peerWith("p", b)
		inner, gate := p.get, make(chan struct{})
		p.get = func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
			select {
			case <-gate:
				return inner(ctx, id, dst)
			case <-ctx.Done():
				return dst, ctx.Err()
			}
		}
		s := newSwarm(t, Config{}, p)
		// The one that came first leaves; the others still get the blob.
		first, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := s.Get(first, blobnet.Sum(b), nil); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
		synctest.Wait()
		for range 20 {
			wg.Go(func() {
				got, err := s.Get(t.Context(), blobnet.Sum(b), nil)
				if err != nil || !bytes.Equal(got, b) {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		synctest.Wait()
		close(gate)
		wg.Wait()
		if p.requests() != 1 {
			t.Errorf("%d requests", p.requests())
		}
	})
}

func TestCancelEndsTheRequestBeforeGetReturns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := silentPeer("p")
		s := newSwarm(t, Config{}, p)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := s.Get(ctx, blobnet.ID{1}, nil); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if p.ending != 1 {
			t.Error("request is still under way")
		}
	})
}

func TestDamagedLocalBlobIsFetchedAgain(t *testing.T) {
	b := randomBlob(1000, 1)
	store := newBlobMap()
	store.blobs[blobnet.Sum(b)] = []byte("damaged")
	log := &eventLog{}
	s := newSwarm(t, Config{Store: store, OnEvent: log.add}, peerWith("p", b))
	got, err := s.Get(t.Context(), blobnet.Sum(b), nil)
	if err != nil || !bytes.Equal(got, b) {
		t.Fatal(err)
	}
	if got, err := store.Get(t.Context(), blobnet.Sum(b), nil); err != nil || !bytes.Equal(got, b) {
		t.Errorf("store still has the damaged blob: %v", err)
	}
	if len(log.of(KindCorrupt)) != 1 {
		t.Error("no event")
	}
}

func TestBlobNobodyHasIsAnErrorThatNamesItAndThePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := peerWith("peer-a"), peerThat("peer-b", errors.New("on fire"))
		s := newSwarm(t, Config{}, a, b)
		begun := time.Now()
		id := blobnet.ID{0xab}
		_, err := s.Get(t.Context(), id, nil)
		if !errors.Is(err, blobnet.ErrNotFound) || !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		var nf *NotFoundError
		if !errors.As(err, &nf) || nf.ID != id || len(nf.Tried) != 2 || nf.Tried[0].Peer != "peer-a" {
			t.Fatalf("%+v", nf)
		}
		for _, part := range []string{id.String(), "peer-a", "peer-b", "on fire"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not name %s", err, part)
			}
		}
		if took := time.Since(begun); took < time.Minute || took > 61*time.Second {
			t.Errorf("took %v", took)
		}
		// Nobody is hammered meanwhile.
		if a.requests() > 5 || b.requests() > 10 {
			t.Errorf("asked %d and %d times", a.requests(), b.requests())
		}
	})
}

func TestWithoutPeersGetWaitsForOneAndThenGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		s := newSwarm(t, Config{StallTimeout: 10 * time.Second})
		time.AfterFunc(9*time.Second, func() { s.Add(peerWith("late", b)) })
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Error(err)
		}
		begun := time.Now()
		s.Remove("late")
		_, err := s.Get(t.Context(), blobnet.Sum(b), nil)
		if !errors.Is(err, blobnet.ErrNotFound) || !strings.Contains(err.Error(), "no peer to ask") {
			t.Error(err)
		}
		if took := time.Since(begun); took != 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestPeerThatHasNotABlobIsNotAskedAgainUntilAWhileLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		has := newBlobMap()
		p := &fakePeer{name: "p", get: has.Get}
		s := newSwarm(t, Config{NotFoundRetry: 20 * time.Second}, p)
		time.AfterFunc(15*time.Second, func() { has.Put(t.Context(), blobnet.Sum(b), b) })
		begun := time.Now()
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 20*time.Second || p.requests() != 2 {
			t.Errorf("took %v and %d requests", took, p.requests())
		}
	})
}

func TestWrongBytesCostThePeerTheBlobAndThenAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs, ids := randomBlobs(3, 1000)
		liar := peerThat("liar", blobnet.ErrCorrupt)
		log, bans := &eventLog{}, new(Bans)
		s := newSwarm(t, Config{OnEvent: log.add, Bans: bans}, liar)
		time.AfterFunc(time.Second, func() { s.Add(peerWith("honest", blobs...)) })
		if _, err := s.Get(t.Context(), ids[0], nil); err != nil {
			t.Fatal(err)
		}
		if ev := log.of(KindWrong); len(ev) != 1 || ev[0].Peer != "liar" || ev[0].ID != ids[0] || liar.requests() != 1 {
			t.Errorf("%+v, %d requests", ev, liar.requests())
		}
		for range 3 {
			s.Remove("honest")
			time.AfterFunc(time.Second, func() { s.Add(peerWith("honest", blobs...)) })
			if _, err := s.Get(t.Context(), ids[1], nil); err != nil {
				t.Fatal(err)
			}
		}
		if ev := log.of(KindDropped); len(ev) != 1 || ev[0].Peer != "liar" || liar.requests() != 2 {
			t.Errorf("%+v, %d requests", ev, liar.requests())
		}
		s.Add(liar)
		other := newSwarm(t, Config{Bans: bans}, liar)
		if got := append(s.Peers(), other.Peers()...); len(got) != 1 || got[0] != "honest" || !bans.Banned("liar") {
			t.Errorf("peers %v", got)
		}
		<-time.After(time.Hour)
		s.Add(liar)
		if len(s.Peers()) != 2 || bans.Banned("liar") || len(bans.List()) != 0 {
			t.Error("banned for more than an hour")
		}
	})
}

type misbehaviour struct{}

func (misbehaviour) Error() string      { return "breaks the rules" }
func (misbehaviour) Misbehaviour() bool { return true }

func TestMisbehaviourOfAnyKindDropsThePeer(t *testing.T) {
	b := randomBlob(1000, 1)
	log := &eventLog{}
	bad := peerThat("bad", misbehaviour{})
	s := newSwarm(t, Config{OnEvent: log.add, SlowAfter: time.Millisecond}, bad, peerWith("good", b))
	for len(s.Peers()) == 2 {
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Fatal(err)
		}
	}
	if s.Peers()[0] != "good" {
		t.Error("the good one was dropped")
	}
}

func TestSilentPeerIsOvertakenByAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		silent := silentPeer("silent")
		s := newSwarm(t, Config{SlowAfter: 10 * time.Second}, silent)
		time.AfterFunc(3*time.Second, func() { s.Add(peerWith("good", b)) })
		begun := time.Now()
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took < 3*time.Second || took > 10*time.Second {
			t.Errorf("took %v", took)
		}
		if silent.ending != 1 {
			t.Error("the slow request goes on")
		}
	})
}

func TestOnlyASilentPeerIsGivenUpAtLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSwarm(t, Config{PeerTimeout: 15 * time.Second}, silentPeer("silent"))
		begun := time.Now()
		_, err := s.Get(t.Context(), blobnet.ID{1}, nil)
		if !errors.Is(err, blobnet.ErrNotFound) || !strings.Contains(err.Error(), "silent") {
			t.Error(err)
		}
		if took := time.Since(begun); took > 100*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

type busy time.Duration

func (b busy) Error() string             { return "busy" }
func (b busy) Unwrap() error             { return blobnet.ErrBusy }
func (b busy) RetryAfter() time.Duration { return time.Duration(b) }

func TestBusyPeerIsAskedAgainWhenItSaid(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		p := peerWith("p", b)
		inner := p.get
		p.get = func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
			if p.requests() < 3 {
				return dst, busy(7 * time.Second)
			}
			return inner(ctx, id, dst)
		}
		s := newSwarm(t, Config{}, p)
		begun := time.Now()
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 14*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestBrokenConnectionCountsOnceAndIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs, ids := randomBlobs(8, 1000)
		p := peerWith("p", blobs...)
		inner, broken := p.get, make(chan struct{})
		p.get = func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
			if p.requests() <= 2 { // a window's worth
				<-broken
				return dst, errors.New("connection broke")
			}
			return inner(ctx, id, dst)
		}
		s := newSwarm(t, Config{}, p)
		begun := time.Now()
		var wg sync.WaitGroup
		for _, id := range ids {
			wg.Go(func() {
				if _, err := s.Get(t.Context(), id, nil); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(broken)
		wg.Wait()
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestRemovedPeersRequestsGoToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		s := newSwarm(t, Config{}, silentPeer("leaving"))
		time.AfterFunc(time.Second, func() {
			s.Add(peerWith("staying", b))
			s.Remove("leaving")
		})
		begun := time.Now()
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestFullStoreIsToldOrAnErrorAsConfigured(t *testing.T) {
	b := randomBlob(1000, 1)
	store := newBlobMap()
	store.putErr = blobnet.ErrFull
	log := &eventLog{}
	s := newSwarm(t, Config{Store: store, OnEvent: log.add}, peerWith("p", b))
	if got, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil || !bytes.Equal(got, b) {
		t.Error(err)
	}
	if len(log.of(KindUnstored)) != 1 {
		t.Error("no event")
	}
	s = newSwarm(t, Config{Store: store, MustStore: true}, peerWith("p", b))
	if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); !errors.Is(err, blobnet.ErrFull) {
		t.Error(err)
	}
	store.putErr = errors.New("disk on fire")
	s = newSwarm(t, Config{Store: store}, peerWith("p", b))
	if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); !errors.Is(err, store.putErr) {
		t.Error(err)
	}
}

func TestWindowOfAPeerIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := silentPeer("p")
		s := newSwarm(t, Config{}, p)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() { s.Get(ctx, blobnet.ID{byte(i + 1)}, nil) })
		}
		synctest.Wait()
		if p.most != 2 {
			t.Errorf("%d requests at once", p.most)
		}
		cancel()
		wg.Wait()
	})
}

func TestSlowPeerIsAskedForLessAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blobs, ids := randomBlobs(60, 1000)
		p := peerWith("p", blobs...)
		inner := p.get
		p.get = func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
			select {
			case <-time.After(9 * time.Second):
			case <-ctx.Done():
			}
			return inner(ctx, id, dst)
		}
		s := newSwarm(t, Config{}, p)
		for _, id := range ids[:4] {
			s.Get(t.Context(), id, nil)
		}
		p.most = 0
		var wg sync.WaitGroup
		for _, id := range ids[4:10] {
			wg.Go(func() { s.Get(t.Context(), id, nil) })
		}
		wg.Wait()
		if p.most > 1 {
			t.Errorf("%d requests at once", p.most)
		}
	})
}

func TestBadConfigIsRefused(t *testing.T) {
	for _, cfg := range []Config{{Window: -1}, {MaxOutstanding: -1}, {StallTimeout: -1}, {SlowAfter: -1}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v is accepted", cfg)
		}
	}
}
