package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestReadersBytesComeWithoutTheRestOfTheBlob(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(1)
		p := newSimPeer("p", all, newPipe(1.25e6), 50*time.Millisecond) // 10 Mbit/s
		store := newBlobMap()
		s := newSwarm(t, Config{Store: store}, simRanger{p})
		blob := all.blobs[wants[0].ID]
		begun := time.Now()
		got, err := s.FetchRange(t.Context(), wants[0], 500_001, 64<<10, []byte("x"))
		if err != nil || !bytes.Equal(got[1:], blob[500_001:500_001+64<<10]) || got[0] != 'x' {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
		if took := time.Since(begun); took > 120*time.Millisecond || p.sent() > 96<<10 {
			t.Errorf("took %v and %d bytes", took, p.sent())
		}
		if store.puts != 0 {
			t.Error("a part was stored")
		}
		// Of a blob that is here nothing is asked for.
		if _, err := s.Fetch(t.Context(), wants[0], nil); err != nil {
			t.Fatal(err)
		}
		before := p.gets
		got, err = s.FetchRange(t.Context(), wants[0], 1<<20-10, 10, nil)
		if err != nil || !bytes.Equal(got, blob[1<<20-10:]) || p.gets != before {
			t.Errorf("%d bytes, %v, %d requests", len(got), err, p.gets-before)
		}
	})
}

func TestReadersOfOnePartShareIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(1)
		p := newSimPeer("p", all, newPipe(1e6), 10*time.Millisecond)
		s := newSwarm(t, Config{}, simRanger{p})
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				r := blobnet.Range{Tree: wants[0].Tree, Size: wants[0].Size, Offset: 32<<10 + i*100, Length: 5000}
				got, err := s.GetRange(t.Context(), wants[0].ID, r, nil)
				if err != nil || !bytes.Equal(got, all.blobs[wants[0].ID][r.Offset:r.Offset+r.Length]) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if p.gets != 1 || p.sent() != 16<<10 {
			t.Errorf("%d requests, %d bytes", p.gets, p.sent())
		}
	})
}

func TestPartOfABlobFromPeersThatGiveNone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(1)
		w := wants[0]
		plain := newSimPeer("plain", all, newPipe(1e6), 10*time.Millisecond)
		s := newSwarm(t, Config{}, plain)
		get := func(name string) {
			t.Helper()
			got, err := s.FetchRange(t.Context(), w, 100, 100, nil)
			if err != nil || !bytes.Equal(got, all.blobs[w.ID][100:200]) {
				t.Errorf("%s: %v", name, err)
			}
		}
		get("one that gives whole blobs alone")
		s.Remove("plain")
		s.Add(unranger{newSimPeer("old", all, newPipe(1e6), 10*time.Millisecond)})
		get("one that says that it cannot")
		for _, r := range [][2]int{{-1, 5}, {0, 0}, {1 << 20, 1}, {1<<20 - 1, 2}, {0, 1 << 30}, {1 << 62, 1 << 62}} {
			if _, err := s.FetchRange(t.Context(), w, r[0], r[1], nil); err == nil || errors.Is(err, blobnet.ErrNotFound) {
				t.Errorf("%v: %v", r, err)
			}
		}
	})
}

// unranger refuses to give parts.
type unranger struct{ *simPeer }

func (unranger) GetRange(_ context.Context, _ blobnet.ID, _ blobnet.Range, dst []byte) ([]byte, error) {
	return dst, fmt.Errorf("refused: %w", errors.ErrUnsupported)
}

func TestSlowPeersLastBlobIsTakenOverInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(1)
		slow := newSimPeer("slow", all, newPipe(20e3), 10*time.Millisecond)
		s := newSwarm(t, Config{}, simRanger{slow})
		var fast []*simPeer
		time.AfterFunc(2*time.Second, func() {
			s.mu.Lock()
			s.raced = time.Now() // all of them are there when it is looked again
			s.mu.Unlock()
			for i := range 4 {
				fast = append(fast, newSimPeer(fmt.Sprint("fast", i), all, newPipe(2e6), 10*time.Millisecond))
				s.Add(simRanger{fast[i]})
			}
		})
		begun := time.Now()
		got, err := s.Fetch(t.Context(), wants[0], nil)
		if err != nil || blobnet.Sum(got) != wants[0].ID {
			t.Fatal(err)
		}
		if took := time.Since(begun); took > 2*time.Second+500*time.Millisecond {
			t.Errorf("took %v", took)
		}
		parts := 0
		for _, p := range fast {
			if p.sent() > 512<<10 {
				t.Errorf("%s gave %d bytes", p.name, p.sent())
			}
			if p.sent() > 0 {
				parts++
			}
		}
		if parts < 2 {
			t.Errorf("%d peers gave parts", parts)
		}
	})
}

// wrongTree gives, as every honest peer would, an error for parts of a blob
// whose tree the publisher told wrong.
type wrongTree struct{ *simPeer }

func (wrongTree) GetRange(_ context.Context, _ blobnet.ID, _ blobnet.Range, dst []byte) ([]byte, error) {
	return dst, blobnet.ErrCorrupt
}

func TestPublishersWrongTreeBansNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all, wants := simBlobs(8)
		var peers []Peer
		for i := range 3 {
			peers = append(peers, wrongTree{newSimPeer(fmt.Sprint("p", i), all, newPipe(1e6), 10*time.Millisecond)})
		}
		s := newSwarm(t, Config{}, peers...)
		begun := time.Now()
		for _, w := range wants {
			got, err := s.FetchRange(t.Context(), w, 1000, 1000, nil)
			if err != nil || !bytes.Equal(got, all.blobs[w.ID][1000:2000]) {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); len(s.Peers()) != 3 || took > 20*time.Second {
			t.Errorf("peers %v, took %v", s.Peers(), took)
		}
	})
}
