package node

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/mirror"
)

// otherMember is a member whose store may lie.
type otherMember struct {
	*memstore.Store
	lies  atomic.Bool            // it says that it has everything
	asked atomic.Pointer[func()] // before it says what it has
	gets  atomic.Int64
}

func (o *otherMember) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	o.gets.Add(1)
	return o.Store.Get(ctx, id, dst)
}

func (o *otherMember) Has(ctx context.Context, ids ...blobnet.ID) ([]bool, error) {
	if asked := o.asked.Load(); asked != nil {
		(*asked)()
	}
	has, err := o.Store.Has(ctx, ids...)
	for i := range has {
		has[i] = has[i] || o.lies.Load()
	}
	return has, err
}

// staked is a member that is asked to let go of a release that another owns.
type staked struct {
	*testing.T
	n      *Node
	m      *mirroring
	c      *channeltest.Channel
	events *told
	owner  *otherMember
	count  int

	garbled bool // inventories are none
}

func newStaked(t *testing.T, values ...any) *staked {
	t.Helper()
	n, c := runningNode(t, values...), channeltest.NewChannel(t, "c")
	f, m, events := aloneInAFleet(t, n, c)
	s := &staked{T: t, n: n, m: m, c: c, events: events, owner: &otherMember{Store: memstore.New(memstore.Config{})}}
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	x, err := exchange.New(exchange.Config{Host: h, Store: s.owner})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- x.Run(context.Background()) }()
	t.Cleanup(func() { x.Close(); <-ended })
	for !slices.Contains(h.Mux().Protocols(), exchange.Protocol) {
		runtime.Gosched()
	}
	if err := n.net.host.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
		t.Fatal(err)
	}
	name := h.ID().String()
	f.req.Copies = 1
	f.live = []mirror.Beat{{Peer: name, Channels: []string{c.ID.String()}}}
	f.peers[name] = n.net.exchange.Peer(h.ID())
	return s
}

// blind publishes a release of so many blobs that is the other member's to keep. The
// first of ids is the inventory of the others.
func (s *staked) blind(count int) (r catalog.Release, ids []blobnet.ID, data map[blobnet.ID][]byte) {
	s.Helper()
	for {
		if r, ids, data = s.release(count, 100); !s.m.owns(r) {
			return r, ids, data
		}
	}
}

// release publishes one of so many blobs of a size.
func (s *staked) release(count, size int) (r catalog.Release, ids []blobnet.ID, data map[blobnet.ID][]byte) {
	s.Helper()
	s.count++
	data = map[blobnet.ID][]byte{}
	for i := range count {
		b := append(fmt.Appendf(nil, "blob %d of %d", i, s.count), make([]byte, size)...)
		id := blobnet.Sum(b)
		ids, data[id] = append(ids, id), b
	}
	slices.SortFunc(ids, blobnet.ID.Compare)
	lists := memstore.New(memstore.Config{})
	top, err := codec.EncodeInventory(s.Context(), lists, ids)
	if err != nil {
		s.Fatal(err)
	}
	if data[top], err = lists.Get(s.Context(), top, nil); err != nil {
		s.Fatal(err)
	}
	if s.garbled {
		garbage := fmt.Appendf(nil, "no inventory %d", s.count)
		top = blobnet.Sum(garbage)
		data[top] = garbage
	}
	offerAll(s.T, s.n, s.c.Blind(channeltest.Ref(fmt.Sprint("body", s.count), 1000), top))
	if r, err = s.n.catalog.Release(s.Context(), s.c.ID, s.c.Hash); err != nil {
		s.Fatal(err)
	}
	return r, append([]blobnet.ID{top}, ids...), data
}

func (s *staked) put(store blobnet.Store, data map[blobnet.ID][]byte, ids ...blobnet.ID) {
	s.Helper()
	for _, id := range ids {
		if err := store.Put(s.Context(), id, data[id]); err != nil {
			s.Fatal(err)
		}
	}
}

