package exchange

import (
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// part is a frame with some bytes of a blob.
func part(req uint32, blob []byte, offset, size int) frame {
	return frame{typ: typeResponse, req: req, offset: uint32(offset), length: uint32(len(blob)), data: blob[offset : offset+size]}
}

func TestServerThatDripsABlobIsGivenUpAndThenItsStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(1<<20, 1)
		f, req, got := newPiped(t, Config{}).pipeTo(t, blobnet.Sum(blob))
		begun := time.Now()
		cancelled := make(chan bool, 1)
		go func() {
			r, err := f.fr.next()
			cancelled <- err == nil && r.typ == typeCancel && r.req == req
			io.Copy(io.Discard, f.s)
		}()
		sent := 0
		for ; f.send(part(req, blob, sent, 1)) == nil; sent++ {
			if sent == 1000 {
				t.Fatal("the stream lives on")
			}
			pause(5 * time.Second)
		}
		if err := <-got; !errors.Is(err, ErrStalled) || time.Since(begun) > time.Minute {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		if !<-cancelled {
			t.Error("no CANCEL came")
		}
	})
}

func TestServerAtTheLeastRateMayFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(blobnet.MaxBlobSize, 1)
		f, req, got := newPiped(t, Config{}).pipeTo(t, blobnet.Sum(blob))
		go io.Copy(io.Discard, f.s)
		for sent := 0; sent < len(blob); {
			size := min(64<<10, len(blob)-sent)
			if err := f.send(part(req, blob, sent, size)); err != nil {
				t.Fatal(err)
			}
			sent += size
			pause(8 * time.Second)
		}
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}

func TestClientThatAsksOfManyBlobsIsAnsweredAtALimitedRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const frames = 100
		e := newPiped(t, Config{Store: newTestStore()})
		begun := time.Now()
		var streams []far
		for range 2 { // which share the peer's rate
			streams = append(streams, e.pipeFrom(t, "curious"))
		}
		done := make(chan bool)
		for _, f := range streams {
			go func() {
				for i := uint32(1); i <= frames; i++ {
					f.send(frame{typ: typeWant, req: i, ids: make([]blobnet.ID, maxIDs)})
					if got := f.next(); got.typ != typeHas || got.req != i {
						t.Errorf("got %+v", got)
					}
				}
				done <- true
			}()
		}
		<-done
		<-done
		ids := 2 * frames * maxIDs
		if took, least := time.Since(begun), time.Duration(ids-wantBurst)*time.Second/wantRate; took < least || took > least+time.Second {
			t.Errorf("%d ids took %v, want %v", ids, took, least)
		}
		// Another peer does not wait for it.
		begun = time.Now()
		f := e.pipeFrom(t, "other")
		f.send(frame{typ: typeWant, req: 1, ids: make([]blobnet.ID, maxIDs)})
		if f.next(); time.Since(begun) != 0 {
			t.Errorf("another peer waited %v", time.Since(begun))
		}
	})
}

// take reads a blob's frames at a rate in bytes per second, and returns how
// many bytes came before the stream or the blob ended.
func take(f far, rate int) (got int, err error) {
	for {
		r, err := f.fr.next()
		if err == nil && r.typ == typeResponse {
			err = f.fr.discard()
		}
		if err != nil {
			return got, err
		}
		if got += r.size; got == int(r.length) {
			return got, nil
		}
		pause(time.Duration(r.size) * time.Second / time.Duration(rate))
	}
}

func TestClientThatTakesABlobTooSlowlyLosesTheStream(t *testing.T) {
	for rate, want := range map[int]bool{6 << 10: false, 9 << 10: true} {
		synctest.Test(t, func(t *testing.T) {
			blob := randomBlob(blobnet.MaxBlobSize, 1)
			ev := newEvents()
			e := newPiped(t, Config{Store: newTestStore(blob), OnEvent: ev.add})
			f := e.pipeFrom(t, "slow")
			f.send(frame{typ: typeRequest, req: 1, id: blobnet.Sum(blob)})
			got, err := take(f, rate)
			if ok := err == nil; ok != want {
				t.Errorf("at %d bytes per second %d came: %v", rate, got, err)
			}
			synctest.Wait()
			if up := ev.wait(t, KindUpload); want != (up.Err == nil) || !want && !errors.Is(up.Err, ErrStalled) {
				t.Errorf("event %+v", up)
			}
			e.Close()
			if e.buffers.lent != 0 {
				t.Errorf("%d buffers are lent for ever", e.buffers.lent)
			}
		})
	}
}

func TestSlowClientsAreHurriedOnlyWhileOthersWait(t *testing.T) {
	for _, others := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			blob := randomBlob(blobnet.MaxBlobSize, 1)
			e := newPiped(t, Config{Store: newTestStore(blob), MaxMemory: 5 << 20}) // two blobs
			ask := frame{typ: typeRequest, req: 1, id: blobnet.Sum(blob)}
			slow := e.pipeFrom(t, "slow")
			slow.send(ask)
			synctest.Wait() // it has its memory before the others ask
			var work sync.WaitGroup
			defer work.Wait()
			if others {
				for _, name := range []string{"second", "third"} {
					f := e.pipeFrom(t, name)
					defer f.s.Close()
					work.Go(func() {
						for i := uint32(1); ; i++ { // who is sent away comes back
							again := ask
							if again.req = i; f.send(again) != nil {
								return
							}
							if _, err := take(f, 20<<10); err != nil {
								return
							}
						}
					})
				}
			}
			got, err := take(slow, 10<<10)
			if hurried := err != nil; hurried != others {
				t.Errorf("others %v: %d bytes, %v", others, got, err)
			}
		})
	}
}
