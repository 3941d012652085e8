package gossip

import (
	"context"
	"fmt"
	"io"
	"iter"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// stalls is a peer that takes requests and never answers, until the test ends.
func stalls(t *testing.T, a *author) peer.AddrInfo {
	stalled := make(chan struct{})
	t.Cleanup(func() { close(stalled) })
	h, _ := hostileHost(t, a.id, func(c net.Conn) {
		skip(c)
		<-stalled
	})
	return infoOf(h)
}

func TestStallingFollowersDoNotHoldUpSyncAll(t *testing.T) {
	a := newAuthor(t, "stalled")
	mirror := newNode(t, "")
	a.keep(mirror, 3)
	n := newNode(t, "", func(c *Config) {
		c.Patience = waitLimit
		var found []peer.AddrInfo
		for range maxDialling + 1 { // the honest one is not among the first to be asked
			found = append(found, stalls(t, a))
		}
		found = append(found, infoOf(mirror.host))
		c.Find = func(context.Context, [32]byte) iter.Seq[peer.AddrInfo] {
			return func(yield func(peer.AddrInfo) bool) {
				for _, i := range found {
					if !yield(i) {
						return
					}
				}
			}
		}
	})
	if err := n.ledger.Expect(t.Context(), a.id, catalog.Followed); err != nil { // and no sessions beside SyncAll's
		t.Fatal(err)
	}
	begun := time.Now()
	answered, err := n.gossip.SyncAll(t.Context(), a.id)
	if answered != 1 || err != nil {
		t.Errorf("%d answered, want 1; %v", answered, err)
	}
	if n.seq(a) != 3 {
		t.Errorf("have %d releases, want 3", n.seq(a))
	}
	if took := time.Since(begun); took > time.Minute {
		t.Errorf("SyncAll took %v", took)
	}
}

// Whoever stalls takes a turn of a moment, also where he is one of many that are
// connected, that take the question and never answer. Simulated time.
func TestManySilentNeighboursDoNotBlindWhoBrowses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := &Gossip{conduct: newConduct()}
		silent := make([]peer.ID, maxNeighbours)
		for i := range silent {
			silent[i] = peer.ID(fmt.Sprint("silent ", i))
		}
		honest := peer.ID("honest")
		silent[len(silent)-1] = honest // the last to be asked
		begun := time.Now()
		answered, err := g.all(t.Context(), asking{target: target{topic: "radio"}, also: silent, ask: func(ctx context.Context, p peer.ID) error {
			if p == honest {
				t.Logf("asked after %v", time.Since(begun))
				return nil
			}
			<-ctx.Done()
			return ctx.Err()
		}})
		if len(answered) != 1 || err != nil {
			t.Errorf("%d answered, %v", len(answered), err)
		}
		if took := time.Since(begun); took > 5*time.Second {
			t.Errorf("took %v", took)
		}
	})
}

// Who wants to hear several does not go with the first that answers, nor wait for ever
// where there are fewer. Simulated time.
func TestWhoWantsSeveralAnswersWaitsForThem(t *testing.T) {
	for name, c := range map[string]struct {
		after  []time.Duration // until each answers
		enough int
		want   int
		within time.Duration
	}{
		"one is enough":   {[]time.Duration{0, 4 * time.Second, 4 * time.Second}, 1, 1, 2 * time.Second},
		"the third late":  {[]time.Duration{0, time.Second, 4 * time.Second, time.Hour}, 3, 3, 6 * time.Second},
		"there are fewer": {[]time.Duration{0, 4 * time.Second, time.Hour}, 3, 2, 7 * time.Second},
		"all answered":    {[]time.Duration{0, 0}, 3, 2, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g := &Gossip{conduct: newConduct()}
				a := asking{enough: c.enough, rest: 5 * time.Second}
				after := map[peer.ID]time.Duration{}
				for i, d := range c.after {
					p := peer.ID(fmt.Sprint(i))
					a.also, after[p] = append(a.also, p), d
				}
				a.ask = func(ctx context.Context, p peer.ID) error {
					select {
					case <-time.After(after[p]):
						return nil
					case <-ctx.Done():
						return ctx.Err()
					}
				}
				begun := time.Now()
				who, err := g.all(t.Context(), a)
				if took := time.Since(begun); len(who) != c.want || err != nil || took > c.within {
					t.Errorf("%d answered within %v, %v", len(who), took, err)
				}
			})
		})
	}
}

// The same with real hosts: 64 that are connected, take the stream and never answer,
// and one that answers.
func TestAnHonestNeighbourAnswersAmongSilentOnes(t *testing.T) {
	t.Parallel()
	a := newAuthor(t, "listed", "radio")
	publisher := newNode(t, "")
	reader := newNode(t, "", func(c *Config) { c.Patience = waitLimit })
	a.publish(publisher, 1)
	<-reader.gossip.started
	for range 64 {
		h := newHost(t)
		h.SetStreamHandler(SyncProtocol, func(s network.Stream) { _, _ = io.Copy(io.Discard, s) })
		connect(t, reader.host, h)
	}
	connect(t, reader.host, publisher.host)
	for try := 1; ; try++ { // a machine that is very busy may miss the time for a stream
		n, err := reader.gossip.Browse(t.Context(), "radio")
		if err == nil && n == 1 {
			break
		}
		if try == 3 {
			t.Fatalf("%d answered, %v", n, err)
		}
	}
	if info, err := reader.ledger.Channel(t.Context(), a.id); err != nil || !info.HasRoot {
		t.Errorf("found: %+v, %v", info, err)
	}
}

func TestWhoHasNewsIsNotCutOffBesideAStallingFollower(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := newInterest(target{channel: newAuthor(t, "news").id})
		begun := time.Now()
		go func() {
			<-time.After(othersWait - time.Second)
			in.moved()
		}()
		in.quiet(othersWait, nil)
		if took := time.Since(begun); took != 2*othersWait-time.Second {
			t.Errorf("waited %v", took)
		}
	})
}