// keeps has a release kept, as by an owner.
func (s *staked) keeps(r catalog.Release) {
	s.Helper()
	if _, err := s.m.mark(s.Context(), r); err != nil {
		s.Fatal(err)
	}
}

func (s *staked) sweep() error { s.Helper(); return s.m.sweep(s.Context()) }

// pinned wants ids to be pinned, or not to be.
func (s *staked) pinned(what string, want bool, ids ...blobnet.ID) {
	s.Helper()
	is, err := s.n.disk.Pinned(s.Context(), ids...)
	if err != nil {
		s.Fatal(err)
	}
	for i, ok := range is {
		if ok != want {
			s.Fatalf("%s: blob %d of %d is pinned: %v, want %v; told was %q", what, i, len(ids), ok, want, s.events.errors())
		}
	}
}

// goes has all gone through until ids are pinned no more, which they are at once where
// this machine is not slow.
func (s *staked) goes(what string, ids ...blobnet.ID) {
	s.Helper()
	for end := time.Now().Add(testPatience); ; {
		if err := s.sweep(); err != nil {
			s.Fatal(err)
		}
		is, err := s.n.disk.Pinned(s.Context(), ids...)
		if err != nil {
			s.Fatal(err)
		}
		if !slices.Contains(is, true) {
			return
		}
		if time.Now().After(end) {
			s.Fatalf("%s: pinned are %v; told was %q", what, is, s.events.errors())
		}
	}
}

// What is here of a release that nobody has whole may be the only copies: they stay
// until the owner has given them.
func TestAMemberLetsGoOfNoBytesThatAnOwnerHasNotProvedToHave(t *testing.T) {
	t.Parallel()
	s := newStaked(t)
	for _, c := range []struct {
		name   string
		absent int   // of 6 blobs, nobody has so many
		has    []int // which of them the owner has, the inventory being 0
		lies   bool  // and it says it has all
		goes   bool
	}{
		{"nothing", 1, nil, false, false},
		{"the list of blobs alone", 1, []int{0}, false, false},
		{"the list of blobs, and says it has all", 1, []int{0}, true, false},
		{"nothing, and says it has all", 1, nil, true, false},
		{"all but one of a release that is whole here", 0, []int{0, 1, 2, 3, 4, 5}, false, false},
		{"all but one of what there is", 1, []int{0, 1, 2, 3, 4}, false, false},
		{"all that there is, where the inventory lists what nobody has", 1, []int{0, 1, 2, 3, 4, 5}, false, true},
		{"all that there is, and says it has more", 1, []int{0, 1, 2, 3, 4, 5}, true, true},
		{"the list, of one blob", 5, []int{0}, true, false},
		{"the list, of three blobs", 3, []int{0}, true, false},
		{"three of four blobs", 3, []int{0, 1, 2}, false, false},
		{"all of a whole release", 0, []int{0, 1, 2, 3, 4, 5, 6}, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s.T = t
			r, ids, data := s.blind(6)
			here := ids[:len(ids)-c.absent]
			s.put(s.n.disk, data, here...)
			s.keeps(r)
			for _, i := range c.has {
				s.put(s.owner.Store, data, ids[i])
			}
			s.owner.lies.Store(c.lies)
			if c.goes {
				s.goes(c.name, here...)
				return
			}
			for range 5 { // what is asked for is chosen at random
				if err := s.sweep(); err != nil {
					t.Fatal(err)
				}
				s.pinned(c.name, true, here...)
			}
		})
	}
}

