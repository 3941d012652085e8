package attack

import (
	"bytes"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/gossip"
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
// two and two in every order, so that no message is the same as one before.
// Nothing of it moves anybody, next to nothing is passed on, most of it is not
// even looked at, and what is new still arrives.
func TestReplay(t *testing.T) {
	w := newWorld(t)
	ch := newChannel(w, "replayed")
	pub := newParty(w, "publisher")
	books := &lies{} // that count
	reader := newParty(w, "reader", func(_ *party, _ *catalog.Config, c *gossip.Config) { c.Ledger = books })
	const releases, burst = 40, 1024
	var old [][]byte
	for range releases {
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

	before, judged := reader.info(ch), books.offered.Load()
	var flood [][]byte
	for i := range old {
		for j := range old {
			flood = append(flood, bundle(w, old[i], old[j]))
		}
	}
	poured := make(chan struct{})
	go func() {
		defer close(poured)
		a.say(reader, room(ch), flood...)
	}()
	<-poured
	a.fence(reader, ch)
	pub.publish(ch, "new")
	reader.awaitAll(ch)
	witness.awaitHeard(room(ch), 1)
	if after := reader.info(ch); after.Releases != before.Releases+1 {
		t.Errorf("%d old messages brought %+v", len(flood), after)
	}
	// The world's clock stands still, so that the reader's patience with one who
	// says what is known is just its burst; a head and a manifest are the news.
	if n := books.offered.Load() - judged; n > 2*burst+4 {
		t.Errorf("%d envelopes of %d old messages were looked at", n, len(flood))
	}
	// What sync brought before gossip did is passed on once, when gossip brings it
	// after all.
	passed := 0
	for _, m := range witness.inRoom(room(ch)) {
		var envelopes [][]byte
		w.must(dcbor.Unmarshal(m, &envelopes))
		if slices.ContainsFunc(old, func(e []byte) bool { return bytes.Equal(e, envelopes[0]) }) {
			passed++
		}
	}
	if passed > releases {
		t.Errorf("%d of %d old messages were passed on", passed, len(flood))
	}
}
