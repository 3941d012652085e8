package gossip

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// listener is a node whose topics have few places.
func newListener(t *testing.T, places int) (*node, *catalog.Catalog) {
	t.Helper()
	ledger, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "listener.db"), MaxPlaces: places})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = ledger.Close() }) // after the node has stopped
	return newNode(t, "", func(c *Config) { c.Ledger, c.Patience = ledger, waitLimit }), ledger
}

// patient is a node for a machine that is busy with much.
func patient(c *Config) { c.Patience = waitLimit }

// madeUp gives a node channels that nobody could tell from honest ones.
func madeUp(t *testing.T, n *node, what string, count int) (roots [][]byte) {
	t.Helper()
	for i := range count {
		roots = append(roots, newAuthor(t, fmt.Sprint(what, " ", i)).founding)
	}
	if err := n.ledger.Append(t.Context(), roots...); err != nil {
		t.Fatal(err)
	}
	return roots
}

// An adversary with several nodes, which speak the protocols as they are, lists
// thousands of channels by sync and by gossip. What was there before stays, and
// what an honest node names afterwards still comes in.
func TestSybilChannelsByTheThousandHideNoHonestOne(t *testing.T) {
	const places, each = 48, 400
	n, ledger := newListener(t, places)
	if err := n.gossip.Listen("test"); err != nil {
		t.Fatal(err)
	}
	var peers []*node
	sync := func() {
		t.Helper()
		for _, p := range peers {
			if _, err := n.gossip.talk(t.Context(), p.host.ID(), []want{{target: target{topic: "test"}}}); err != nil {
				t.Fatal(err)
			}
		}
	}
	meet := func(p *node) {
		t.Helper()
		connect(t, n.host, p.host)
		peers = append(peers, p)
	}
	knows := func(a *author) bool {
		t.Helper()
		_, err := ledger.Channel(t.Context(), a.id)
		if err != nil && !errors.Is(err, catalog.ErrUnknown) {
			t.Fatal(err)
		}
		return err == nil
	}
	old, young := newAuthor(t, "old"), newAuthor(t, "young")
	first, second := newNode(t, "", patient), newNode(t, "", patient)
	old.keep(first, 1)
	young.keep(second, 1)
	meet(first)
	sync()
	if !knows(old) {
		t.Fatal("the first channel was not found")
	}

	// By sync, and by gossip in the topic's room.
	for i := range 3 {
		evil := newNode(t, "", patient)
		roots := madeUp(t, evil, fmt.Sprint("evil ", i), each)
		if err := evil.gossip.Listen("test"); err != nil {
			t.Fatal(err)
		}
		meet(evil)
		for _, r := range roots[:50] {
			if err := evil.gossip.broadcast(t.Context(), target{topic: "test"}, [][]byte{r}); err != nil {
				t.Fatal(err)
			}
		}
	}
	sync()
	listed := func() int {
		l, err := ledger.ListedOn(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		return len(l)
	}
	n.poll("the flood", func() bool { return listed() == places })
	if !knows(old) {
		t.Error("the flood pushed out what was there before")
	}

	meet(second)
	sync()
	sync() // all of them again
	if !knows(young) || !knows(old) || listed() != places {
		t.Errorf("old %v, young %v, %d listed", knows(old), knows(young), listed())
	}
}

// Who asks for a topic is told of the channels below it, and who listens to it in
// gossip hears of none: a topic far up would else carry everything.
func TestTopicsAboveHearOfAChannelBySync(t *testing.T) {
	a := newAuthor(t, "deep", "software/linux/kernel")
	mirror, asks := newNode(t, ""), newNode(t, "")
	a.keep(mirror, 1)
	connect(t, asks.host, mirror.host)
	for _, topic := range []string{"software", "software/linux"} {
		if err := asks.gossip.Listen(topic, infoOf(mirror.host)); err != nil {
			t.Fatal(err)
		}
		if n, err := asks.gossip.SyncTopic(t.Context(), topic); err != nil || n != 1 {
			t.Fatalf("%s: %d answered, %v", topic, n, err)
		}
	}
	if topics, err := asks.ledger.Topics(t.Context()); err != nil || !slices.Equal(topics, []string{"software/linux/kernel"}) {
		t.Errorf("known: %q, %v", topics, err)
	}
	if _, err := checkListing("software", [][]byte{a.founding}, false); !errors.Is(err, channel.ErrMalformed) {
		t.Errorf("in the room of the topic above: %v", err)
	}
	if _, err := checkListing("soft", [][]byte{a.founding}, true); !errors.Is(err, channel.ErrMalformed) {
		t.Errorf("in the listing of what only begins alike: %v", err)
	}
}

func TestTopicsAboveAreAnnouncedWithinBounds(t *testing.T) {
	if got := announcedTopics([]string{"a/b/c", "a/d"}); !slices.Equal(got, []string{"a/b/c", "a/d", "a/b", "a"}) {
		t.Errorf("%q", got)
	}
	var many []string
	for i := range channel.MaxTopics {
		many = append(many, fmt.Sprintf("%d/b/c/d/e/f/g/h", i))
	}
	if got := announcedTopics(many); len(got) != channel.MaxTopics+maxParents {
		t.Errorf("%d topics", len(got))
	}
}

// One hand's followers are one vote, however many rooms and identities it has.
func TestFollowersAreCountedAndWeighed(t *testing.T) {
	a, b := newAuthor(t, "followed"), newAuthor(t, "not followed")
	mirror, n := newNode(t, ""), newNode(t, "")
	a.keep(mirror, 1)
	for _, x := range []*author{a, b} {
		if err := n.ledger.List(t.Context(), x.id, "test", "somebody"); err != nil {
			t.Fatal(err)
		}
		if _, err := n.ledger.Offer(t.Context(), x.founding); err != nil {
			t.Fatal(err)
		}
	}
	connect(t, n.host, mirror.host)
	ids := []channel.ID{a.id, b.id}
	if err := mirror.gossip.Follow(a.id); err != nil {
		t.Fatal(err)
	}
	n.poll("a follower", func() bool { return len(n.gossip.sightings(ids)) > 0 })
	if got := n.gossip.sightings(ids); len(got) != 1 || got[0] != (catalog.Sighting{Channel: a.id, Followers: 1, Weight: vote}) {
		t.Errorf("%+v", got)
	}
	if err := n.gossip.Survey(t.Context(), "test"); err != nil {
		t.Fatal(err)
	}
}

func TestOneHandIsAPartOfTheNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/192.0.2.77/tcp/4001":               "192.0.2.0",
		"/ip6/2001:db8:1:2::5/udp/1/quic-v1":     "2001:db8:1::",
		"/ip4/127.0.0.1/tcp/1":                   "",
		"/ip4/10.1.2.3/tcp/1":                    "",
		"/ip4/192.0.2.7/tcp/1/p2p/x/p2p-circuit": "",
		"/dns4/example.org/tcp/1":                "",
		"":                                       "",
	} {
		if got, ok := partOf(addr); got != want || ok != (want != "") {
			t.Errorf("%s: %q", addr, got)
		}
	}
}
