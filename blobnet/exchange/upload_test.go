package exchange

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/limit"
)

// uplink lets rate bytes per second go, in the order in which they come.
type uplink struct {
	rate  int
	turn  chan struct{}
	next  time.Time // who has the turn may touch it
	bytes int
}

func newUplink(rate int) *uplink { return &uplink{rate: rate, turn: make(chan struct{}, 1)} }

func (u *uplink) Wait(ctx context.Context, _ string, n int) error {
	select {
	case u.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-u.turn }()
	select {
	case <-time.After(time.Until(u.next)):
	case <-ctx.Done():
		return ctx.Err()
	}
	u.bytes += n
	u.next = time.Now().Add(time.Duration(n) * time.Second / time.Duration(u.rate))
	return ctx.Err()
}

// shut lets nothing go.
type shut struct{ waits atomic.Int64 }

func (s *shut) Wait(ctx context.Context, peer string, n int) error {
	s.waits.Add(1)
	<-ctx.Done()
	return ctx.Err()
}

// join lets e reach server over as many pipes as e has streams to a peer.
func (e *Exchange) join(t *testing.T, server *Exchange, name string) *Peer {
	p := e.Peer("server")
	for range e.cfg.Streams {
		f, s := newFar(t)
		go server.serve(pipe{f.s}, peer.ID(name))
		l := newLink(s, p.Name(), &e.cfg, &e.proofs, func([]blobnet.ID) {})
		p.c.links = append(p.c.links, l)
		e.running.Go(func() { p.c.run(l) })
	}
	return p
}

func TestLimitedServerThatSendsSteadilyIsNotTakenForStalled(t *testing.T) {
	for _, c := range []struct{ rate, peers, size int }{
		{8 << 10, 1, 1 << 20}, {64 << 10, 8, 1 << 20}, {16 << 10, 8, 300_000}, {64 << 10, 8, 20_000}, {4 << 10, 1, 2 << 20}, {100 << 20, 3, 1 << 20},
	} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var blobs [][]byte
				for i := range 3 {
					blobs = append(blobs, randomBlob(c.size, uint64(i)))
				}
				limit := newUplink(c.rate)
				server := newPiped(t, Config{Store: newTestStore(blobs...), Upload: limit, IdleTimeout: 100 * time.Hour})
				begun := time.Now()
				var work sync.WaitGroup
				for i := range c.peers {
					p := newPiped(t, Config{IdleTimeout: 100 * time.Hour}).join(t, server, fmt.Sprint("peer", i))
					for _, b := range blobs {
						work.Go(func() {
							for {
								got, err := p.Get(t.Context(), blobnet.Sum(b), nil)
								var busy *BusyError
								if errors.As(err, &busy) {
									pause(busy.RetryAfter())
									continue
								}
								if err != nil || len(got) != c.size {
									t.Errorf("peer %d, after %v: %v", i, time.Since(begun), err)
								}
								return
							}
						})
					}
				}
				work.Wait()
				bytes := 3 * c.peers * c.size
				least := time.Duration(bytes-3*c.peers<<16) * time.Second / time.Duration(c.rate)
				if took := time.Since(begun); took < least || limit.bytes < bytes || limit.bytes > bytes+bytes/20 {
					t.Errorf("%d bytes took %v, %d were asked of the limit", bytes, took, limit.bytes)
				}
			})
		})
	}
}

// held is a peer that waits for a blob, which the limit of the server keeps.
func held(t *testing.T, blob []byte) (*Exchange, far, *testStore, *shut) {
	limit, store := &shut{}, newTestStore(blob)
	e := newPiped(t, Config{Store: store, Upload: limit})
	f := e.pipeFrom(t, "peer")
	for req := uint32(1); req <= 4; req++ {
		f.send(frame{typ: typeRequest, req: req, id: blobnet.Sum(blob)})
	}
	synctest.Wait()
	return e, f, store, limit
}

func TestCancelEndsTheWaitForTheUploadLimit(t *testing.T) {
	for _, size := range []int{1000, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			e, f, _, limit := held(t, randomBlob(size, 1))
			if limit.waits.Load() == 0 {
				t.Error("the limit was not asked")
			}
			begun := time.Now()
			for req := uint32(1); req <= 4; req++ {
				f.send(frame{typ: typeCancel, req: req})
				if got := f.next(); got.typ != typeError || got.req != req || got.code != codeCancelled {
					t.Errorf("got %+v", got)
				}
			}
			synctest.Wait()
			if time.Since(begun) != 0 || e.buffers.lent != 0 {
				t.Errorf("after %v %d buffers are lent", time.Since(begun), e.buffers.lent)
			}
		})
	}
}

