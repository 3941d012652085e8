package attack

import (
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// twoPublishers is a channel in which "second" publishes as well.
func twoPublishers(w *world, name string) *channeltest.Channel {
	ch := newChannel(w, name)
	ch.Root.Publishers = []channel.Publisher{{Key: ch.Key(), Role: channel.RolePublish}, {Key: channeltest.Pub("second"), Role: channel.RolePublish}}
	slices.SortFunc(ch.Root.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
	ch.Envelope = w.signed(channel.TypeRoot, w.encoded(ch.Root), channeltest.Key(name+"-root"))
	ch.ID = channel.IDOf(w.payloadOf(ch.Envelope))
	return ch
}

// bySecond is the n-th release of the other publisher, alone on its log.
func (w *world) bySecond(ch *channeltest.Channel, name string) []byte {
	m := next(ch, channel.Body{Entries: []channel.FileEntry{channeltest.Entry(name, 1000)}})
	m.Log, m.Seq, m.Prev = channeltest.Pub("second"), 1, nil
	return w.signed(channel.TypeManifest, w.encoded(m), channeltest.Key("second"))
}

// A key signs two second releases and shows one to the left and one to the
// right. As soon as anybody hears both, the log is frozen for all, those who
// join later included, and the proof is kept; and the other publisher of the
// channel goes on.
func TestEquivocation(t *testing.T) {
	w := newWorld(t)
	ch := twoPublishers(w, "forked")
	left, right := newParty(w, "left"), newParty(w, "right")
	left.publish(ch, "one")
	branch := ch.Branch()
	left.publish(ch, "two")
	right.follow(ch, left.host)
	right.awaitAll(ch)

	middle := newParty(w, "middle")
	middle.follow(ch, left.host)
	middle.awaitAll(ch)
	middle.awaitFollower(ch, left.id())
	forger := newAdversary(w)
	forger.meet(middle)
	forger.fence(middle, ch)
	forger.say(middle, room(ch), bundle(w, branch.Files("another two")))
	all := []*party{left, middle, right}
	for _, p := range all {
		p.await("the fork", func() bool { return p.info(ch).Forked })
	}
	late := newParty(w, "late")
	late.follow(ch, right.host)
	late.await("the fork", func() bool { return late.info(ch).Forked })

	m := w.bySecond(ch, "three")
	left.take(m)
	left.tell(ch, m)
	for _, p := range append(all, late) {
		p.await("the other publisher's release", func() bool { return p.log(ch, channeltest.Pub("second")).Seq == 1 })
		if !p.log(ch, ch.Key()).Frozen {
			t.Errorf("%s: the log is not frozen", p.name)
		}
		for _, other := range append(all, late) {
			p.trusts(other)
		}
	}
}

// The second history is one that nobody could accept: it is dated before what it
// follows. Who only passes the proof of the fork on is not taken for who made it,
// whichever side of the proof stands first and whatever the others have.
func TestEquivocationWithABackdatedSideCostsOnlyItsAuthor(t *testing.T) {
	w := newWorld(t)
	ch := twoPublishers(w, "framed")
	pub, behind, ahead := newParty(w, "publisher"), newParty(w, "behind"), newParty(w, "ahead")
	pub.publish(ch, "one")
	behind.copy(ch, pub)
	ahead.copy(ch, pub)
	early := next(ch, evil())
	early.Issued -= 3600
	backdated := w.signed(channel.TypeManifest, w.encoded(early), channeltest.Key(ch.Name))
	two := ch.Files("two")
	ahead.take(two)

	// Those who have one release hear of the proof from who has two: once from
	// an adversary, in the order that is worst for who passes it on, and then from
	// one another.
	behind.follow(ch, ahead.host)
	ahead.follow(ch)
	ahead.awaitFollower(ch, behind.id())
	behind.await("the second release", func() bool { return behind.log(ch, ch.Key()).Seq == 2 })
	var others []*party
	for _, proof := range [][]byte{bundle(w, backdated, two), bundle(w, two, backdated)} {
		p := newParty(w, "who has neither side")
		p.copy(ch, pub)
		p.follow(ch)
		frame := newAdversary(w)
		frame.meet(p)
		frame.fence(p, ch)
		frame.say(p, room(ch), proof)
		p.await("the fork", func() bool { return p.info(ch).Forked })
		if n := p.count(func(e gossip.Event) bool { return e.Kind == gossip.EventRejected }); n > 0 {
			t.Errorf("the proof of a fork was refused, %d times", n)
		}
		others = append(others, p)
	}

	t.Log("alone, the backdated release is refused by who has the other one as by who has not")
	a := newAdversary(w)
	a.meet(ahead)
	a.fence(ahead, ch)
	a.say(ahead, room(ch), bundle(w, backdated))
	ahead.awaitEvent("it to be refused", func(e gossip.Event) bool {
		return e.Kind == gossip.EventRejected && e.Peer == a.id()
	})
	behind.trusts(ahead)

	m := w.bySecond(ch, "three")
	pub.take(m)
	others = append(others, behind, ahead)
	for _, p := range others {
		p.follow(ch, pub.host)
	}
	pub.tell(ch, m)
	for _, p := range others {
		p.await("the other publisher's release", func() bool { return p.log(ch, channeltest.Pub("second")).Seq == 1 })
	}
}