// The owner of a release with a body in the clear has what others can foresee as well.
func TestWhatIsHereOfAReadableReleaseStaysUntilTheOwnerHasIt(t *testing.T) {
	t.Parallel()
	s := newStaked(t)
	var r catalog.Release
	for i := 0; r.Position == 0 || s.m.owns(r); i++ {
		var body channel.Body
		for _, name := range []string{"a", "b", "c"} {
			body.Entries = append(body.Entries, channeltest.Entry(fmt.Sprint(name, i), 1000))
		}
		offerAll(t, s.n, s.c.Release(body))
		var err error
		if r, err = s.n.catalog.Release(t.Context(), s.c.ID, s.c.Hash); err != nil {
			t.Fatal(err)
		}
	}
	data, ids := map[blobnet.ID][]byte{}, []blobnet.ID{}
	for _, e := range r.Body.Entries {
		data[e.Root.ID] = fileBlob(e.Name)
		ids = append(ids, e.Root.ID)
	}
	s.put(s.n.disk, data, ids[1:]...) // the first nobody gave
	s.keeps(r)
	s.put(s.owner.Store, data, ids[:2]...)
	for range 3 {
		if err := s.sweep(); err != nil {
			t.Fatal(err)
		}
		s.pinned("it has what is not here", true, ids[1:]...)
	}
	s.put(s.owner.Store, data, ids[2])
	s.goes("it has it", ids...)
}

// All of a large release is asked for, not a choice of it, nor the first that fit into
// one question.
func TestOneBlobOfManyThatTheOwnerLacksKeepsThemAll(t *testing.T) {
	t.Parallel()
	s := newStaked(t)
	r, ids, data := s.blind(batch + 6)
	s.put(s.n.disk, data, ids...)
	s.keeps(r)
	s.put(s.owner.Store, data, ids...)
	for _, lacks := range []blobnet.ID{ids[1], ids[batch+5]} { // of the first question, and of the second
		if err := s.owner.Delete(t.Context(), lacks); err != nil {
			t.Fatal(err)
		}
		if err := s.sweep(); err != nil {
			t.Fatal(err)
		}
		s.pinned("one is lacking", true, ids...)
		s.put(s.owner.Store, data, lacks)
	}
	s.goes("it has all", ids...)
}

// Who was given a job may have the only copy, and it is not its own to keep. An owner
// that says it has it all is asked for some of it before that is believed.
func TestWhatIsHereUnpinnedStaysWhereTheOwnerOnlySaysThatItHasIt(t *testing.T) {
	t.Parallel()
	s := newStaked(t)
	r, ids, data := s.blind(6)
	s.put(s.n.disk, data, ids...)
	s.put(s.owner.Store, data, ids[0])
	s.owner.lies.Store(true)
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	s.m.mu.Lock()
	if s.m.stays[r.Position].IsZero() {
		t.Error("the owner is believed to have it")
	}
	s.m.stays[r.Position] = time.Now().Add(-time.Hour)
	s.m.mu.Unlock()
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	s.pinned("it lies", true, ids...)
	s.put(s.owner.Store, data, ids...)
	for end, spared := time.Now().Add(testPatience), false; !spared; {
		s.goes("it has it", ids...)
		s.m.mu.Lock()
		spared = s.m.spared.has(r.Position, time.Now())
		s.m.mu.Unlock()
		if !spared && time.Now().After(end) {
			t.Fatal("it is asked again and again for what it has given")
		}
	}
}

// What cannot be read, and what says nothing, is kept for what it is made of.
func TestWhatIsHereOfAReleaseThatSaysNothingStaysUntilTheOwnerHasIt(t *testing.T) {
	t.Parallel()
	for _, silent := range []bool{false, true} {
		t.Run(fmt.Sprintf("silent %v", silent), func(t *testing.T) {
			t.Parallel()
			s := newStaked(t)
			s.garbled = !silent
			r, ids, data := s.blind(3)
			r.Silent = silent
			body := fileBlob(fmt.Sprint("body", s.count))
			data[r.Ref.ID] = body
			s.put(s.n.disk, data, r.Ref.ID, ids[0])
			s.keeps(r)
			share := func() (keep bool) {
				t.Helper()
				s.m.mu.Lock()
				s.m.round++ // as a sweep does
				s.m.mu.Unlock()
				keep, _, lost, err := s.m.othersShare(t.Context(), r)
				if err != nil || lost {
					t.Fatalf("%v, lost %v", err, lost)
				}
				return keep
			}
			s.owner.lies.Store(true)
			s.put(s.owner.Store, data, ids[0])
			for range 3 {
				if !share() {
					t.Fatal("the owner has nothing but the inventory, and it goes")
				}
			}
			s.put(s.owner.Store, data, r.Ref.ID)
			for end := time.Now().Add(testPatience); share(); {
				if time.Now().After(end) {
					t.Fatal("the owner has it, and it stays")
				}
			}
		})
	}
}