func TestSmallFramesPassWhileTheUploadLimitHoldsABlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(1<<20, 1)
		_, f, _, _ := held(t, blob)
		begun := time.Now()
		for req := uint32(10); req < 20; req++ {
			f.send(frame{typ: typeWant, req: req, ids: []blobnet.ID{blobnet.Sum(blob)}})
			if got := f.next(); got.typ != typeHas || got.req != req || time.Since(begun) != 0 {
				t.Errorf("after %v: %+v", time.Since(begun), got)
			}
		}
	})
}

func TestTimeInTheUploadLimitIsNotThePeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e, f, _, _ := held(t, randomBlob(1<<20, 1))
		pause(time.Hour)
		e.mu.Lock()
		n := len(e.streams)
		e.mu.Unlock()
		if n != 1 {
			t.Error("the stream was ended")
		}
		f.s.Close()
		synctest.Wait()
		if e.buffers.lent != 0 {
			t.Errorf("%d buffers are lent", e.buffers.lent)
		}
	})
}

func TestSlowUploadHoldsOneBlobAndRefusesWhatWouldWaitLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(1<<20, 1)
		store := newTestStore(blob)
		e := newPiped(t, Config{Store: store, Upload: newUplink(8 << 10)})
		f := e.pipeFrom(t, "peer")
		ask := func(req uint32) { f.send(frame{typ: typeRequest, req: req, id: blobnet.Sum(blob)}) }
		ask(1)
		got := 0
		for got < 100_000 {
			r := f.next()
			got += r.size
		}
		ask(2)
		for { // what is on the way comes first
			r := f.next()
			if r.typ != typeResponse {
				if r.typ != typeBusy || r.req != 2 || r.retry < 10_000 || r.retry > 30_000 {
					t.Errorf("got %+v", r)
				}
				break
			}
			got += r.size
		}
		if n := store.gets.Load(); n != 1 || e.buffers.lent != 1 {
			t.Errorf("%d blobs were read, %d buffers are lent", n, e.buffers.lent)
		}
		for got < len(blob) {
			r := f.next()
			got += r.size
		}
		ask(3) // nothing is queued now
		if r := f.next(); r.typ != typeResponse || r.req != 3 {
			t.Errorf("got %+v", r)
		}
	})
}

func TestAnswersToOthersDoNotKeepALimitedSessionFromReadingOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(200_000, 1)
		e := newPiped(t, Config{Store: newTestStore(blob), Upload: newUplink(8 << 10)})
		f := e.pipeFrom(t, "peer")
		over := make(chan struct{})
		go func() { // small frames all the time, and blobs one after the other
			for req := uint32(1000); f.send(frame{typ: typeWant, req: req, ids: make([]blobnet.ID, 1)}) == nil; req++ {
				pause(50 * time.Millisecond)
			}
			close(over)
		}()
		for req := uint32(1); req <= 10; req++ {
			f.send(frame{typ: typeRequest, req: req, id: blobnet.Sum(blob)})
			last := time.Now()
			for got := 0; got < len(blob); {
				r := f.next()
				if r.typ == typeResponse && r.req == req {
					got, last = got+r.size, time.Now()
				}
				if time.Since(last) > 10*time.Second {
					t.Fatalf("blob %d: nothing comes", req)
				}
			}
		}
		f.s.Close()
		<-over
	})
}

func TestUploadLimitRefusesNobodyWhoseBlobsComeSoon(t *testing.T) {
	const size = 1<<20 + 16 // a sealed chunk: its last frame is a small one
	for _, rate := range []int64{512 << 10, 1 << 20, 2 << 20} {
		for _, peers := range []int{1, 8} {
			t.Run(fmt.Sprintf("%d KiB/s, %d peers", rate>>10, peers), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					var ids []blobnet.ID
					store := newTestStore()
					for i := range 12 {
						b := randomBlob(size, uint64(i))
						ids = append(ids, blobnet.Sum(b))
						store.Put(t.Context(), ids[i], b)
					}
					server := newPiped(t, Config{Store: store, Upload: limit.NewUpload(limit.Config{Total: rate})})
					begun := time.Now()
					var work sync.WaitGroup
					for i := range peers {
						p := newPiped(t, Config{}).join(t, server, fmt.Sprint("peer", i))
						queue := make(chan blobnet.ID, len(ids))
						for _, id := range ids {
							queue <- id
						}
						close(queue)
						for range min(max(2, 30*int(rate)/size/peers), 6) { // what comes in 30 s
							work.Go(func() {
								for id := range queue {
									if _, err := p.Get(t.Context(), id, nil); err != nil {
										t.Errorf("peer %d, after %v: %v", i, time.Since(begun), err)
									}
								}
							})
						}
					}
					work.Wait()
					want := time.Duration(peers*len(ids)*size) * time.Second / time.Duration(rate)
					if took := time.Since(begun); took > want*11/10 {
						t.Errorf("took %v, at that rate it takes %v", took, want)
					}
				})
			})
		}
	}
}
