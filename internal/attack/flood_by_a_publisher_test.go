package attack

import (
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// Whoever may publish signs two thousand releases and two thousand heads in one
// moment, every signature good, and a host that is nobody pours them out. Gossip
// takes thirty of each from one key and then one a second, and passes no more on;
// the other channels of the reader do not notice.
func TestFloodByAPublisher(t *testing.T) {
	w := newWorld(t)
	ch, calm := newChannel(w, "torrent"), newChannel(w, "calm")
	pub, reader := newParty(w, "publisher"), newParty(w, "reader")
	for _, c := range []*channeltest.Channel{ch, calm} {
		pub.publish(c, "one")
		reader.follow(c, pub.host)
		reader.awaitAll(c)
		reader.awaitFollower(c, pub.id())
	}
	// Issued within five minutes of the reader's clock, all of them.
	ch.Now = w.time().Add(-3000)
	flood := ch.Branch()
	var messages [][]byte
	for range 2000 {
		m := next(flood, channel.Body{Title: "flood"})
		m.Issued = channel.TimeOf(ch.Now)
		data := w.signed(channel.TypeManifest, w.encoded(m), channeltest.Key(ch.Name))
		flood.Seq, flood.Hash = m.Seq, channel.HashPayload(w.payloadOf(data))
		messages = append(messages, bundle(w, data))
	}
	a := newAdversary(w)
	a.meet(reader)
	a.fence(reader, ch)
	poured := make(chan struct{})
	go func() {
		defer close(poured)
		a.say(reader, room(ch), messages...)
	}()
	for range 5 {
		pub.publish(calm, "new")
	}
	reader.awaitAll(calm)
	<-poured
	a.fence(reader, ch)
	for range 3 {
		pub.publish(calm, "after")
	}
	reader.awaitAll(calm)
	reader.trusts(pub)
	heard := reader.count(func(e gossip.Event) bool { return e.Kind == gossip.EventHeard && e.Channel == ch.ID })
	t.Logf("%d of %d releases were taken in", heard, len(messages))
	if heard > 2*feed.GossipBurst+4 { // manifests and heads, and what came before
		t.Errorf("gossip brought %d of %d releases of one key in one moment", heard, len(messages))
	}
	if n := reader.log(ch, ch.Key()).Seq; n > 2+feed.GossipBurst {
		t.Errorf("the flood is at release %d", n)
	}
}