// Of a release of which the first blob is kept no longer, such as after a kill halfway,
// the rest stays all the same.
func TestThatTheFirstBlobIsKeptNoLongerTakesNoneOfTheOthersAway(t *testing.T) {
	t.Parallel()
	s := newStaked(t)
	r, ids, data := s.blind(6)
	s.put(s.n.disk, data, ids...)
	s.keeps(r)
	for _, first := range []blobnet.ID{r.Ref.ID, ids[0]} {
		if err := s.m.ledger.Drop(t.Context(), [32]byte(s.c.ID), first); err != nil {
			t.Fatal(err)
		}
		if err := s.n.disk.Unpin(t.Context(), first); err != nil {
			t.Fatal(err)
		}
	}
	s.owner.lies.Store(true)
	s.put(s.owner.Store, data, ids[0])
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	s.pinned("the owner has the list", true, ids[1:]...)
}

// The list of a release is damaged on the disk: what is kept of it is not known, and
// nothing is let go of.
func TestAReleaseWhoseListIsLostStaysUntilTheListIsBack(t *testing.T) {
	t.Parallel()
	for _, own := range []bool{false, true} {
		t.Run(fmt.Sprintf("own %v", own), func(t *testing.T) {
			t.Parallel()
			s := newStaked(t)
			r, ids, data := s.blind(6)
			if own {
				s.m.fleet = nil // a mirror that is alone owns all
			}
			s.put(s.n.disk, data, ids...)
			s.keeps(r)
			s.put(s.owner.Store, data, ids[1:]...)
			if err := s.n.disk.Unpin(t.Context(), ids[0]); err != nil {
				t.Fatal(err)
			}
			if err := s.n.disk.Delete(t.Context(), ids[0]); err != nil {
				t.Fatal(err)
			}
			if err := s.n.disk.Pin(t.Context(), ids[0]); err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := s.sweep(); err == nil || !strings.Contains(err.Error(), fmt.Sprint("release ", r.Seq)) {
					t.Errorf("the sweep says %v", err)
				}
				s.pinned("the list is lost", true, ids[1:]...)
			}
			s.put(s.n.disk, data, ids[0])
			s.put(s.owner.Store, data, ids[0])
			if !own {
				s.goes("the list is back", ids...)
			} else if err := s.sweep(); err != nil {
				t.Error(err)
			} else {
				s.pinned("the list is back", true, ids...)
			}
		})
	}
}

// While it is asked who has what, members come and go: whoever has proved something may
// be an owner no more.
func TestNothingIsLetGoOfWhileMembersChange(t *testing.T) {
	t.Parallel()
	s := newStaked(t)
	r, ids, data := s.blind(6)
	s.put(s.n.disk, data, ids...)
	s.keeps(r)
	s.put(s.owner.Store, data, ids...)
	reset := s.m.reset
	s.owner.asked.Store(&reset)
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	s.pinned("they change", true, ids...)
	s.owner.asked.Store(nil)
	s.goes("they are the same", ids...)
}

// A catalogue that was lost knows of no release: that is no reason.
func TestAMirrorThatKnowsNoReleaseLetsGoOfNothing(t *testing.T) {
	t.Parallel()
	s := newStaked(t)
	ids, data := []blobnet.ID{blobnet.Sum([]byte("kept"))}, map[blobnet.ID][]byte{}
	data[ids[0]] = []byte("kept")
	s.put(s.n.disk, data, ids...)
	if err := s.m.pin(t.Context(), ids); err != nil {
		t.Fatal(err)
	}
	if err := s.sweep(); err != nil {
		t.Fatal(err)
	}
	s.pinned("nothing is known", true, ids...)
}
