package fetch

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// dripping is a peer that never ends a blob, and counts what has come of it.
type dripping struct {
	*fakePeer
	came int64
}

func (d *dripping) Came() int64 { return d.came }

func TestWhoSaysNothingIsToldFromWhoSendsSlowly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := func(ctx context.Context, _ blobnet.ID, dst []byte) ([]byte, error) {
			<-ctx.Done()
			return dst, ctx.Err()
		}
		s := newSwarm(t, Config{})
		if _, waits := s.Came(); waits {
			t.Error("nothing is wanted, and is waited for")
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		id := blobnet.Sum([]byte("wanted"))
		go s.Get(ctx, id, nil)
		<-time.After(30 * time.Second) // the swarm looks whether there is somebody
		if _, waits := s.Came(); !waits {
			t.Error("nobody can be asked, and nothing is waited for")
		}
		d := &dripping{fakePeer: &fakePeer{name: "drips", get: silent}}
		s.Add(d)
		synctest.Wait()
		before, waits := s.Came()
		d.came = 1
		if after, _ := s.Came(); !waits || after != before+1 {
			t.Errorf("waits %v; %d bytes had come, then %d", waits, before, after)
		}
		err := s.Nobody(time.Second)
		if !errors.Is(err, blobnet.ErrNotFound) || !strings.Contains(err.Error(), "within 1s: drips: no answer yet") || err.ID != id {
			t.Error(err)
		}
	})
}

func TestWhoSentWrongBytesIsNamedByLaterErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var bans Bans
		first := newSwarm(t, Config{StallTimeout: time.Second, Bans: &bans})
		first.Add(peerThat("liar", blobnet.ErrCorrupt))
		for _, text := range []string{"a", "b", "c", "a"} { // for c there is nobody left
			_, err := first.Get(t.Context(), blobnet.Sum([]byte(text)), nil)
			if err == nil || !strings.Contains(err.Error(), "liar: "+blobnet.ErrCorrupt.Error()) {
				t.Errorf("blob %s: %v", text, err)
			}
		}
		other := newSwarm(t, Config{StallTimeout: time.Second, Bans: &bans})
		other.Add(peerThat("liar", blobnet.ErrCorrupt))
		_, err := other.Get(t.Context(), blobnet.Sum([]byte("d")), nil)
		if err == nil || !strings.Contains(err.Error(), "liar: it misbehaved earlier") {
			t.Error(err)
		}
	})
}

// That nobody gives a blob says something about it only if somebody is there.
func TestWhoSaysThatHeHasNotIsToldFromWhoIsNotThere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		id := blobnet.Sum([]byte("wanted"))
		s := newSwarm(t, Config{StallTimeout: time.Second})
		began := time.Now()
		s.Add(peerThat("unreachable", errors.New("no route")))
		s.Add(peerThat("busy", blobnet.ErrBusy))
		if _, err := s.Get(t.Context(), id, nil); !errors.Is(err, blobnet.ErrNotFound) || s.Answered(began) {
			t.Errorf("%v; answered %v", err, s.Answered(began))
		}
		s.Add(peerThat("honest", blobnet.ErrNotFound))
		if _, err := s.Get(t.Context(), id, nil); !errors.Is(err, blobnet.ErrNotFound) || !s.Answered(began) {
			t.Errorf("%v; answered %v", err, s.Answered(began))
		}
		<-time.After(time.Minute)
		if s.Answered(time.Now().Add(-30 * time.Second)) {
			t.Error("an old answer counts")
		}
	})
}
