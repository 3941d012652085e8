package attack

import (
	"fmt"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// An adversary says that it is in fifty thousand rooms, in rooms whose names
// are none, comes and goes, and does it again under the same name on a new
// connection. A room that comes after the thousand and twenty-fourth is not
// remembered, and the rest of the node's channels go on.
func TestSubscriptionFlood(t *testing.T) {
	w := newWorld(t)
	ch, other := newChannel(w, "crowded"), newChannel(w, "other")
	pub, reader := newParty(w, "publisher"), newParty(w, "reader")
	for _, c := range []*channeltest.Channel{ch, other} {
		pub.publish(c, "one")
		reader.follow(c, pub.host)
		reader.awaitAll(c)
		reader.awaitFollower(c, pub.id())
	}

	a := newAdversary(w)
	rooms := func(from, n int) []string {
		all := make([]string, n)
		for i := range all {
			all[i] = "/aml/channel/1/" + channel.HashPayload([]byte(fmt.Sprint(from+i))).String()
		}
		return all
	}
	flood := func() {
		for i := range 50 {
			if !a.join(reader, rooms(1000*i, 1000)...) {
				t.Fatal("the stream was cut")
			}
			if i == 0 {
				a.join(reader, "", "x", "/aml/channel/1/", "/aml/channel/1/00", "/other/"+ch.Name)
			}
		}
	}
	for range 2 {
		a.meet(reader)
		flood()
		pub.publish(ch, "new")
		reader.awaitAll(ch)
		// It has no place left for a room that there is. When it gives one back it
		// has, and what it said before that was heard before that.
		a.join(reader, room(ch))
		for range 1000 {
			a.leave(reader, rooms(0, 1)...)
			a.join(reader, rooms(0, 1)...)
		}
		a.leave(reader, append(rooms(0, 1), room(other))...)
		a.join(reader, room(other))
		reader.await("one room more", func() bool { return slices.Contains(reader.gossip.Peers(other.ID), a.id()) })
		if slices.Contains(reader.gossip.Peers(ch.ID), a.id()) {
			t.Error("more rooms of one peer are remembered than there are places")
		}
		w.must(a.host.Network().ClosePeer(reader.id()))
		reader.await("it to be gone", func() bool { return len(reader.host.Network().ConnsToPeer(a.id())) == 0 })
	}
	// Who comes now is not kept out by it.
	late := newParty(w, "late")
	late.follow(ch, reader.host)
	late.awaitAll(ch)
	reader.awaitFollower(ch, late.id())
	pub.publish(ch, "last")
	late.awaitAll(ch)
	reader.awaitAll(ch)
}
