package gossip

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestPublicationReachesFiveFollowersInALine(t *testing.T) {
	a := newAuthor(t, "line")
	nodes := make([]*node, 6)
	for i := range nodes {
		nodes[i] = newNode(t, "")
		if i > 0 {
			connect(t, nodes[i].host, nodes[i-1].host)
		}
	}
	a.publish(nodes[0], 1)
	for _, n := range nodes[1:] {
		n.follow(a)
	}
	for i := range nodes[1:] {
		nodes[i].awaitFollower(a.id, nodes[i+1])
		nodes[i+1].awaitFollower(a.id, nodes[i])
		nodes[i+1].awaitAll(a)
	}
	a.publish(nodes[0], 3)
	for _, n := range nodes[1:] {
		n.awaitAll(a)
	}
}

func TestLateJoinerGetsEverythingFromAFollowerWhenThePublisherIsGone(t *testing.T) {
	a := newAuthor(t, "late")
	publisher, mirror := newNode(t, ""), newNode(t, "")
	connect(t, mirror.host, publisher.host)
	mirror.follow(a)
	a.publish(publisher, 5)
	mirror.awaitAll(a)
	publisher.stop()

	late := newNode(t, "")
	late.follow(a, mirror)
	late.awaitAll(a)
	late.await("the head", func() bool {
		info, err := late.ledger.Channel(context.Background(), a.id)
		return err == nil && info.Fresh && !info.Behind
	})
	if peers := late.gossip.Peers(a.id); len(peers) != 1 || peers[0] != mirror.host.ID() {
		t.Errorf("followers %v, want the mirror", peers)
	}
}

func TestTenReleasesWhileOfflineArriveInOrder(t *testing.T) {
	a := newAuthor(t, "offline")
	publisher, mirror := newNode(t, ""), newNode(t, "")
	path := filepath.Join(t.TempDir(), "aml.db")
	follower := newNode(t, path)
	connect(t, mirror.host, publisher.host)
	connect(t, follower.host, publisher.host)
	mirror.follow(a)
	follower.follow(a)
	a.publish(publisher, 2)
	follower.awaitAll(a)
	follower.stop()

	a.publish(publisher, 10)
	mirror.awaitAll(a)
	publisher.stop()

	follower = newNode(t, path)
	follower.follow(a, mirror)
	follower.awaitAll(a)
	releases, err := follower.ledger.Releases(t.Context(), a.id, 0, 100)
	if err != nil || len(releases) != 12 {
		t.Fatalf("%d releases, want 12; %v", len(releases), err)
	}
	for i, r := range releases {
		if r.Seq != uint64(i+1) || r.Body == nil || r.Body.Title != fmt.Sprintf("release %d", i+1) {
			t.Errorf("release at place %d is number %d", i+1, r.Seq)
		}
	}
}

func TestGapIsFilledAndTheMessageStillRelayed(t *testing.T) {
	a := newAuthor(t, "gap")
	publisher, middle, far := newNode(t, ""), newNode(t, ""), newNode(t, "")
	connect(t, middle.host, publisher.host)
	connect(t, far.host, middle.host)
	a.publish(publisher, 1)
	middle.follow(a)
	far.follow(a)
	middle.awaitAll(a)
	far.awaitAll(a)
	publisher.awaitFollower(a.id, middle)
	middle.awaitFollower(a.id, far)

	a.keep(publisher, 4) // nobody hears of these
	a.publish(publisher, 1)
	middle.awaitAll(a)
	far.awaitAll(a)
}

func TestWhoComesIntoTheMeshIsComparedWithOnceMore(t *testing.T) {
	a := newAuthor(t, "graft")
	publisher, follower := newNode(t, ""), newNode(t, "")
	connect(t, follower.host, publisher.host)
	a.publish(publisher, 1)
	follower.follow(a)
	follower.awaitAll(a)
	a.keep(publisher, 1) // came while nobody was in the mesh: nobody hears of it
	follower.gossip.grafts.Graft(publisher.host.ID(), channelRoomName(a.id))
	follower.awaitAll(a)
}

func TestHeadAloneMakesFollowersCatchUp(t *testing.T) {
	a := newAuthor(t, "head")
	publisher, follower := newNode(t, ""), newNode(t, "")
	connect(t, follower.host, publisher.host)
	a.publish(publisher, 1)
	follower.follow(a)
	follower.awaitAll(a)
	publisher.awaitFollower(a.id, follower)
	a.keep(publisher, 40) // more than gossip allows a key at once
	if err := publisher.gossip.Publish(t.Context(), a.id, a.head); err != nil {
		t.Fatal(err)
	}
	follower.awaitAll(a)
}

