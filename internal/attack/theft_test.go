package attack

import (
	"errors"
	"io/fs"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// A thief has the publishing key and publishes with it. Until the owner says
// otherwise that is a release like any other. Then a root revokes the key with
// its last good manifest: what came after it is gone, for who has seen it and
// for who has not, and the thief's later words are nothing. The owner goes on
// with another key.
func TestTheftOfAPublishingKey(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "stolen")
	pub, reader := newParty(w, "publisher"), newParty(w, "reader")
	pub.publish(ch, "one")
	pub.publish(ch, "two")
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	reader.awaitFollower(ch, pub.id())
	good := *ch

	thief := newAdversary(w)
	thief.meet(reader)
	thief.fence(reader, ch)
	three := ch.Files("evil")
	thief.say(reader, room(ch), bundle(w, three, ch.Head(headLife)))
	reader.awaitAll(ch)
	if _, err := reader.ledger.Entry(t.Context(), ch.ID, "evil"); err != nil {
		t.Fatalf("the thief's release is a release like any other: %v", err)
	}

	root := ch.Replace(func(r *channel.Root) {
		r.Publishers = []channel.Publisher{{Key: channeltest.Pub("second"), Role: channel.RolePublish}}
		r.Revoked = []channel.Revoked{{Key: good.Key(), Seq: good.Seq, Hash: good.Hash}}
	})
	pub.take(root)
	pub.tell(ch, root)
	reader.await("the new root", func() bool { return reader.info(ch).Root.Version == 2 })
	if _, err := reader.ledger.Entry(t.Context(), ch.ID, "evil"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the thief's release is still there: %v", err)
	}
	thief.say(reader, room(ch), bundle(w, ch.Files("worse"), ch.Head(headLife)), bundle(w, three))
	thief.fence(reader, ch)

	// The second key's log begins.
	second := next(ch, channel.Body{Entries: []channel.FileEntry{channeltest.Entry("three", 1000)}})
	second.Log, second.Seq, second.Prev, second.Root = channeltest.Pub("second"), 1, nil, 2
	m := w.signed(channel.TypeManifest, w.encoded(second), channeltest.Key("second"))
	head := channel.Head{Format: 1, Channel: ch.ID, Root: 2, Log: second.Log, Seq: 1, Hash: channel.HashPayload(w.payloadOf(m)),
		Issued: second.Issued, Expires: second.Issued + 3600*24}
	h := w.signed(channel.TypeHead, w.encoded(head), channeltest.Key("second"))
	pub.take(m, h)
	pub.tell(ch, m, h)
	late := newParty(w, "late")
	late.follow(ch, reader.host)
	for _, p := range []*party{reader, late} {
		p.await("the second key's release", func() bool { return p.log(ch, second.Log).Head != nil && p.log(ch, good.Key()).Seq == 2 })
		if i := p.info(ch); i.Entries != 3 || i.Forked || i.Behind || !i.Fresh {
			t.Errorf("%s: %+v", p.name, i)
		}
	}
}

// A thief has a head key: it can say that the newest is what it is, and name
// what nobody has. It cannot publish, prove a fork, or outlast the next word of
// the publisher; a root without the key ends the rest.
func TestTheftOfAHeadKey(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "renewed")
	pub := newParty(w, "publisher")
	pub.publish(ch, "one")
	root := ch.Replace(func(r *channel.Root) {
		r.Publishers = append(r.Publishers, channel.Publisher{Key: channeltest.Pub("always-on"), Role: channel.RoleHead})
		slices.SortFunc(r.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
	})
	pub.take(root)
	reader := newParty(w, "reader")
	reader.follow(ch, pub.host)
	reader.await("the root with the head key", func() bool { return reader.info(ch).Root.Version == 2 && reader.has(ch) })
	reader.awaitFollower(ch, pub.id())

	key := channeltest.Key("always-on")
	thief := newAdversary(w)
	thief.meet(reader)
	thief.fence(reader, ch)
	claim := headOf(ch, math.MaxUint32, channel.Hash{7}, ch.Now.Add(time.Minute))
	contradiction := headOf(ch, 1, channel.Hash{7}, ch.Now.Add(time.Minute))
	thief.say(reader, room(ch),
		bundle(w, w.signed(channel.TypeHead, w.encoded(contradiction), key)),
		bundle(w, w.signed(channel.TypeHead, w.encoded(claim), key)))
	reader.await("the claim", func() bool { return reader.log(ch, ch.Key()).Claimed == math.MaxUint32 })
	if i := reader.info(ch); i.Forked || i.Fresh || !i.Behind || i.Entries != 1 {
		t.Errorf("after the claim: %+v", i)
	}

	ch.Now = ch.Now.Add(time.Hour)
	pub.publish(ch, "two")
	reader.awaitAll(ch)
	if i := reader.info(ch); i.Behind || !i.Fresh || i.Entries != 2 {
		t.Errorf("after the publisher's next word: %+v", i)
	}

	manifest := next(ch, evil())
	thief2 := newAdversary(w)
	thief2.meet(reader)
	thief2.fence(reader, ch)
	thief2.say(reader, room(ch), bundle(w, w.signed(channel.TypeManifest, w.encoded(manifest), key)))
	reader.awaitEvent("a manifest by a head key to be refused", func(e gossip.Event) bool {
		return e.Kind == gossip.EventRejected && e.Peer == thief2.id()
	})

	// It claims again, and the owner has had enough.
	claim.Issued, claim.Expires = channel.TimeOf(ch.Now.Add(2*time.Minute)), channel.TimeOf(ch.Now.Add(time.Hour))
	thief.say(reader, room(ch), bundle(w, w.signed(channel.TypeHead, w.encoded(claim), key)))
	reader.await("the second claim", func() bool { return reader.info(ch).Behind })
	without := ch.Replace(func(r *channel.Root) {
		r.Publishers = slices.DeleteFunc(r.Publishers, func(p channel.Publisher) bool { return p.Role == channel.RoleHead })
	})
	pub.take(without)
	pub.tell(ch, without)
	reader.await("the root without the key", func() bool { return reader.info(ch).Root.Version == 3 && !reader.info(ch).Behind })
	claim.Issued = claim.Issued + 60
	thief.say(reader, room(ch), bundle(w, w.signed(channel.TypeHead, w.encoded(claim), key)))
	thief.fence(reader, ch)
	pub.publish(ch, "three")
	reader.awaitAll(ch)
	if i := reader.info(ch); i.Behind || !i.Fresh || i.Entries != 3 {
		t.Errorf("at last: %+v", i)
	}
}

