package attack

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"math/big"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// plusOrder adds the order of Ed25519's group to S: a lax verifier takes the
// signature for good.
func plusOrder(sig []byte) []byte {
	order, _ := new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)
	s := slices.Clone(sig[32:])
	slices.Reverse(s)
	sum := new(big.Int).Add(new(big.Int).SetBytes(s), order).FillBytes(make([]byte, 32))
	slices.Reverse(sum)
	return append(slices.Clone(sig[:32]), sum...)
}

// Two readers that read the same bytes in two ways could be shown two releases
// under one signature. So the publisher itself signs payloads that are almost
// right, and whoever is between changes how a good one is written: one reading
// is right, and everything else is refused, by each reader alike, from whoever
// it comes.
func TestParserDifferential(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "ambiguous")
	pub := newParty(w, "publisher")
	pub.publish(ch, "one")
	readers := []*party{newParty(w, "first"), newParty(w, "second")}
	for _, p := range readers {
		p.follow(ch, pub.host)
		p.awaitAll(ch)
		p.awaitFollower(ch, pub.id())
	}
	seed := sha256.Sum256([]byte("aml test key " + ch.Name))
	key := ed25519.NewKeyFromSeed(seed[:])
	m := next(ch, channel.Body{Title: "good", Entries: []channel.FileEntry{channeltest.Entry("file", 1000)}})
	payload := w.encoded(m)
	good := w.signed(channel.TypeManifest, payload, channeltest.Key(ch.Name))

	// signed is the publisher's own signature on anything, unlike channel.Sign
	// without a look at it.
	signed := func(p []byte) []byte {
		env := channel.Envelope{Type: channel.TypeManifest, Payload: p, Signatures: []channel.Signature{{Key: ch.Key(), Sig: ed25519.Sign(key, channel.PAE(channel.TypeManifest, p))}}}
		return channeltest.Encode(t, env, nil)
	}
	swap := func(in, from, to []byte) []byte {
		w.Helper()
		if bytes.Count(in, from) != 1 {
			t.Fatalf("%x is not once in %x", from, in)
		}
		return bytes.Replace(in, from, to, 1)
	}
	env, err := channel.DecodeEnvelope(good)
	w.must(err)
	malleable := env
	malleable.Signatures = []channel.Signature{{Key: ch.Key(), Sig: plusOrder(env.Signatures[0].Sig)}}
	twice := env
	twice.Signatures = append(slices.Clone(env.Signatures), env.Signatures[0])
	lax := func(e channel.Envelope) []byte { // with no rule of how many sign
		out := append([]byte{0xa3, 0x01, 0x78, byte(len(e.Type))}, e.Type...)
		out = binary.BigEndian.AppendUint16(append(out, 0x02, 0x59), uint16(len(e.Payload)))
		out = append(append(out, e.Payload...), 0x03, 0x80|byte(len(e.Signatures)))
		for _, s := range e.Signatures {
			out = append(append(out, 0xa2, 0x01, 0x58, 32), s.Key[:]...)
			out = append(append(out, 0x02, 0x58, 64), s.Sig...)
		}
		return out
	}
	if !bytes.Equal(lax(env), good) {
		t.Fatal("the envelope that is made by hand is another one")
	}
	for what, envelope := range map[string][]byte{
		"the root in two bytes":              signed(swap(payload, []byte{0x03, 0x01, 0x04, 0x58}, []byte{0x03, 0x18, 0x01, 0x04, 0x58})),
		"the number in five bytes":           signed(swap(payload, []byte{0x06, 0x02, 0x07}, []byte{0x06, 0x1a, 0, 0, 0, 2, 0x07})),
		"a map of no fixed length":           signed(append(append([]byte{0xbf}, payload[1:]...), 0xff)),
		"a field twice":                      signed(append(append([]byte{payload[0] + 1}, payload[1:3]...), payload[1:]...)),
		"a field that nobody knows":          signed(append(append([]byte{payload[0] + 1}, payload[1:]...), 0x18, 0x63, 0x01)),
		"bytes behind the end":               signed(append(slices.Clone(payload), 0x00)),
		"a title that is no UTF-8":           signed(swap(payload, []byte("good"), []byte{'g', 0xff, 'o', 'd'})),
		"a title of bytes":                   signed(swap(payload, append([]byte{0x64}, "good"...), append([]byte{0x44}, "good"...))),
		"a float for a number":               signed(swap(payload, []byte{0x06, 0x02, 0x07}, []byte{0x06, 0xf9, 0x40, 0x00, 0x07})),
		"an envelope with a tail":            append(slices.Clone(good), 0xa0),
		"an envelope of no fixed length":     append(append([]byte{0xbf}, good[1:]...), 0xff),
		"an envelope whose fields are moved": append(append([]byte{0xa3}, good[len(good)-103:]...), good[1:len(good)-103]...),
		"a signature that is another number": lax(malleable),
		"a signature twice":                  lax(twice),
	} {
		for _, p := range readers {
			a := newAdversary(w)
			a.meet(p)
			a.fence(p, ch)
			a.say(p, room(ch), bundle(w, envelope))
			p.awaitEvent(what, func(e gossip.Event) bool { return e.Kind == gossip.EventRejected && e.Peer == a.id() })
			if n := p.log(ch, ch.Key()).Seq; n != 1 {
				t.Fatalf("%s: %s is at release %d", what, p.name, n)
			}
			w.must(a.host.Close())
		}
	}
	ch.Seq, ch.Hash, ch.Now = 2, channel.HashPayload(payload), ch.Now.Add(2e9)
	pub.release(ch, good)
	for _, p := range readers {
		p.awaitAll(ch)
	}
}
