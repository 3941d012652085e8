package attack

import (
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// A thief has the publishing key of a root that ends soon. It dates a release
// before the one that it follows, and is refused by who has that one. When the
// key's time is over it dates releases into that time, and gossip brings them to
// nobody. Who publishes under the next root is heard all the while.
func TestBackdating(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "dated")
	end := w.time().Add(24 * time.Hour)
	ch.Root.Publishers[0].Expires = channel.TimeOf(end)
	ch.Envelope = w.signed(channel.TypeRoot, w.encoded(ch.Root), channeltest.Key(ch.Name+"-root"))
	ch.ID = channel.IDOf(w.payloadOf(ch.Envelope))
	pub, reader := newParty(w, "publisher"), newParty(w, "reader")
	pub.publish(ch, "one")
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	reader.awaitFollower(ch, pub.id())

	early := next(ch, evil())
	early.Issued -= 3600
	thief := newAdversary(w)
	thief.meet(reader)
	thief.fence(reader, ch)
	thief.say(reader, room(ch), bundle(w, w.signed(channel.TypeManifest, w.encoded(early), channeltest.Key(ch.Name))))
	reader.awaitEvent("what is dated back to be refused", func(e gossip.Event) bool {
		return e.Kind == gossip.EventRejected && e.Peer == thief.id()
	})

	w.pass(25 * time.Hour)
	last := next(ch, evil())
	m := w.signed(channel.TypeManifest, w.encoded(last), channeltest.Key(ch.Name))
	h := w.signed(channel.TypeHead, w.encoded(headOf(ch, 2, channel.HashPayload(w.payloadOf(m)), last.Issued.Time())), channeltest.Key(ch.Name))
	other := newAdversary(w)
	other.meet(reader)
	other.fence(reader, ch)
	other.say(reader, room(ch), bundle(w, m, h), bundle(w, m), bundle(w, h))
	other.fence(reader, ch)

	// The owner's root names the last good release, and another key.
	ch.Now = w.time()
	root := ch.Replace(func(r *channel.Root) {
		r.Publishers = []channel.Publisher{{Key: channeltest.Pub("heir"), Role: channel.RolePublish}}
		r.Revoked = []channel.Revoked{{Key: ch.Key(), Seq: 1, Hash: ch.Hash}}
	})
	second := next(ch, channel.Body{Entries: []channel.FileEntry{channeltest.Entry("two", 1000)}})
	second.Log, second.Seq, second.Prev, second.Root = channeltest.Pub("heir"), 1, nil, 2
	release := w.signed(channel.TypeManifest, w.encoded(second), channeltest.Key("heir"))
	pub.take(root, release)
	pub.tell(ch, root, release)
	reader.await("the heir's release", func() bool { return reader.log(ch, second.Log).Seq == 1 })
	if i := reader.info(ch); i.Entries != 2 || reader.log(ch, ch.Key()).Seq != 1 {
		t.Errorf("%+v", i)
	}
	if _, err := reader.ledger.Entry(t.Context(), ch.ID, "evil"); err == nil {
		t.Error("what was dated back is in the view")
	}
}
