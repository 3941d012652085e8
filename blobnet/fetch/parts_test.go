package fetch

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// breaking gives nothing while it is broken; what was asked for meanwhile fails
// together.
type breaking struct {
	simRanger
	mu     sync.Mutex
	broken chan struct{} // nil: it is whole
}

func (b *breaking) GetRange(ctx context.Context, id blobnet.ID, r blobnet.Range, dst []byte) ([]byte, error) {
	b.mu.Lock()
	broken := b.broken
	b.mu.Unlock()
	if broken == nil {
		return b.simRanger.GetRange(ctx, id, r, dst)
	}
	select {
	case <-broken:
		return dst, errors.New("connection broke")
	case <-ctx.Done():
		return dst, ctx.Err()
	}
}

func TestBrokenConnectionDoesNotEndThePartsOfAPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(2)
		p := &breaking{simRanger: simRanger{newSimPeer("p", all, newPipe(10e6), time.Millisecond)}, broken: make(chan struct{})}
		s := newSwarm(t, Config{}, p)
		read := func(w Want, offset int) {
			got, err := s.FetchRange(t.Context(), w, offset, 1000, nil)
			if err != nil || !bytes.Equal(got, all.blobs[w.ID][offset:offset+1000]) {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		}
		var readers sync.WaitGroup
		for i := range 2 * maxRangeFailures {
			readers.Go(func() { read(wants[0], i*100_000) })
		}
		synctest.Wait()
		p.mu.Lock()
		close(p.broken)
		p.broken = nil
		p.mu.Unlock()
		readers.Wait()
		before := p.sent()
		read(wants[1], 500_000)
		if sent := p.sent() - before; sent > 64<<10 {
			t.Errorf("%d bytes were sent for 1000", sent)
		}
	})
}

func TestPeerThatFailedAtPartsIsAskedForThemAgainLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(3)
		p := &breaking{simRanger: simRanger{newSimPeer("p", all, newPipe(10e6), time.Millisecond)}, broken: make(chan struct{})}
		close(p.broken) // every part fails, and no whole blob
		s := newSwarm(t, Config{}, p)
		read := func(w Want) (sent int) {
			before := p.sent()
			if _, err := s.FetchRange(t.Context(), w, 500_000, 1000, nil); err != nil {
				t.Error(err)
			}
			return int(p.sent() - before)
		}
		if sent := read(wants[0]); sent < 1<<20 {
			t.Errorf("%d bytes: a part, from a peer that gives none", sent)
		}
		p.mu.Lock()
		p.broken = nil
		p.mu.Unlock()
		if sent := read(wants[1]); sent < 1<<20 {
			t.Errorf("%d bytes: a part, so soon", sent)
		}
		<-time.After(partsPause)
		if sent := read(wants[2]); sent > 64<<10 {
			t.Errorf("%d bytes were sent for 1000", sent)
		}
	})
}
