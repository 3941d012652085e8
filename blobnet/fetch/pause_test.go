package fetch

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// A peer's pause ends although nobody wanted anything when it began to end.
func TestPauseOfThePeerEndsForTheNextWhoComes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		p := peerWith("p", b)
		inner := p.get
		p.get = func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
			if p.requests() == 1 {
				return dst, busy(7 * time.Second)
			}
			return inner(ctx, id, dst)
		}
		s := newSwarm(t, Config{}, p)
		begun := time.Now()
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := s.Get(first, blobnet.Sum(b), nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begun); took != 7*time.Second {
			t.Errorf("took %v", took)
		}
	})
}
