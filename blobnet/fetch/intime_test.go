package fetch

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// trickling gives the bytes of a blob one by one, each after every.
type trickling struct {
	*fakePeer
	every time.Duration
}

func (p trickling) GetMetered(ctx context.Context, id blobnet.ID, dst []byte, came *atomic.Int64) ([]byte, error) {
	blob, err := p.Get(ctx, id, nil)
	for range blob {
		select {
		case <-time.After(p.every):
			came.Add(1)
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
	return append(dst, blob...), err
}

// Who needs longer than PeerTimeout for a blob is not asked for it from the start
// again and again while enough of it comes; who drips is given up.
func TestASlowBlobComesInOneGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(100, 1)
		slow := trickling{peerWith("slow", blob), time.Second}
		s := newSwarm(t, Config{PeerTimeout: 15 * time.Second})
		s.Add(slow)
		got := make(chan error, 1)
		go func() {
			_, err := s.Fetch(t.Context(), Want{ID: blobnet.Sum(blob), Size: 100}, nil)
			got <- err
		}()
		<-time.After(50*time.Second + time.Millisecond)
		if n := s.Brought(); n != 50 {
			t.Errorf("%d bytes came, want 50", n)
		}
		if err := <-got; err != nil || slow.requests() != 1 {
			t.Errorf("%v, after %d requests", err, slow.requests())
		}
		if n := s.Brought(); n != 100 {
			t.Errorf("%d bytes came, want 100", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		blob := randomBlob(100, 1)
		drips := trickling{peerWith("drips", blob), 2 * time.Second}
		s := newSwarm(t, Config{PeerTimeout: 15 * time.Second})
		s.Add(drips)
		if _, err := s.Fetch(t.Context(), Want{ID: blobnet.Sum(blob), Size: 100}, nil); !errors.Is(err, blobnet.ErrNotFound) {
			t.Error(err)
		}
	})
}
