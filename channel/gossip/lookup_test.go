package gossip

import (
	"context"
	"errors"
	"io/fs"
	"iter"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// Who looks a topic up finds what is listed, is in no room, announces nothing,
// and tells nobody what it found.
func TestATopicIsLookedUpWithoutJoiningItsGossip(t *testing.T) {
	a := newAuthor(t, "listed", "radio")
	publisher := newNode(t, "")
	a.publish(publisher, 1)
	var announced atomic.Int32
	private := newNode(t, "", func(cfg *Config) {
		cfg.Find = func(context.Context, [32]byte) iter.Seq[peer.AddrInfo] {
			return func(yield func(peer.AddrInfo) bool) { yield(infoOf(publisher.host)) }
		}
		cfg.Announce = func(context.Context, ...[32]byte) error { announced.Add(1); return nil }
	})
	<-private.gossip.started
	if n, err := private.gossip.LookUp(t.Context(), "radio"); err != nil || n != 1 {
		t.Fatalf("%d answered, %v", n, err)
	}
	info, err := private.ledger.Channel(t.Context(), a.id)
	if err != nil || info.Reason != catalog.Listed || !info.HasRoot {
		t.Fatalf("looked up: %+v, %v", info, err)
	}
	if n := announced.Load(); n != 0 || len(private.gossip.mesh.GetTopics()) != 0 {
		t.Errorf("announced %d times, in the rooms %v", n, private.gossip.mesh.GetTopics())
	}

	// Neither the listing nor the channel itself can be had from it.
	curious := newNode(t, "")
	connect(t, curious.host, private.host)
	ask := func() error {
		t.Helper()
		if err := curious.ledger.Expect(t.Context(), a.id, catalog.Listed); err != nil {
			t.Fatal(err)
		}
		if _, err := curious.gossip.talk(t.Context(), private.host.ID(), []want{{target: target{topic: "radio"}}, {target: target{channel: a.id}}}); err != nil {
			t.Fatal(err)
		}
		info, err := curious.ledger.Channel(t.Context(), a.id)
		if err == nil && !info.HasRoot {
			return fs.ErrNotExist
		}
		return err
	}
	if err := ask(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a curious node learns what was looked up: %v", err)
	}
	// Listening is to say so.
	if err := private.gossip.Listen("radio"); err != nil {
		t.Fatal(err)
	}
	if err := ask(); err != nil {
		t.Errorf("from a listener: %v", err)
	}
	if _, err := private.gossip.LookUp(t.Context(), "Radio"); !errors.Is(err, channel.ErrName) {
		t.Errorf("looking up a topic out of form: %v", err)
	}
}

// Without discovery, and where nobody listens to a topic, who browses it asks whoever
// is connected; who looks it up in private asks none of those.
func TestWhoBrowsesATopicAsksConnectedPeersThatDoNotListenToIt(t *testing.T) {
	t.Parallel()
	a := newAuthor(t, "listed", "radio")
	publisher, reader := newNode(t, ""), newNode(t, "")
	a.publish(publisher, 1)
	<-reader.gossip.started
	connect(t, reader.host, publisher.host)
	if rooms := publisher.gossip.mesh.GetTopics(); slices.Contains(rooms, topicRoomName("radio")) {
		t.Fatalf("it listens: %v", rooms)
	}
	if n, err := reader.gossip.LookUp(t.Context(), "radio"); n != 0 || !errors.Is(err, ErrNoPeers) {
		t.Errorf("in private %d were asked, %v", n, err)
	}
	if n, err := reader.gossip.Browse(t.Context(), "radio"); err != nil || n != 1 {
		t.Errorf("%d answered, %v", n, err)
	}
	if info, err := reader.ledger.Channel(t.Context(), a.id); err != nil || !info.HasRoot {
		t.Errorf("found: %+v, %v", info, err)
	}
	if _, err := reader.gossip.Browse(t.Context(), "Radio"); !errors.Is(err, channel.ErrName) {
		t.Errorf("a topic out of form: %v", err)
	}
}
