package attack

import (
	"crypto/ed25519"
	"crypto/sha256"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// A publisher uses its key for other things as well: it has signed a head, text
// of another program, bare bytes, and a statement of another type. Whoever has
// these signatures puts them on manifests. None of them signs one.
func TestCrossProtocolSignatureReuse(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "reused")
	pub, reader := newParty(w, "publisher"), newParty(w, "reader")
	pub.publish(ch, "one")
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	reader.awaitFollower(ch, pub.id())

	seed := sha256.Sum256([]byte("aml test key " + ch.Name)) // as channeltest says
	other := ed25519.NewKeyFromSeed(seed[:])
	payload := w.encoded(next(ch, evil()))
	sum := sha256.Sum256(payload)
	with := func(typ string, sig []byte) []byte {
		return channeltest.Encode(t, channel.Envelope{Type: typ, Payload: payload, Signatures: []channel.Signature{{Key: ch.Key(), Sig: sig}}}, nil)
	}
	head, err := channel.DecodeEnvelope(ch.Head(headLife))
	w.must(err)
	for what, sig := range map[string][]byte{
		"the signature of a head":              head.Signatures[0].Sig,
		"the bare payload":                     ed25519.Sign(other, payload),
		"its hash":                             ed25519.Sign(other, sum[:]),
		"the payload as a head":                ed25519.Sign(other, channel.PAE(channel.TypeHead, payload)),
		"the payload as in-toto":               ed25519.Sign(other, channel.PAE("application/vnd.in-toto+json", payload)),
		"libp2p's signed envelope":             ed25519.Sign(other, append([]byte("libp2p-routing-state"), payload...)),
		"gossipsub's own":                      ed25519.Sign(other, append([]byte("libp2p-pubsub:"), payload...)),
		"a type that runs on into the payload": ed25519.Sign(other, append([]byte("DSSEv1 "), payload...)),
	} {
		a := newAdversary(w)
		a.meet(reader)
		a.fence(reader, ch)
		a.say(reader, room(ch), bundle(w, with(channel.TypeManifest, sig)))
		reader.awaitEvent(what, func(e gossip.Event) bool { return e.Kind == gossip.EventRejected && e.Peer == a.id() })
	}

	liar := newLiar(w, ch, pub, &lies{manifests: func(uint64, [][]byte) [][]byte {
		return [][]byte{with(channel.TypeManifest, head.Signatures[0].Sig)}
	}})
	late := newParty(w, "late")
	late.follow(ch, liar.host)
	late.awaitCaught(liar.id())
	late.follow(ch, pub.host)
	pub.publish(ch, "two")
	for _, p := range []*party{reader, late} {
		p.awaitAll(ch)
		if i := p.info(ch); i.Entries != 2 || i.Forked {
			t.Errorf("%s: %+v", p.name, i)
		}
	}
}
