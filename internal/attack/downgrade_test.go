package attack

import (
	"bytes"
	"context"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// An adversary would talk in older protocols, whose rules are weaker, and offers
// statements in other versions of the formats. The node speaks one version of
// each and no other beside it; a payload's version is inside what is signed.
func TestDowngrade(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "older")
	pub, reader := newParty(w, "publisher"), newParty(w, "reader")
	pub.publish(ch, "one")
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	reader.awaitFollower(ch, pub.id())

	a := newAdversary(w)
	a.meet(reader)
	for _, id := range []protocol.ID{
		"/floodsub/1.0.0", "/aml/floodsub/1.0.0", "/meshsub/1.0.0", "/meshsub/1.1.0", "/meshsub/1.2.0", "/meshsub/1.3.0",
		"/aml/meshsub/1.0.0", "/aml/meshsub/1.1.0", "/aml/sync/0", "/aml/sync", "/aml/blob/0", "/aml/blob",
	} {
		ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
		if s, err := a.host.NewStream(ctx, reader.id(), id); err == nil {
			t.Errorf("it speaks %s", id)
			_ = s.Reset()
		}
		cancel()
	}
	for _, id := range []protocol.ID{meshProtocol, gossip.SyncProtocol, exchange.Protocol} {
		if !speaks(reader.host, id) {
			t.Errorf("it does not speak %s: this test looks for the wrong names", id)
		}
	}

	t.Log("a payload of another version, with the signature that was made for this one")
	m := next(ch, channel.Body{Title: "two"})
	payload := w.encoded(m)
	good := w.signed(channel.TypeManifest, payload, channeltest.Key(ch.Name))
	for _, format := range []byte{0, 2} {
		old := bytes.Clone(payload)
		old[2] = format
		// Somebody may be newer than the reader and honest, so this costs nobody
		// anything: it only counts for nothing.
		a.say(reader, room(ch), bundle(w, bytes.Replace(good, payload, old, 1)),
			bundle(w, w.signed(channel.TypeManifest, old, channeltest.Key(ch.Name))))
	}
	a.say(reader, room(ch), bundle(w, bytes.Replace(good, []byte("vnd.aml.manifest+cbor"), []byte("vnd.aml.manifest+json"), 1)))
	a.fence(reader, ch)
	if n := reader.count(func(e gossip.Event) bool { return e.Kind == gossip.EventRejected }); n > 0 {
		t.Errorf("%d messages of a version that is not known here were taken for misbehaviour", n)
	}
	if n := reader.log(ch, ch.Key()).Seq; n != 1 {
		t.Errorf("it is at release %d", n)
	}

	t.Log("and a private channel that becomes a public one, whose bodies lie open")
	secret := newChannel(w, "secret")
	secret.Root.Class = channel.Private
	secret.Envelope = w.signed(channel.TypeRoot, w.encoded(secret.Root), channeltest.Key("secret-root"))
	secret.ID = channel.IDOf(w.payloadOf(secret.Envelope))
	pub.take(secret.Envelope)
	reader.follow(secret, pub.host)
	reader.await("the private channel", func() bool { return reader.info(secret).HasRoot })
	open := secret.Replace(func(r *channel.Root) { r.Class = channel.Public })
	b := newAdversary(w)
	b.meet(reader)
	b.fence(reader, secret)
	b.say(reader, room(secret), bundle(w, open))
	reader.awaitEvent("the change of class to be refused", func(e gossip.Event) bool {
		return e.Kind == gossip.EventRejected && e.Peer == b.id()
	})

	ch.Seq, ch.Hash, ch.Now = 2, channel.HashPayload(payload), m.Issued.Time()
	pub.release(ch, good)
	reader.awaitAll(ch)
}
