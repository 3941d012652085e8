package fetch

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestFloodOfPeersIsBoundedAndDrivesOutNoneThatGives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := randomBlob(1000, 1)
		s := newSwarm(t, Config{}, peerWith("good", b))
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Fatal(err)
		}
		failing := peerThat("failing", errors.New("no route"))
		s.Add(failing)
		c := randomBlob(1000, 2)
		go s.Get(t.Context(), blobnet.Sum(c), nil)
		<-time.After(time.Minute)
		s.Add(peerWith("first", c)) // asked for nothing yet, and the oldest of these
		<-time.After(time.Minute)
		for i := range maxMembers - 3 {
			s.Add(peerWith(fmt.Sprint("more", i)))
		}
		if n := len(s.Peers()); n != maxMembers || !slices.Contains(s.Peers(), "failing") {
			t.Fatalf("%d peers", n)
		}
		s.Add(peerWith("another"))
		if slices.Contains(s.Peers(), "failing") || !slices.Contains(s.Peers(), "another") {
			t.Error("a peer that only fails keeps its place")
		}
		for i := range 10_000 {
			s.Add(peerWith(fmt.Sprint("flood", i)))
		}
		if got := s.Peers(); len(got) != maxMembers || !slices.Contains(got, "good") || slices.Contains(got, "more0") {
			t.Errorf("%d peers", len(got))
		}
		if _, err := s.Get(t.Context(), blobnet.Sum(b), nil); err != nil {
			t.Error(err)
		}
	})
}

func TestNewPeerFindsNoPlaceAmongThoseThatAllGive(t *testing.T) {
	s := newSwarm(t, Config{})
	for i := range maxMembers {
		s.Add(peerWith(fmt.Sprint("good", i)))
	}
	for _, m := range s.members {
		m.good = time.Now()
	}
	s.Add(peerWith("new"))
	if got := s.Peers(); len(got) != maxMembers || slices.Contains(got, "new") {
		t.Errorf("%d peers", len(got))
	}
}

func TestWhatOnePeerHasNotIsRememberedWithinBounds(t *testing.T) {
	m := newMember(peerWith("p"), "p", 1<<20)
	now := time.Now()
	var id blobnet.ID
	for i := range 3 * maxMissing {
		id = blobnet.ID{byte(i), byte(i >> 8), byte(i >> 16)}
		m.hasNot(id, now, now.Add(time.Duration(i)*time.Second))
	}
	if len(m.missing) > maxMissing || !m.missing[id].After(now) {
		t.Errorf("%d remembered", len(m.missing))
	}
	// What has expired makes room for the others.
	later := m.missing[id].Add(-time.Second)
	for i := range maxMissing - 1 {
		m.hasNot(blobnet.ID{1, byte(i), byte(i >> 8), 1}, later, later.Add(time.Minute))
	}
	if len(m.missing) > maxMissing || !m.missing[id].After(later) {
		t.Errorf("%d remembered", len(m.missing))
	}
}
