package exchange

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestGetBringsBlobsOfEverySizeBehindWhatIsInDst(t *testing.T) {
	sizes := []int{0, 1, sendPayload - 1, sendPayload, sendPayload + 1, maxPayload, 1<<20 + 16, blobnet.MaxBlobSize}
	var blobs [][]byte
	for i, n := range sizes {
		blobs = append(blobs, randomBlob(n, uint64(i)))
	}
	from, to := newPair(t)
	up, down := newEvents(), newEvents()
	start(t, Config{Host: to, Store: newTestStore(blobs...), OnEvent: up.add})
	p := start(t, Config{Host: from, OnEvent: down.add}).Peer(to.ID())
	defer p.Close()

	for _, b := range blobs {
		prefix := []byte("before")
		got, err := p.Get(t.Context(), blobnet.Sum(b), prefix)
		if err != nil {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if !bytes.Equal(got, append(prefix, b...)) {
			t.Errorf("%d bytes: other bytes came", len(b))
		}
	}
	dst := make([]byte, 0, blobnet.MaxBlobSize)
	got, err := p.Get(t.Context(), blobnet.Sum(blobs[6]), dst)
	if err != nil || &got[0] != &dst[:1][0] {
		t.Errorf("Get into a buffer with room did not use it: %v", err)
	}
	if n := down.count(KindDownload); n != len(blobs)+1 {
		t.Errorf("%d download events", n)
	}
	if ev := up.wait(t, KindUpload); ev.Peer != from.ID() || ev.ID != blobnet.Sum(nil) {
		t.Errorf("upload event %+v", ev)
	}
	if up.wait(t, KindPeer).Peer != from.ID() || down.wait(t, KindPeer).Peer != to.ID() {
		t.Error("peer events name others")
	}
}

func TestGetOfWhatThePeerHasNotIsNotFound(t *testing.T) {
	from, to := newPair(t)
	start(t, Config{Host: to, Store: newTestStore()})
	p := start(t, Config{Host: from}).Peer(to.ID())
	if _, err := p.Get(t.Context(), blobnet.ID{1}, nil); !errors.Is(err, blobnet.ErrNotFound) {
		t.Error(err)
	}
	// Nor does a node without a store have anything.
	to.Peerstore().AddAddrs(from.ID(), from.Addrs(), time.Hour)
	p2 := start(t, Config{Host: to}).Peer(from.ID())
	if _, err := p2.Get(t.Context(), blobnet.ID{1}, nil); !errors.Is(err, blobnet.ErrNotFound) {
		t.Error(err)
	}
}

func TestManyGetsAtOnceShareTwoStreams(t *testing.T) {
	var blobs [][]byte
	for i := range 400 { // more than the peer takes at once
		blobs = append(blobs, randomBlob(10_000*(i%4+1), uint64(i)))
	}
	from, to := newPair(t)
	start(t, Config{Host: to, Store: newTestStore(blobs...)})
	p := start(t, Config{Host: from}).Peer(to.ID())

	var wg sync.WaitGroup
	for i := range blobs {
		wg.Go(func() {
			got, err := p.Get(t.Context(), blobnet.Sum(blobs[i]), nil)
			if err != nil || !bytes.Equal(got, blobs[i]) {
				t.Errorf("blob %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if n := streams(from, to); n != 2 {
		t.Errorf("%d streams, want 2", n)
	}
}

// streams counts the streams of the protocol between two hosts.
func streams(from, to host.Host) int {
	n := 0
	for _, c := range from.Network().ConnsToPeer(to.ID()) {
		for _, s := range c.GetStreams() {
			if s.Protocol() == Protocol {
				n++
			}
		}
	}
	return n
}

func TestHaveAnswersInOrderForMoreThanOneFrame(t *testing.T) {
	b := randomBlob(10, 1)
	from, to := newPair(t)
	start(t, Config{Host: to, Store: newTestStore(b)})
	p := start(t, Config{Host: from}).Peer(to.ID())
	ids := make([]blobnet.ID, 2*maxIDs+5)
	for i := range ids {
		ids[i] = blobnet.ID{1, byte(i), byte(i >> 8)}
	}
	ids[0], ids[1], ids[maxIDs], ids[len(ids)-1] = blobnet.Sum(b), blobnet.Sum(b), blobnet.Sum(b), blobnet.Sum(b)
	has, err := p.Have(t.Context(), ids)
	if err != nil || len(has) != len(ids) {
		t.Fatalf("%d answers, %v", len(has), err)
	}
	for i, ok := range has {
		if ok != (ids[i] == blobnet.Sum(b)) {
			t.Errorf("id %d: %v", i, ok)
		}
	}
}

func TestAnnounceIsToldToThePeer(t *testing.T) {
	from, to := newPair(t)
	ev := newEvents()
	start(t, Config{Host: to, OnEvent: ev.add})
	p := start(t, Config{Host: from}).Peer(to.ID())
	if err := p.Announce(t.Context(), []blobnet.ID{{7}, {8}}); err != nil {
		t.Fatal(err)
	}
	if got := ev.wait(t, KindHave); len(got.IDs) != 2 || got.IDs[1] != (blobnet.ID{8}) || got.Peer != from.ID() {
		t.Errorf("event %+v", got)
	}
}

func TestCancelledGetEndsTheTransferAtThePeer(t *testing.T) {
	blob := randomBlob(blobnet.MaxBlobSize, 1)
	from, to := newPair(t)
	store := newTestStore(blob)
	store.block = make(chan struct{})
	up := newEvents()
	start(t, Config{Host: to, Store: store, OnEvent: up.add})
	p := start(t, Config{Host: from}).Peer(to.ID())
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := p.Get(ctx, blobnet.Sum(blob), nil); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	}
	for store.gets.Load() == 0 {
		up.wait(t, KindPeer)
	}
	cancel()
	wg.Wait()
	// The streams live on: a Get behind the cancelled ones is served.
	done := make(chan error)
	go func() {
		_, err := p.Get(t.Context(), blobnet.Sum(blob), nil)
		done <- err
	}()
	close(store.block)
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestGetAfterThePeerHasRestartedOpensANewStream(t *testing.T) {
	blob := randomBlob(1000, 1)
	from, to := newPair(t)
	first, err := New(Config{Host: to, Store: newTestStore(blob)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- first.Run(t.Context()) }()
	waitForHandler(t, to)
	p := start(t, Config{Host: from}).Peer(to.ID())
	if _, err := p.Get(t.Context(), blobnet.Sum(blob), nil); err != nil {
		t.Fatal(err)
	}
	first.Close()
	<-ended
	start(t, Config{Host: to, Store: newTestStore(blob)})
	if _, err := p.Get(t.Context(), blobnet.Sum(blob), nil); err != nil {
		t.Error(err)
	}
}

func TestClosedExchangeAndPeerSaySo(t *testing.T) {
	from, to := newPair(t)
	store := newTestStore(randomBlob(10, 1))
	store.block = make(chan struct{})
	start(t, Config{Host: to, Store: store})
	e := start(t, Config{Host: from})
	for _, end := range []func(*Peer){func(p *Peer) { p.Close() }, func(*Peer) { e.Close() }} {
		p := e.Peer(to.ID())
		before := store.gets.Load()
		done := make(chan error)
		go func() {
			_, err := p.Get(t.Context(), blobnet.ID{1}, nil)
			done <- err
		}()
		for store.gets.Load() == before {
			select {
			case err := <-done:
				t.Fatal(err)
			case <-time.After(time.Millisecond):
			}
		}
		end(p)
		if err := <-done; !errors.Is(err, blobnet.ErrClosed) {
			t.Errorf("Get under way: %v", err)
		}
		if _, err := p.Get(t.Context(), blobnet.ID{1}, nil); !errors.Is(err, blobnet.ErrClosed) {
			t.Errorf("Get after: %v", err)
		}
	}
}

func TestIdleStreamsAreClosedAndOpenedAgain(t *testing.T) {
	blob := randomBlob(1000, 1)
	from, to := newPair(t)
	start(t, Config{Host: to, Store: newTestStore(blob)})
	e := start(t, Config{Host: from, IdleTimeout: 20 * time.Millisecond})
	p := e.Peer(to.ID())
	for range 2 {
		if _, err := p.Get(t.Context(), blobnet.Sum(blob), nil); err != nil {
			t.Fatal(err)
		}
		p.c.mu.Lock()
		l := p.c.links[0]
		p.c.mu.Unlock()
		<-l.done
	}
}

func TestUnreachablePeerIsAnErrorThatNamesIt(t *testing.T) {
	from, to := newPair(t)
	to.Close()
	p := start(t, Config{Host: from}).Peer(to.ID())
	_, err := p.Get(t.Context(), blobnet.ID{1}, nil)
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte(to.ID().String())) {
		t.Errorf("error %v", err)
	}
}

// nosyHost looks at the exchange while it is told to serve no more.
type nosyHost struct {
	host.Host
	look func()
}

func (h *nosyHost) RemoveStreamHandler(p protocol.ID) {
	h.look()
	h.Host.RemoveStreamHandler(p)
}

func TestHostIsCalledWithoutALockAndServesNothingAfterClose(t *testing.T) {
	h := &nosyHost{Host: newHost(t)}
	e, err := New(Config{Host: h})
	if err != nil {
		t.Fatal(err)
	}
	h.look = func() { e.Peer(h.ID()).Close() }
	ended := make(chan error, 1)
	go func() { ended <- e.Run(context.Background()) }()
	waitForHandler(t, h)
	e.Close()
	if slices.Contains(h.Mux().Protocols(), Protocol) {
		t.Error("still serves after Close")
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := e.Run(context.Background()); err == nil {
		t.Error("runs after Close")
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	h := newHost(t)
	for i, cfg := range []Config{{}, {Host: h, Streams: -1}, {Host: h, StallTimeout: -1},
		{Host: h, MaxRequests: 1 << 16}, {Host: h, LeastRate: -1}, {Host: h, MaxMemory: 1}} {
		if _, err := New(cfg); err == nil {
			t.Error(fmt.Sprint("config ", i, " is accepted"))
		}
	}
}