func TestNewsThatSyncBroughtIsToldOnAtOnce(t *testing.T) {
	// a, which has news, meets b; c is connected to b alone, and hears of no
	// gossip of the author's.
	author := newAuthor(t, "retell")
	a, b, c := newNode(t, ""), newNode(t, ""), newNode(t, "")
	author.keep(a, 3)
	b.follow(author)
	c.follow(author)
	connect(t, c.host, b.host)
	b.awaitFollower(author.id, c)
	c.awaitFollower(author.id, b)
	a.follow(author)
	connect(t, b.host, a.host)
	b.awaitAll(author)
	c.awaitAll(author)
}

func TestSyncAllAsksHintsAndWhoWasFound(t *testing.T) {
	a := newAuthor(t, "all")
	mirrors := []*node{newNode(t, ""), newNode(t, "")}
	a.keep(mirrors[0], 3)
	for _, e := range append([][]byte{a.founding}, a.all[:2]...) {
		if err := mirrors[1].ledger.Expect(t.Context(), a.id, catalog.Followed); err != nil {
			t.Fatal(err)
		}
		if _, err := mirrors[1].ledger.Offer(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	n := newNode(t, "", func(c *Config) {
		c.Find = func(ctx context.Context, key [32]byte) iter.Seq[peer.AddrInfo] {
			return func(yield func(peer.AddrInfo) bool) {
				if key == a.id.Discovery() {
					yield(infoOf(mirrors[0].host))
				}
			}
		}
	})
	n.follow(a, mirrors[1])
	answered, err := n.gossip.SyncAll(t.Context(), a.id)
	if err != nil || answered != 2 {
		t.Errorf("%d answered, want 2; %v", answered, err)
	}
	if n.seq(a) != 3 {
		t.Errorf("have %d releases after SyncAll, want 3", n.seq(a))
	}
}

func TestSyncSaysWhyNothingCame(t *testing.T) {
	a := newAuthor(t, "why")
	n, stranger := newNode(t, ""), newNode(t, "")
	n.follow(a)
	if _, err := n.gossip.SyncAll(t.Context(), a.id); !errors.Is(err, ErrNoPeers) {
		t.Errorf("with nobody to ask: %v", err)
	}
	connect(t, n.host, stranger.host)
	if err := n.gossip.Sync(t.Context(), a.id, stranger.host.ID()); !errors.Is(err, ErrNotFollowed) {
		t.Errorf("asking a stranger: %v", err)
	}
	stranger.stop()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	if err := n.gossip.Sync(ctx, a.id, stranger.host.ID()); err == nil {
		t.Error("asking who is gone gave no error")
	}
}

func TestMirrorIsFoundByTheTracker(t *testing.T) {
	a := newAuthor(t, "tracker")
	mirror := newNode(t, "")
	a.keep(mirror, 2)
	keys, ended := make(chan [32]byte, 16), make(chan [32]byte, 16)
	n := newNode(t, "", func(c *Config) {
		c.Unannounce = func(ks ...[32]byte) {
			for _, k := range ks {
				ended <- k
			}
		}
		c.Announce = func(ctx context.Context, ks ...[32]byte) error {
			for _, k := range ks {
				keys <- k
			}
			return nil
		}
		c.Find = func(ctx context.Context, key [32]byte) iter.Seq[peer.AddrInfo] {
			return func(yield func(peer.AddrInfo) bool) { yield(infoOf(mirror.host)) }
		}
	})
	n.follow(a)
	n.awaitAll(a)
	announced := map[[32]byte]bool{<-keys: true, <-keys: true}
	if !announced[a.id.Discovery()] || !announced[channel.TopicKey("test")] {
		t.Error("announced other keys than those of the channel and its topic")
	}
	if err := n.gossip.Listen("test"); err != nil {
		t.Fatal(err)
	}
	if <-keys != channel.TopicKey("test") {
		t.Error("listening announced another key than the topic's")
	}
	n.gossip.Unfollow(a.id)
	n.gossip.Unlisten("test")
	if <-ended != a.id.Discovery() || <-ended != channel.TopicKey("test") {
		t.Error("the topic's key was taken back while it was listened to, or other keys were")
	}
}

func TestListenersFindChannelsByGossipAndLaterBySync(t *testing.T) {
	a := newAuthor(t, "listed", "music/live", "radio")
	publisher, listener := newNode(t, ""), newNode(t, "")
	connect(t, listener.host, publisher.host)
	if err := listener.gossip.Listen("radio"); err != nil {
		t.Fatal(err)
	}
	// The publisher does not listen itself; it must see that others do.
	publisher.poll("a listener", func() bool {
		return publisher.gossip.running() && len(publisher.gossip.mesh.ListPeers(topicRoomName("radio"))) > 0
	})
	a.publish(publisher, 1)
	listener.awaitEvent("the channel", func(e Event) bool {
		return e.Kind == EventListed && e.Channel == a.id && e.Topic == "radio"
	})
	info, err := listener.ledger.Channel(t.Context(), a.id)
	if err != nil || info.Reason != catalog.Listed || info.Root.Title != "listed" || info.Releases != 0 {
		t.Errorf("listed channel: %+v, %v", info, err)
	}
	publisher.stop()

	// Who comes later learns it from the listener, and of the other topic too.
	late := newNode(t, "")
	connect(t, late.host, listener.host)
	if err := late.gossip.Listen("music/live", infoOf(listener.host)); err != nil {
		t.Fatal(err)
	}
	if n, err := late.gossip.SyncTopic(t.Context(), "music/live"); err != nil || n != 1 {
		t.Fatalf("%d answered, %v", n, err)
	}
	if _, err := late.ledger.Channel(t.Context(), a.id); err != nil {
		t.Errorf("channel is not listed: %v", err)
	}
	if err := late.gossip.Listen("Music//Live"); !errors.Is(err, channel.ErrName) {
		t.Errorf("listening to a topic out of form: %v", err)
	}
}

func TestEquivocationFreezesTheLogEverywhere(t *testing.T) {
	a := newAuthor(t, "fork")
	left, right, middle := newNode(t, ""), newNode(t, ""), newNode(t, "")
	a.publish(left, 1)
	right.follow(a)
	middle.follow(a)
	connect(t, middle.host, left.host)
	connect(t, right.host, middle.host)
	right.awaitAll(a)
	middle.awaitAll(a)
	left.awaitFollower(a.id, middle)
	middle.awaitFollower(a.id, right)

	// The key signs two second releases, and shows each to one side.
	_, other := a.manifest(2, a.prev, "another second release")
	if o, err := right.ledger.Offer(t.Context(), other); err != nil || o.Err != nil {
		t.Fatalf("%v, %v", o.Err, err)
	}
	a.publish(left, 1)
	for _, n := range []*node{left, middle, right} {
		n.await("the fork", func() bool {
			info, err := n.ledger.Channel(context.Background(), a.id)
			return err == nil && info.Forked
		})
	}
	// Who joins later is told as well.
	late := newNode(t, "")
	late.follow(a, left)
	late.await("the fork", func() bool {
		info, err := late.ledger.Channel(context.Background(), a.id)
		return err == nil && info.Forked
	})
}

func TestUnfollowLeavesAndFollowReturns(t *testing.T) {
	a := newAuthor(t, "again")
	publisher, n := newNode(t, ""), newNode(t, "")
	connect(t, n.host, publisher.host)
	a.publish(publisher, 1)
	n.follow(a)
	n.awaitAll(a)
	publisher.awaitFollower(a.id, n)
	n.gossip.Unfollow(a.id)
	if peers := n.gossip.Peers(a.id); peers != nil {
		t.Errorf("followers of what is not followed: %v", peers)
	}
	a.keep(publisher, 2)
	n.follow(a, publisher)
	n.awaitAll(a)
}

func TestRunOnceAndPublishAfterTheEnd(t *testing.T) {
	n := newNode(t, "")
	if _, err := n.gossip.up(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := n.gossip.Run(t.Context()); err == nil {
		t.Error("Run ran twice")
	}
	n.stop()
	a := newAuthor(t, "after")
	if err := n.gossip.Publish(t.Context(), a.id, a.founding); !errors.Is(err, ErrStopped) {
		t.Errorf("publishing after the end: %v", err)
	}
}

func TestConfigIsChecked(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no host was accepted")
	}
	h := newHost(t)
	if _, err := New(Config{Host: h}); err == nil {
		t.Error("no ledger was accepted")
	}
}

// A follower that keeps the newest head and release to itself holds up nobody
// who can reach another one.
func TestWithheldHeadIsHadFromAnotherFollower(t *testing.T) {
	a := newAuthor(t, "withheld")
	withholder, honest := newNode(t, ""), newNode(t, "")
	a.keep(withholder, 1)
	if err := honest.ledger.Append(t.Context(), a.founding, a.all[0]); err != nil {
		t.Fatal(err)
	}
	a.keep(honest, 2)
	reader := newNode(t, "")
	reader.follow(a)
	connect(t, reader.host, withholder.host)
	if err := reader.gossip.Sync(t.Context(), a.id, withholder.host.ID()); err != nil || reader.seq(a) != 1 {
		t.Fatalf("from the withholder: %d releases, %v", reader.seq(a), err)
	}
	// A head is enough to know that there is more.
	if o, err := reader.ledger.OfferGossip(t.Context(), a.head); err != nil || len(o.Want) != 1 {
		t.Fatalf("the head: %+v, %v", o, err)
	}
	if info, err := reader.ledger.Channel(t.Context(), a.id); err != nil || !info.Behind || info.Fresh {
		t.Errorf("a reader that lacks releases does not know it: %+v, %v", info, err)
	}
	connect(t, reader.host, honest.host)
	if err := reader.gossip.Sync(t.Context(), a.id, honest.host.ID()); err != nil {
		t.Fatal(err)
	}
	if info, err := reader.ledger.Channel(t.Context(), a.id); err != nil || info.Behind || !info.Fresh || reader.seq(a) != 3 {
		t.Errorf("after the honest one: %+v, %v", info, err)
	}
}
