package exchange

import (
	"context"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestMemoryForAllPeersIsBoundedAndWhoWaitsTooLongGetsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(1000, 1)
		store := newTestStore(blob)
		store.block = make(chan struct{})
		e := newPiped(t, Config{Store: store, MaxMemory: 7 << 20}) // three blobs
		ask := frame{typ: typeRequest, req: 1, id: blobnet.Sum(blob)}
		var peers []far
		for i := range 4 {
			f := e.pipeFrom(t, fmt.Sprint("peer", i))
			f.send(ask)
			synctest.Wait()
			peers = append(peers, f)
		}
		if n := store.gets.Load(); n != 3 {
			t.Errorf("%d blobs are read at once, want 3", n)
		}
		begun := time.Now()
		if f := peers[3].next(); f.typ != typeBusy || f.retry == 0 || time.Since(begun) != busyWait {
			t.Errorf("after %v: %+v", time.Since(begun), f)
		}
		peers[3].send(ask)
		close(store.block)
		for i, f := range peers {
			if r := f.next(); r.typ != typeResponse {
				t.Errorf("peer %d: %+v", i, r)
			}
		}
	})
}

func TestPeerWithoutMemoryComesBeforeThoseThatHoldMuch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(blobnet.MaxBlobSize, 1)
		store := newTestStore(blob)
		e := newPiped(t, Config{Store: store})
		ask := func(f far) {
			for req := uint32(1); req <= 4; req++ {
				f.send(frame{typ: typeRequest, req: req, id: blobnet.Sum(blob)})
			}
			synctest.Wait()
		}
		for i := range 10 { // none of which reads
			ask(e.pipeFrom(t, fmt.Sprint("greedy", i)))
			ask(e.pipeFrom(t, fmt.Sprint("greedy", i)))
		}
		honest := e.pipeFrom(t, "honest")
		begun := time.Now()
		ask(honest)
		if f := honest.next(); f.typ != typeResponse || time.Since(begun) != 0 {
			t.Errorf("after %v: %+v", time.Since(begun), f)
		}
		if n := store.gets.Load(); n > int64(e.buffers.max) {
			t.Errorf("%d blobs in memory, at most %d", n, e.buffers.max)
		}
	})
}

func TestOnePeerHoldsNoMoreThanItsShare(t *testing.T) {
	b := newBuffers(64 << 20)
	var by borrower
	over, cancel := context.WithCancel(t.Context())
	cancel()
	for i := range 10 {
		if got := b.borrow(over, &by); got != (i < perPeerBuffers) {
			t.Errorf("claim %d: %v", i, got)
		}
	}
	if b.scarce() {
		t.Error("scarce because one peer has its share")
	}
	for range perPeerBuffers {
		b.giveBack(&by)
	}
	if b.lent != 0 || by.held != 0 || len(b.waiting) != 0 {
		t.Errorf("%d lent, %d held, %d waiting", b.lent, by.held, len(b.waiting))
	}
}

func TestStreamsOfAllPeersAreLimitedAndOpenRequestsKeepTheirs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newTestStore()
		store.block = make(chan struct{}) // so that requests stay open
		e := newPiped(t, Config{MaxStreams: 3, Store: store})
		var all []far
		for _, name := range []string{"peer1", "peer2", "peer3"} {
			f := e.pipeFrom(t, name)
			f.send(frame{typ: typeRequest, req: 1})
			all = append(all, f)
			pause(time.Second)
		}
		f, s := newFar(t)
		go e.serve(s, "peer4")
		if _, err := f.fr.next(); err == nil {
			t.Error("a stream too many is served")
		}
		all[0].s.Close()
		synctest.Wait()
		e.pipeFrom(t, "peer4")
	})
}

func TestSilentStreamsOfManyIdentitiesKeepNobodyOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(1000, 1)
		e := newPiped(t, Config{Store: newTestStore(blob)})
		var silent []far
		for i := range 256 {
			f := e.pipeFrom(t, fmt.Sprint("attacker", i/4))
			silent = append(silent, f)
			pause(time.Millisecond)
		}
		for i := range 10 { // the next comers, each with its streams
			name := fmt.Sprint("honest", i)
			for range 2 {
				f := e.pipeFrom(t, name)
				f.send(frame{typ: typeRequest, req: 1, id: blobnet.Sum(blob)})
				if got := f.next(); got.typ != typeResponse || int(got.length) != len(blob) {
					t.Fatalf("%s got %+v", name, got)
				}
				if err := f.fr.discard(); err != nil {
					t.Fatal(err)
				}
			}
			// Frames that ask for nothing make no stream look used.
			for _, f := range silent[20:] {
				f.send(frame{typ: typeCancel, req: 7}, frame{typ: typeHave, ids: make([]blobnet.ID, 1)})
			}
			pause(time.Second)
		}
		for i, f := range silent[:20] { // those that were idle longest went, in order
			if _, err := f.fr.next(); err != io.EOF {
				t.Errorf("silent stream %d ended with %v", i, err)
			}
		}
		synctest.Wait()
		if len(e.streams) != 256 || e.leaving != 0 {
			t.Errorf("%d streams, %d leaving", len(e.streams), e.leaving)
		}
		e.Close()
		if len(e.streams) != 0 || len(e.served) != 0 || e.leaving != 0 {
			t.Errorf("after the end: %d streams of %d peers, %d leaving", len(e.streams), len(e.served), e.leaving)
		}
	})
}

func TestFramesThatAskForNothingDoNotKeepAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPiped(t, Config{Store: newTestStore()})
		begun := time.Now()
		idle, used := e.pipeFrom(t, "idle"), e.pipeFrom(t, "used")
		for range 10 {
			pause(50 * time.Second)
			idle.send(frame{typ: typeCancel, req: 7}, frame{typ: typeHave, ids: make([]blobnet.ID, 1)})
			used.send(frame{typ: typeWant, req: 1, ids: make([]blobnet.ID, 1)})
			if got := used.next(); got.typ != typeHas {
				t.Fatalf("the stream that is used got %+v", got)
			}
			synctest.Wait()
			e.mu.Lock()
			n := len(e.streams)
			e.mu.Unlock()
			if gone := time.Since(begun) > 2*time.Minute; gone != (n == 1) {
				t.Fatalf("%d streams after %v", n, time.Since(begun))
			}
		}
	})
}
