package attack

import (
	"bytes"
	"crypto/rand"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// Somebody who may not publish floods a channel's room: thousands of messages
// whose signatures are wrong, or right and a stranger's, or which are nothing.
// After the first few nothing of what it says is looked at, although it goes on,
// and what the publisher says in the midst of it arrives, in this channel and in
// another.
func TestSpamByNonPublishers(t *testing.T) {
	w := newWorld(t)
	ch, calm := newChannel(w, "spammed"), newChannel(w, "calm")
	pub, reader := newParty(w, "publisher"), newParty(w, "reader")
	for _, c := range []*channeltest.Channel{ch, calm} {
		pub.publish(c, "one")
		reader.follow(c, pub.host)
		reader.awaitAll(c)
		reader.awaitFollower(c, pub.id())
	}
	good := next(ch, channel.Body{Title: "not yet"})
	var messages [][]byte
	for i := range 3000 {
		switch i % 3 {
		case 0: // a signature that is none
			env, err := channel.Sign(channel.TypeManifest, w.encoded(good), channeltest.Key("mallory"))
			w.must(err)
			env.Signatures[0].Key = ch.Key()
			_, _ = rand.Read(env.Signatures[0].Sig)
			messages = append(messages, bundle(w, channeltest.Encode(t, env, nil)))
		case 1: // a stranger's, on a log that is none
			own := good
			own.Log, own.Seq, own.Prev, own.Issued = channeltest.Pub("mallory"), 1, nil, good.Issued+channel.Time(i)
			messages = append(messages, bundle(w, w.signed(channel.TypeManifest, w.encoded(own), channeltest.Key("mallory"))))
		case 2:
			junk := make([]byte, 200)
			_, _ = rand.Read(junk)
			messages = append(messages, junk)
		}
	}
	spammers := make(chan struct{}, 4)
	var all []*adversary
	for range cap(spammers) {
		a := newAdversary(w)
		a.meet(reader)
		a.fence(reader, ch)
		all = append(all, a)
	}
	looked := func(a *adversary) int {
		return reader.count(func(e gossip.Event) bool { return e.Kind == gossip.EventRejected && e.Peer == a.id() })
	}
	const first = 10
	for i, a := range all {
		mine := messages[i*len(messages)/4 : (i+1)*len(messages)/4]
		a.say(reader, room(ch), mine[:first]...)
		reader.await("the first to be refused", func() bool { return looked(a) == first })
		go func() {
			defer func() { spammers <- struct{}{} }()
			a.say(reader, room(ch), mine[first:]...)
		}()
	}
	for range 5 {
		pub.publish(ch, "new")
		pub.publish(calm, "new")
	}
	reader.awaitAll(ch)
	reader.awaitAll(calm)
	for range all {
		<-spammers
	}
	// Five cost 2,500 points. What was under way when the score fell is judged.
	for _, a := range all {
		a.fence(reader, ch)
		if n := looked(a); n > len(messages)/8 {
			t.Errorf("%d of %d messages were looked at", n, len(messages)/4)
		}
	}
	reader.trusts(pub)
	if i := reader.info(ch); i.Releases != 6 || bytes.Contains([]byte(i.Root.Title), []byte("evil")) {
		t.Errorf("%+v", i)
	}
}
