package attack

import (
	"errors"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/subscriber"
)

// All nodes that a reader meets are one adversary's, and tell it for ever that
// the first release is the newest. It is told so until the head has run out, and
// not longer: then it knows that it may be behind, and installs nothing of a
// channel of updates. What it has stays, and what is new comes when one honest node
// can be reached.
func TestFreeze(t *testing.T) {
	w := newWorld(t)
	ch := channeltest.NewChannelOf(w.T, channel.Update, "frozen")
	ch.Now = w.time().Add(-time.Hour)
	pub := newParty(w, "publisher")
	files := map[string]string{"one": "first"}
	pub.release(ch, ch.Release(pub.ingest(files)))
	ice := newParty(w, "ice")
	ice.copy(ch, pub)
	if _, err := ice.write(ch, channel.MemberKey{}, pub.host); err != nil { // it has the blobs of the first release too
		t.Fatal(err)
	}
	reader := newParty(w, "reader")
	reader.follow(ch, ice.host)
	reader.awaitAll(ch)
	if !reader.info(ch).Fresh {
		t.Fatalf("at first: %+v", reader.info(ch))
	}

	late := newParty(w, "late") // a machine that is set up while the ice holds
	late.follow(ch, ice.host)
	late.awaitAll(ch)

	out, err := reader.write(ch, channel.MemberKey{}, ice.host)
	w.must(err)
	w.wantFiles(out, files)

	second := map[string]string{"two": "second"}
	pub.release(ch, ch.Release(pub.ingest(second)))
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
	outOfLate, err := late.write(ch, channel.MemberKey{}, ice.host)
	if !errors.Is(err, subscriber.ErrHeld) {
		t.Errorf("what is old was installed as new: %v", err)
	}
	w.wantFiles(outOfLate, nil)

	ch.Now = w.time()
	third := map[string]string{"three": "third"}
	pub.release(ch, ch.Release(pub.ingest(third)))
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	if i := reader.info(ch); !i.Fresh || i.Entries != 3 {
		t.Errorf("after an honest node: %+v", i)
	}
	_, err = reader.write(ch, channel.MemberKey{}, pub.host)
	w.must(err)
	w.wantFiles(out, map[string]string{"one": "first", "two": "second", "three": "third"})
}
