package fetch

import (
	"context"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// crowded is a peer that takes one request at a time and is busy for the rest,
// for half a minute as it says.
type crowded struct {
	*simPeer
	one sync.Mutex
}

func (p *crowded) GetMetered(ctx context.Context, id blobnet.ID, dst []byte, came *atomic.Int64) ([]byte, error) {
	if !p.one.TryLock() {
		return dst, busy(30 * time.Second)
	}
	defer p.one.Unlock()
	return p.simPeer.GetMetered(ctx, id, dst, came)
}

func TestBusyPeerIsAskedAgainWhenItHasGivenWhatItOwes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, wants := simBlobs(32)
		s := newSwarm(t, Config{}, &crowded{simPeer: newSimPeer("p", store, newPipe(1<<20), time.Millisecond)})
		if took := simEach(t, s, wants); took > 34*time.Second {
			t.Errorf("32 MiB at 1 MiB/s took %v", took)
		}
	})
}

func TestNothingIsGivenUpWhileAPeerThatIsBusyGivesOtherBlobs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// Each blob takes 40 s, and all but one wait meanwhile.
		store, wants := simBlobs(8)
		p := &crowded{simPeer: newSimPeer("p", store, newPipe(1<<20/40), time.Millisecond)}
		s := newSwarm(t, Config{StallTimeout: 50 * time.Second}, p)
		simEach(t, s, wants)
	})
}

func TestBusyPeerIsNamedWhereNobodyGaveABlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, ids := randomBlobs(8, 1000)
		s := newSwarm(t, Config{}, peerThat("occupied", busy(time.Minute)))
		var work sync.WaitGroup
		for _, id := range ids {
			work.Go(func() {
				begun := time.Now()
				_, err := s.Get(t.Context(), id, nil)
				if err == nil || !strings.Contains(err.Error(), "occupied: busy") {
					t.Error(err)
				}
				if took := time.Since(begun); took > 4*time.Minute {
					t.Errorf("took %v", took)
				}
			})
		}
		work.Wait()
	})
}
