package attack

import (
	"testing"
)

// A reader knows three releases and is started again. All that it meets then is
// an adversary that is at the first one, with the head that was good for it, by
// sync and by gossip. The reader stays where it was, and goes on when it meets
// an honest node again.
func TestRollback(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "rolled-back")
	pub, past := newParty(w, "publisher"), newParty(w, "the past")
	pub.publish(ch, "one")
	past.copy(ch, pub)
	oldHeads, err := past.ledger.Heads(t.Context(), ch.ID)
	w.must(err)
	oldManifests, err := past.ledger.Manifests(t.Context(), ch.ID, ch.Key(), 1, 1, 1, 1<<20)
	w.must(err)
	reader := newParty(w, "reader")
	reader.follow(ch, pub.host)
	pub.publish(ch, "two")
	pub.publish(ch, "three")
	reader.awaitAll(ch)
	reader.stop()

	again := newParty(w, "reader", at(reader.path))
	again.follow(ch, past.host)
	a := newAdversary(w)
	a.meet(again)
	a.fence(again, ch)
	a.say(again, room(ch), bundle(w, oldManifests[0], oldHeads[0]), bundle(w, oldHeads[0]), bundle(w, oldManifests[0]))
	a.fence(again, ch)
	if err := again.gossip.Sync(t.Context(), ch.ID, past.id()); err != nil {
		t.Fatal(err)
	}
	if !again.has(ch) {
		t.Errorf("it went back: %+v", again.info(ch))
	}
	for _, name := range []string{"one", "two", "three"} {
		if _, err := again.ledger.Entry(t.Context(), ch.ID, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}

	again.follow(ch, pub.host)
	again.awaitFollower(ch, pub.id())
	pub.publish(ch, "four")
	again.awaitAll(ch)
}