// A thief has one of three root keys, of which two must sign: what it signs is
// refused, by whatever way it comes. The owner replaces the key with the others,
// and the recovery key replaces all of them; the channel goes on through it.
func TestTheftOfRootKeys(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "ruled")
	// Found it anew, with three root keys.
	ch.Root.Root = channel.KeySet{Keys: channeltest.Pubs("r1", "r2", "r3"), Threshold: 2}
	ch.Root.Recovery = &channel.KeySet{Keys: channeltest.Pubs("recovery"), Threshold: 1}
	ch.Envelope = w.signed(channel.TypeRoot, w.encoded(ch.Root), channeltest.Key("r1"), channeltest.Key("r2"))
	ch.ID = channel.IDOf(w.payloadOf(ch.Envelope))
	pub := newParty(w, "publisher")
	pub.publish(ch, "one")
	reader := newParty(w, "reader")
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	reader.awaitFollower(ch, pub.id())

	replace := func(change func(*channel.Root), signers ...string) []byte {
		prev := channel.HashPayload(w.encoded(ch.Root))
		root := ch.Root
		root.Version, root.Prev, root.Nonce = root.Version+1, &prev, nil
		change(&root)
		var keys []channel.PrivateKey
		for _, s := range signers {
			keys = append(keys, channeltest.Key(s))
		}
		ch.Root = root
		return w.signed(channel.TypeRoot, w.encoded(root), keys...)
	}
	owner := ch.Root
	takeover := replace(func(r *channel.Root) {
		r.Root = channel.KeySet{Keys: channeltest.Pubs("r1", "mallory"), Threshold: 2}
		r.Publishers = append(slices.Clone(r.Publishers), channel.Publisher{Key: channeltest.Pub("mallory"), Role: channel.RolePublish})
		slices.SortFunc(r.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
	}, "r1", "mallory")
	ch.Root = owner
	thief := newAdversary(w)
	thief.meet(reader)
	thief.fence(reader, ch)
	thief.say(reader, room(ch), bundle(w, takeover))
	reader.awaitCaught(thief.id())
	liar := newLiar(w, ch, pub, &lies{
		roots: func([][]byte) [][]byte { return [][]byte{ch.Envelope, takeover} },
		info: func(i catalog.Info) catalog.Info {
			i.Root.Version = 2
			return i
		},
	})
	late := newParty(w, "late")
	late.follow(ch, liar.host)
	late.awaitCaught(liar.id())
	if v := reader.info(ch).Root.Version; v != 1 {
		t.Errorf("root version %d", v)
	}

	for _, step := range []struct {
		keys    []string
		signers []string
	}{
		{[]string{"r2", "r3", "r4"}, []string{"r2", "r3"}},       // the stolen one goes
		{[]string{"n1", "n2"}, []string{"recovery", "n1", "n2"}}, // and all of them
	} {
		root := replace(func(r *channel.Root) { r.Root = channel.KeySet{Keys: channeltest.Pubs(step.keys...), Threshold: 2} }, step.signers...)
		pub.take(root)
		pub.tell(ch, root)
	}
	pub.publish(ch, "two")
	late.follow(ch, pub.host)
	for _, p := range []*party{reader, late} {
		p.awaitAll(ch)
		if i := p.info(ch); i.Root.Version != 3 || i.Forked || i.Entries != 2 {
			t.Errorf("%s: %+v", p.name, i)
		}
	}
}
