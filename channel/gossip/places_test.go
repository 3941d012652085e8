package gossip

import (
	"context"
	"fmt"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestFirstRequestHasToArriveWholeSoon(t *testing.T) {
	for name, drip := range map[string]time.Duration{"one byte": time.Hour, "a byte a second": time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				near, far := net.Pipe()
				s := &server{ledger: newFakeLedger(), patience: 15 * time.Second}
				ended := make(chan error, 1)
				begun := time.Now()
				go func() {
					ended <- s.serve(t.Context(), far, func(context.Context, int) error { return nil })
					_ = far.Close()
				}()
				go func() {
					for i := 0; ; i++ {
						b := []byte{0, 0, 15, 0, 1}[min(i, 4)] // a length, and then some
						if _, err := near.Write([]byte{b}); err != nil {
							return
						}
						select {
						case <-time.After(drip):
						case <-t.Context().Done():
							return
						}
					}
				}()
				if err := <-ended; err == nil || time.Since(begun) > firstWait {
					t.Errorf("after %v: %v", time.Since(begun), err)
				}
				_ = near.Close()
			})
		})
	}
}

// asks sends one request and reads its answer.
func asks(s network.Stream) error {
	if err := writeFrame(s, request{Kind: askHeads, Keys: []channel.Hash{{1}}}, maxRequest, time.Second); err != nil {
		return err
	}
	_ = s.SetReadDeadline(time.Now().Add(waitLimit))
	_, err := readFrame(s, maxFrame)
	return err
}

func TestWaitingStreamsOfManyIdentitiesKeepNobodyOut(t *testing.T) {
	n := newNode(t, "")
	if _, err := n.gossip.up(t.Context()); err != nil {
		t.Fatal(err)
	}
	open := func(h host.Host) network.Stream {
		s, err := h.NewStream(t.Context(), n.host.ID(), SyncProtocol)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Reset() })
		return s
	}
	honest := newHost(t)
	connect(t, honest, n.host)
	for range maxServed / MaxStreams {
		h := newHost(t)
		connect(t, h, n.host)
		for i := range MaxStreams {
			s := open(h)
			if i > 0 { // one byte alone
				if _, err := s.Write([]byte{0}); err != nil {
					t.Fatal(err)
				}
			} else if err := asks(s); err != nil { // and silence after an answer
				t.Fatal(err)
			}
		}
	}
	n.poll("all places to be taken", func() bool {
		n.gossip.served.mu.Lock()
		defer n.gossip.served.mu.Unlock()
		return len(n.gossip.served.places) == maxServed
	})
	if err := asks(open(honest)); err != nil {
		t.Errorf("an honest peer was not answered: %v", err)
	}
}

func TestWhoWaitsLongestMakesRoomAndWhoIsAnsweredDoesNot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServed()
		cut := make(map[int]bool)
		var places []*place
		begin := func(p string) *place {
			i := len(places)
			q := s.begin(peer.ID(p), func() { cut[i] = true })
			places = append(places, q)
			<-time.After(time.Millisecond)
			return q
		}
		for i := range maxServed {
			if begin(fmt.Sprint(i/MaxStreams)) == nil {
				t.Fatalf("stream %d has no place", i)
			}
		}
		s.answers(places[0])
		s.answers(places[1])
		s.waits(places[1]) // it waits anew
		if begin("new") == nil || len(cut) != 1 || !cut[2] {
			t.Errorf("cut are %v, want 2", cut)
		}
		if s.answers(places[2]) {
			t.Error("who lost its place is answered")
		}
		s.end(places[2])
		for q := range s.places {
			s.answers(q)
		}
		if begin("another") != nil || len(cut) != 1 {
			t.Error("a stream lost its place as it was answered")
		}
		for q := range s.places {
			s.end(q)
		}
		if s.leaving != 0 || len(s.places) != 0 {
			t.Errorf("%d places, %d leaving", len(s.places), s.leaving)
		}
	})
}
