package attack

import (
	"testing"

	"github.com/anonymous-media-library/aml/channel/gossip"
)

// All nodes that a reader meets are one adversary's, and tell it for ever that
// the first release is the newest. It is told so until the head has run out, and
// not longer: then it knows that it may be behind. What it has stays, and what
// is new comes when one honest node can be reached.
func TestFreeze(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "frozen")
	pub := newParty(w, "publisher")
	pub.publish(ch, "one")
	ice := newParty(w, "ice")
	ice.copy(ch, pub)
	reader := newParty(w, "reader")
	reader.follow(ch, ice.host)
	reader.awaitAll(ch)
	if !reader.info(ch).Fresh {
		t.Fatalf("at first: %+v", reader.info(ch))
	}

	pub.publish(ch, "two")
	w.pass(headLife)
	synced := func() int {
		return reader.count(func(e gossip.Event) bool { return e.Kind == gossip.EventSynced && e.Peer == ice.id() })
	}
	before := synced()
	w.must(reader.gossip.Sync(t.Context(), ch.ID, ice.id()))
	reader.await("the answer", func() bool { return synced() > before })
	if i := reader.info(ch); i.Fresh || i.Entries != 1 || reader.log(ch, ch.Key()).Seq != 1 {
		t.Errorf("when the head has run out: %+v", i)
	}

	ch.Now = w.time()
	pub.publish(ch, "three")
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	if i := reader.info(ch); !i.Fresh || i.Entries != 3 {
		t.Errorf("after an honest node: %+v", i)
	}
}
