package attack

import (
	"testing"

	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// bundle makes one gossip message of envelopes.
func bundle(w *world, envelopes ...[]byte) []byte {
	w.Helper()
	data, err := dcbor.Marshal(envelopes)
	w.must(err)
	return data
}

// Whoever has heard the channel says all of it again and again, as it was and
// in every other combination, so that no message is the same as one before.
// Nothing of it moves anybody or is passed on, and what is new still arrives.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "replayed")
	pub, reader := newParty(w, "publisher"), newParty(w, "reader")
	var old [][]byte
	for range 4 {
		m := ch.Files("file")
		old = append(old, m)
		pub.release(ch, m)
	}
	reader.follow(ch, pub.host)
	reader.awaitAll(ch)
	a, witness := newAdversary(w), newAdversary(w)
	a.meet(reader)
	a.fence(reader, ch)
	witness.meet(reader)
	witness.fence(reader, ch)
	witness.graft(reader, room(ch))

	before := reader.info(ch)
	flood := 0
	for i := range old {
		for j := range old {
			for k := range old {
				for l := range old {
					a.say(reader, room(ch), bundle(w, old[i], old[j], old[k], old[l], ch.Envelope))
					flood++
				}
			}
		}
	}
	a.fence(reader, ch)
	if after := reader.info(ch); after.Position != before.Position || after.Releases != before.Releases {
		t.Errorf("%d old messages brought %+v", flood, after)
	}

	pub.publish(ch, "new")
	reader.awaitAll(ch)
	witness.awaitHeard(room(ch), 1)
	// What sync brought before gossip did is passed on once, when gossip brings it
	// after all: five payloads are no more than five messages.
	old5 := 0
	for _, m := range witness.inRoom(room(ch)) {
		var envelopes [][]byte
		w.must(dcbor.Unmarshal(m, &envelopes))
		if len(envelopes) == 5 {
			old5++
		}
	}
	if old5 > 5 {
		t.Errorf("%d of %d old messages were passed on", old5, flood)
	}
}
