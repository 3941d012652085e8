package exchange

import (
	"context"
	"fmt"
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

func TestStreamsOfAllPeersAreLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newPiped(t, Config{MaxStreams: 3})
		first := e.pipeFrom(t, "peer1")
		e.pipeFrom(t, "peer2")
		e.pipeFrom(t, "peer3")
		f, s := newFar(t)
		go e.serve(s, "peer4")
		if _, err := f.fr.next(); err == nil {
			t.Error("a stream too many is served")
		}
		first.s.Close()
		synctest.Wait()
		e.pipeFrom(t, "peer4")
	})
}
