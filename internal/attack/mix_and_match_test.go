package attack

import (
	"testing"

	"github.com/anonymous-media-library/aml/channel/gossip"
)

// An adversary has all of two channels that one key publishes, every signature
// of it good, and puts together what does not belong together: the manifests of
// one as those of the other, the head of one beside the root of the other, the
// second releases of both in one message.
func TestMixAndMatch(t *testing.T) {
	w := newWorld(t)
	one, two := newChannel(w, "key", "one"), newChannel(w, "key", "two")
	pub := newParty(w, "publisher")
	pub.publish(one, "of one")
	pub.publish(two, "of two")
	reader := newParty(w, "reader")
	reader.follow(one, pub.host)
	reader.follow(two, pub.host)
	reader.awaitAll(one)
	reader.awaitAll(two)
	own := one.Files("second of one")
	theirs := two.Files("second of two")

	for what, message := range map[string][]byte{
		"a manifest in the other room":         bundle(w, own),
		"both channels in one message":         bundle(w, theirs, own),
		"the other channel's head":             bundle(w, one.Head(headLife)),
		"the root of the other, and a release": bundle(w, one.Envelope, theirs),
	} {
		a := newAdversary(w)
		a.meet(reader)
		a.fence(reader, two)
		a.say(reader, room(two), message)
		reader.awaitEvent(what, func(e gossip.Event) bool { return e.Kind == gossip.EventRejected && e.Peer == a.id() })
	}
	if n := reader.log(two, two.Key()).Seq; n != 1 {
		t.Errorf("release %d came in a message that was refused", n)
	}

	t.Log("by sync: what is asked for of one is answered with the other")
	liar := newLiar(w, two, pub, &lies{manifests: func(uint64, [][]byte) [][]byte { return [][]byte{own} }})
	late := newParty(w, "late")
	late.follow(two, liar.host)
	late.awaitCaught(liar.id())
	late.follow(two, pub.host)

	pub.release(two, theirs)
	for _, p := range []*party{reader, late} {
		p.awaitAll(two)
		if i := p.info(two); i.Entries != 2 || i.Forked {
			t.Errorf("%s: %+v", p.name, i)
		}
	}
	pub.release(one, own)
	reader.awaitAll(one)
}
