package fetch

import (
	"context"
	"errors"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestABlobThatOneCanDoWithoutIsNotWaitedForWhenAllSayTheyHaveItNot(t *testing.T) {
	const stall = time.Minute
	for name, test := range map[string]struct {
		peers []Peer
		want  time.Duration
	}{
		"all have it not":         {[]Peer{peerWith("a"), peerWith("b")}, time.Second},
		"one cannot be reached":   {[]Peer{peerWith("a"), peerThat("b", errors.New("unreachable"))}, 2 * time.Second},
		"one is busy":             {[]Peer{peerWith("a"), peerThat("b", blobnet.ErrBusy)}, stall},
		"none can be reached":     {[]Peer{peerThat("b", errors.New("unreachable"))}, stall},
		"there is nobody to ask":  {nil, stall},
		"they can be asked first": {[]Peer{haver{peerWith("a"), func(ids []blobnet.ID) []bool { return make([]bool, len(ids)) }}}, 3 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSwarm(t, Config{StallTimeout: stall})
				for _, p := range test.peers {
					s.Add(p)
				}
				id := blobnet.Sum([]byte("nobody's"))
				w := Want{ID: id, Class: blobnet.Foreground, Patience: time.Second, Optional: true}
				begun := time.Now()
				if _, err := s.Fetch(t.Context(), w, nil); !errors.Is(err, blobnet.ErrNotFound) {
					t.Error(err)
				}
				if took := time.Since(begun); test.want < stall && took > test.want || test.want == stall && took < stall {
					t.Errorf("took %v, want %v", took, test.want)
				}
				begun = time.Now()
				got := 0
				if err := Each(t.Context(), s, once(id), func(blobnet.ID) Want { return w }, func(_ blobnet.ID, blob []byte, _ bool) error {
					if got++; blob != nil {
						t.Error("a blob that nobody has")
					}
					return nil
				}); err != nil || got != 1 {
					t.Errorf("delivered %d times, %v", got, err)
				}
				if took := time.Since(begun); test.want < stall && took > test.want || test.want == stall && took < stall {
					t.Errorf("an Each took %v, want %v", took, test.want)
				}
			})
		})
	}
}

func TestWhoCannotDoWithoutABlobWaitsForItBesideOneWhoCan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		s := newSwarm(t, Config{StallTimeout: time.Minute})
		s.Add(peerWith("a"))
		time.AfterFunc(30*time.Second, func() { s.Add(peerWith("late", b)) })
		go s.Fetch(t.Context(), Want{ID: blobnet.Sum(b), Class: blobnet.Foreground, Patience: time.Second}, nil)
		synctest.Wait()
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Error(err)
		}
	})
}

func once(id blobnet.ID) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) { yield(id, nil) }
}

// haver is a peer that can be asked what it has.
type haver struct {
	*fakePeer
	have func(ids []blobnet.ID) []bool
}

func (h haver) Have(_ context.Context, ids []blobnet.ID) ([]bool, error) { return h.have(ids), nil }
