package fetch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestPeerThatWasTooSlowIsToldThatAnotherWasSooner(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		cause := make(chan error, 8)
		slow := &fakePeer{name: "slow", get: func(ctx context.Context, _ blobnet.ID, dst []byte) ([]byte, error) {
			<-ctx.Done()
			cause <- context.Cause(ctx)
			return dst, ctx.Err()
		}}
		s := newSwarm(t, Config{}, slow)
		got := make(chan error)
		go func() {
			_, err := s.Get(t.Context(), blobnet.Sum(b), nil)
			got <- err
		}()
		synctest.Wait()
		s.Add(peerWith("quick", b))
		if err := <-got; err != nil {
			t.Fatal(err)
		}
		if err := <-cause; !errors.Is(err, blobnet.ErrGiven) {
			t.Errorf("the cause is %v", err)
		}

		s.Remove("quick")
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			_, err := s.Get(ctx, blobnet.ID{1}, nil)
			got <- err
		}()
		synctest.Wait()
		cancel()
		<-got
		if err := <-cause; errors.Is(err, blobnet.ErrGiven) {
			t.Error("nobody gave what was cancelled")
		}
	})
}
