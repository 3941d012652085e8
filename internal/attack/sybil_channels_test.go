package attack

import (
	"fmt"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// places bounds a party's listing of one topic.
func places(n int) option {
	return func(_ *party, c *catalog.Config, _ *gossip.Config) { c.MaxPlaces = n }
}

// listed reports whether the party knows the channel.
func (p *party) listed(ch *channeltest.Channel) bool { return p.info(ch).HasRoot }

// Three adversaries make up seven hundred and fifty channels, each with keys and a head
// of its own, and shout them in the topic's room; a fourth node speaks all
// protocols as they are and has a hundred and fifty more in its listing. The topic's
// places are full then. What was there before stays, what an honest node names
// afterwards still comes in, and a channel that is followed goes on.
func TestSybilChannelsOnATopic(t *testing.T) {
	w := newWorld(t)
	const topic, room4 = "sybil/topic", 40
	old, young, followed := newChannel(w, "old", topic), newChannel(w, "young", topic), newChannel(w, "followed", topic)
	first, second := newParty(w, "first"), newParty(w, "second")
	first.publish(old, "one")
	first.publish(followed, "one")
	listener := newParty(w, "listener", places(room4))
	w.must(listener.gossip.Listen(topic, infoOf(first.host)))
	listener.await("the old channel", func() bool { return listener.listed(old) })
	listener.follow(followed, first.host)
	listener.awaitAll(followed)
	listener.awaitFollower(followed, first.id())

	madeUp := func(by string, n int) (all [][]byte) {
		for i := range n {
			ch := newChannel(w, fmt.Sprintf("%s %d", by, i), topic)
			ch.Files("x")
			all = append(all, ch.Envelope, ch.Head(headLife))
		}
		return all
	}
	var shouting []*adversary
	for i := range 3 {
		a := newAdversary(w)
		a.meet(listener)
		a.fence(listener, followed)
		envelopes := madeUp(fmt.Sprint("made up by ", i), 250)
		var messages [][]byte
		for i := 0; i < len(envelopes); i += 2 {
			messages = append(messages, bundle(w, envelopes[i], envelopes[i+1]))
		}
		go a.say(listener, topicRoomOf(topic), messages...)
		shouting = append(shouting, a)
	}
	crowd := newParty(w, "crowd")
	var roots [][]byte
	for i, e := range madeUp("made up by a crowd", 150) {
		if i%2 == 0 {
			roots = append(roots, e)
		}
	}
	crowd.take(roots...)
	connect(w, listener.host, crowd.host)
	count := func() int {
		all, err := listener.ledger.ListedOn(t.Context(), topic)
		w.must(err)
		return len(all)
	}
	// On a busy machine the crowd's answer may come too late, and is asked for again.
	var asked time.Time
	for deadline := time.Now().Add(waitLimit); count() < room4; {
		if time.Now().After(deadline) {
			t.Fatalf("%d are listed, want %d", count(), room4)
		}
		if time.Since(asked) > waitLimit/6 {
			asked = time.Now()
			w.must(listener.gossip.Listen(topic, infoOf(crowd.host), infoOf(first.host)))
		}
		listener.await("the flood", func() bool { return count() >= room4 || time.Since(asked) > waitLimit/6 })
	}
	first.publish(followed, "two")
	listener.awaitAll(followed)
	if !listener.listed(old) {
		t.Error("the flood pushed out what was there before")
	}

	second.publish(young, "one")
	w.must(listener.gossip.Listen(topic, infoOf(second.host)))
	listener.await("the young channel", func() bool { return listener.listed(young) })
	for _, a := range shouting {
		a.fence(listener, followed)
	}
	if !listener.listed(old) || !listener.listed(young) || count() > room4+1 {
		t.Errorf("old %v, young %v, %d listed", listener.listed(old), listener.listed(young), count())
	}
	first.publish(followed, "three")
	listener.awaitAll(followed)
}
