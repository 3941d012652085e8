package gossip

import (
	"context"
	"iter"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/channel/catalog"
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
	if took := time.Since(begun); took > 4*othersWait {
		t.Errorf("SyncAll took %v", took)
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
