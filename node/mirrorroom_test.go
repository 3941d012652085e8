package node

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// A store that is full has nothing asked of others again because somebody has news: what
// comes is thrown away.
func TestWhatDoesNotFitIsNotFetchedAgainWithEachNews(t *testing.T) {
	t.Parallel()
	s := newStaked(t, "quota", "20000")
	s.m.fleet.req.Copies = 2 // all of it is everybody's
	release := func(files, size int) int64 {
		var body channel.Body
		for i := range files {
			e := channeltest.Entry(fmt.Sprintf("file %d of %d", i, files), 1000)
			blob := append([]byte(e.Name), make([]byte, size)...)
			e.Root.ID = blobnet.Sum(blob)
			body.Entries = append(body.Entries, e)
			s.put(s.owner.Store, map[blobnet.ID][]byte{e.Root.ID: blob}, e.Root.ID)
		}
		offerAll(t, s.n, s.c.Release(body))
		r, err := s.n.catalog.Release(t.Context(), s.c.ID, s.c.Hash)
		if err != nil {
			t.Fatal(err)
		}
		return r.Position
	}
	large := release(5, 10_000)
	if left, err := s.m.catchUp(t.Context()); left != 1 || !errors.Is(err, blobnet.ErrFull) {
		t.Fatalf("%d left, %v; want it not to fit", left, err)
	}
	gets := s.owner.gets.Load()
	if gets == 0 {
		t.Fatal("nothing was asked for")
	}
	for range 20 {
		s.m.mu.Lock()
		wait := s.m.noRoom[large]
		wait.until = wait.until.Add(testPatience) // this machine may be slow
		s.m.noRoom[large] = wait
		s.m.mu.Unlock()
		if left, err := s.m.catchUp(t.Context()); left != 1 || err != nil {
			t.Fatalf("%d left, %v", left, err)
		}
	}
	if more := s.owner.gets.Load() - gets; more > 0 {
		t.Errorf("it was asked for %d blobs more", more)
	}
	small := release(1, 100)
	if left, err := s.m.catchUp(t.Context()); left != 1 || err != nil || !s.m.whole.has(small) {
		t.Errorf("%d left, %v; want what fits to be here", left, err)
	}
}

// At first those who have it may not be reached yet.
func TestMissingBlobsAreToldAtTheSecondTry(t *testing.T) {
	t.Parallel()
	n, c := runningNode(t), channeltest.NewChannel(t, "c")
	_, m, events := aloneInAFleet(t, n, c)
	m.fleet = nil
	var err error
	if m.swarm, err = fetch.New(fetch.Config{Store: n.blobs.Keeper(), StallTimeout: time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	offerAll(t, n, c.Files("a"))
	for try := range 3 {
		if left, err := m.catchUp(t.Context()); left != 1 || err != nil {
			t.Fatalf("%d left, %v", left, err)
		}
		if told := len(events.all); told != try {
			t.Errorf("after try %d it was told %d times", try+1, told)
		}
	}
}
