package attack

import "testing"

// A mirror gives the manifests and no head: the reader has them, and does not
// take the channel for fresh. The head comes from somebody else.
func TestWithheldHead(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "headless")
	pub := newParty(w, "publisher")
	pub.publish(ch, "one")
	liar := newLiar(w, ch, pub, &lies{heads: func([][]byte) [][]byte { return nil }})
	reader := newParty(w, "reader")
	reader.follow(ch, liar.host)
	reader.await("the release", func() bool { return reader.log(ch, ch.Key()).Seq == 1 })
	if i := reader.info(ch); i.Fresh || reader.log(ch, ch.Key()).Head != nil {
		t.Errorf("without a head: %+v", i)
	}
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	reader.awaitFollower(ch, pub.id())
	pub.publish(ch, "two")
	reader.awaitAll(ch)
	if i := reader.info(ch); !i.Fresh {
		t.Errorf("with all heads: %+v", i)
	}
}

// A mirror gives the newest head and keeps the newest manifest back: the reader
// knows that it is behind, asks others, and has it from them.
func TestWithheldManifest(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "holey")
	pub := newParty(w, "publisher")
	pub.publish(ch, "one")
	pub.publish(ch, "two")
	liar := newLiar(w, ch, pub, &lies{manifests: func(from uint64, all [][]byte) [][]byte { return all[:max(0, 2-int(from))] }})
	reader := newParty(w, "reader")
	reader.follow(ch, liar.host)
	reader.await("the first release and a head of the second", func() bool {
		l := reader.log(ch, ch.Key())
		return l.Seq == 1 && l.Claimed == 2
	})
	if i := reader.info(ch); i.Fresh || !i.Behind {
		t.Errorf("behind: %+v", i)
	}
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	reader.awaitFollower(ch, pub.id())
	pub.publish(ch, "three")
	reader.awaitAll(ch)
	if i := reader.info(ch); !i.Fresh || i.Behind {
		t.Errorf("at last: %+v", i)
	}
}
