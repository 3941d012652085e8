package attack

import (
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// forgeries are envelopes that a stranger signs for the channel.
func (w *world) forgeries(ch *channeltest.Channel) map[string][]byte {
	w.Helper()
	mallory := channeltest.Key("mallory")
	own := next(ch, evil())
	own.Log, own.Seq, own.Prev = mallory.Public(), 1, nil
	root := ch.Root
	hash := channel.HashPayload(w.encoded(root))
	root.Version, root.Prev, root.Nonce = root.Version+1, &hash, nil
	root.Root.Keys = channeltest.Pubs("mallory")
	return map[string][]byte{
		"a manifest in the publisher's name": w.signed(channel.TypeManifest, w.encoded(next(ch, evil())), mallory),
		"a manifest on a log of its own":     w.signed(channel.TypeManifest, w.encoded(own), mallory),
		"a head in the publisher's name":     w.signed(channel.TypeHead, w.encoded(headOf(ch, ch.Seq, channel.Hash{1}, ch.Now)), mallory),
		"a root that makes it the owner":     w.signed(channel.TypeRoot, w.encoded(root), mallory),
		"bytes that mean nothing":            []byte("arbitrary content"),
	}
}

// A stranger says what it likes in the channel's room, answers questions about
// the channel with what it likes, and serves what it likes for its blobs.
func TestArbitraryContent(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "alice")
	pub := newParty(w, "publisher")
	files := map[string]string{"song": pattern(200_000, 1), "notes": "honest"}
	pub.release(ch, ch.Release(pub.ingest(files)))
	reader := newParty(w, "reader")
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)

	t.Log("in gossip: each forgery by an adversary of its own, since the second one of the same would not be listened to")
	for what, forgery := range w.forgeries(ch) {
		a := newAdversary(w)
		a.meet(reader)
		a.fence(reader, ch)
		a.say(reader, room(ch), bundle(w, forgery))
		reader.awaitEvent(what+" to be refused", func(e gossip.Event) bool {
			return e.Kind == gossip.EventRejected && e.Peer == a.id()
		})
	}

	t.Log("in sync: the liar answers with a stranger's manifest")
	forged := w.forgeries(ch)["a manifest in the publisher's name"]
	ch2 := newChannel(w, "bob")
	pub.publish(ch2, "x")
	liar := newLiar(w, ch2, pub, &lies{manifests: func(uint64, [][]byte) [][]byte { return [][]byte{forged} }})
	victim := newParty(w, "victim")
	victim.follow(ch2, liar.host)
	victim.awaitCaught(liar.id())
	victim.follow(ch2, pub.host)
	victim.awaitAll(ch2)

	t.Log("in the exchange: junk for every blob")
	junk := newAdversary(w)
	junk.serveBlobs(func(blobnet.ID) []byte { return []byte(pattern(70_000, 99)) })
	more := pub.ingest(map[string]string{"more": pattern(100_000, 2)})
	files["more"] = pattern(100_000, 2)
	pub.release(ch, ch.Release(more))
	reader.awaitAll(ch)
	out, err := reader.write(ch, channel.MemberKey{}, junk.host, pub.host)
	w.must(err)
	w.wantFiles(out, files)
	if e, err := reader.ledger.Entry(t.Context(), ch.ID, "evil"); err == nil {
		t.Errorf("the stranger's entry is in the view: %+v", e)
	}
}
