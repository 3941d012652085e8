package attack

import (
	"math"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// A mirror says that the channel is at root 2^62 and release 2^62; somebody who
// has the publishing key for a day signs a manifest with the greatest number
// there is, and a head for it. Nothing honest becomes old by any of it.
func TestFastForward(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "hurried")
	pub := newParty(w, "publisher")
	pub.publish(ch, "one")
	reader := newParty(w, "reader")
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	reader.awaitFollower(ch, pub.id())

	t.Log("by sync")
	liar := newLiar(w, ch, pub, &lies{info: func(i catalog.Info) catalog.Info {
		i.Root.Version = 1 << 62
		for n := range i.Logs {
			i.Logs[n].Seq, i.Logs[n].Hash = 1<<62, channel.Hash{1}
		}
		return i
	}})
	connect(w, reader.host, liar.host)
	w.must(reader.gossip.Sync(t.Context(), ch.ID, liar.id())) // it may have less than it says, and be honest
	if !reader.has(ch) || reader.info(ch).Root.Version != 1 {
		t.Errorf("after the mirror's words: %+v", reader.info(ch))
	}

	t.Log("by gossip, with the key")
	a := newAdversary(w)
	a.meet(reader)
	a.fence(reader, ch)
	far := next(ch, evil())
	far.Seq = math.MaxUint64
	head := headOf(ch, math.MaxUint64, channel.Hash{2}, ch.Now.Add(time.Minute))
	a.say(reader, room(ch),
		bundle(w, w.signed(channel.TypeManifest, w.encoded(far), channeltest.Key(ch.Name))),
		bundle(w, w.signed(channel.TypeHead, w.encoded(head), channeltest.Key(ch.Name))))
	reader.await("the claim", func() bool { return reader.log(ch, ch.Key()).Claimed == math.MaxUint64 })
	if i := reader.info(ch); i.Fresh || !i.Behind || i.Entries != 1 {
		t.Errorf("the key's own word: %+v", i)
	}

	ch.Now = ch.Now.Add(time.Hour)
	pub.publish(ch, "two")
	reader.awaitAll(ch)
	// The claim was by the log's own key. It stands, and is seen, until a root
	// revokes that key: see TestTheftOfAPublishingKey.
	if i := reader.info(ch); i.Entries != 2 || i.Forked {
		t.Errorf("at last: %+v", i)
	}
}
