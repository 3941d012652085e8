package gossip

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// wireTo is wire for a catalogue.
func wireTo(t testing.TB, l *catalog.Catalog, id channel.ID, answers func(net.Conn)) error {
	t.Helper()
	near, far := bufferedPipe()
	var done sync.WaitGroup
	done.Go(func() {
		defer far.Close()
		answers(far)
		_, _ = io.Copy(io.Discard, far)
	})
	p := newPuller(l, &claims{}, near, time.Minute, func(feed.Outcome) {})
	sections, err := p.heads([]channel.ID{id})
	if err == nil {
		_, err = p.channel(t.Context(), id, sections[id])
	}
	_ = near.Close()
	done.Wait()
	return err
}

// Whoever lies about snapshots is caught at once, costs no more than one frame, and
// leaves nothing behind: an honest peer completes the log.
func TestLyingAboutSnapshotsIsCaught(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.release(6, 3)
	envelope, pages, live := p.draw()
	p.snapshot()
	p.release(1, 3)
	key, log := p.ch.ID.Discovery(), p.ch.Key()
	stranger := newPast(t)
	stranger.ch = channeltest.NewChannel(t, "stranger")
	if err := stranger.ledger.Expect(t.Context(), stranger.ch.ID, catalog.Followed); err != nil {
		t.Fatal(err)
	}
	stranger.offer([][]byte{stranger.ch.Envelope})
	stranger.release(6, 3)
	foreign, foreignPages, _ := stranger.draw()
	env, err := channel.DecodeEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	forged, err := channel.Sign(channel.TypeSnapshot, env.Payload, channeltest.Key("stranger"))
	unsigned := encode(t, forged, err)

	logs := []logState{{Log: log, Seq: 7, Hash: p.ch.Hash, Snapshot: 6}}
	heads := func(c net.Conn) {
		skip(c)
		send(c, answer{Sections: []section{{Key: key, Root: 1, Hash: firstRoot(p.ch.ID), Logs: logs}}})
	}
	items := func(es ...[]byte) answer { return answer{Sections: []section{{Key: key, Items: es}}} }
	more := func(a answer) answer { a.More = true; return a }
	roots := func(c net.Conn) { heads(c); skip(c); skip(c); send(c, items(p.ch.Envelope)) }
	joined := func(c net.Conn) { roots(c); send(c, items(envelope, p.all[5], pages[0])); skip(c); skip(c) }
	if len(live) != 3 {
		t.Fatalf("%v count", live)
	}
	lies := map[string]func(c net.Conn){
		"a snapshot of another channel":   func(c net.Conn) { roots(c); send(c, items(foreign, stranger.all[5], foreignPages[0])) },
		"a snapshot by another key":       func(c net.Conn) { roots(c); send(c, items(unsigned, p.all[5], pages[0])) },
		"a snapshot with a bad signature": func(c net.Conn) { roots(c); send(c, items(flip(envelope), p.all[5], pages[0])) },
		"a manifest for a snapshot":       func(c net.Conn) { roots(c); send(c, items(p.all[5], p.all[5])) },
		"junk for a snapshot":             func(c net.Conn) { roots(c); send(c, items([]byte{1}, p.all[5])) },
		"no manifest to end with":         func(c net.Conn) { roots(c); send(c, items(envelope)) },
		"another manifest to end with":    func(c net.Conn) { roots(c); send(c, items(envelope, p.all[4], pages[0])) },
		"a manifest with a bad signature": func(c net.Conn) { roots(c); send(c, items(envelope, flip(p.all[5]), pages[0])) },
		"another page":                    func(c net.Conn) { roots(c); send(c, items(envelope, p.all[5], foreignPages[0])) },
		"a changed page":                  func(c net.Conn) { roots(c); send(c, items(envelope, p.all[5], flip(pages[0]))) },
		"a page twice":                    func(c net.Conn) { roots(c); send(c, items(envelope, p.all[5], pages[0], pages[0])) },
		"pages, for ever": func(c net.Conn) {
			roots(c)
			send(c, more(items(envelope, p.all[5], pages[0])), more(items(pages[0])))
		},
		"nothing, for ever": func(c net.Conn) { roots(c); send(c, more(items(envelope, p.all[5])), answer{More: true}) },
		"pages of another channel": func(c net.Conn) {
			roots(c)
			send(c, answer{Sections: []section{{Key: stranger.ch.ID.Discovery(), Items: [][]byte{envelope, p.all[5], pages[0]}}}})
		},
		"a snapshot beyond the log": func(c net.Conn) {
			skip(c)
			send(c, answer{Sections: []section{{Key: key, Root: 1, Hash: firstRoot(p.ch.ID), Logs: []logState{{Log: log, Seq: 5, Hash: p.ch.Hash, Snapshot: 6}}}}})
		},
		"what was not asked for as live":  func(c net.Conn) { joined(c); send(c, items(p.all[6])) },
		"live ones in another order":      func(c net.Conn) { joined(c); send(c, items(p.all[4], p.all[3])) },
		"a live one twice":                func(c net.Conn) { joined(c); send(c, items(p.all[3], p.all[3])) },
		"a live one with a bad signature": func(c net.Conn) { joined(c); send(c, items(flip(p.all[3]))) },
		"a live one of another channel":   func(c net.Conn) { joined(c); send(c, items(stranger.all[3])) },
		"a root for a live one":           func(c net.Conn) { joined(c); send(c, items(p.ch.Envelope)) },
		"live ones, for ever":             func(c net.Conn) { joined(c); send(c, more(items(p.all[3], p.all[4], p.all[5]))) },
		"nothing live, for ever":          func(c net.Conn) { joined(c); send(c, answer{More: true}) },
	}
	honestly := func(t *testing.T, late *catalog.Catalog) {
		t.Helper()
		if _, err := pullFrom(t, late, p.ledger, p.ch.ID); err != nil {
			t.Errorf("honest peer afterwards: %v", err)
		}
		if l := logAt(t, late, p.ch); l.Seq != 7 || l.Owed != 0 {
			t.Errorf("afterwards: %+v", l)
		}
		sameView(t, p.ledger, late, p.ch.ID)
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			late := ledgerFor(t, p.ch.ID)
			if err := wireTo(t, late, p.ch.ID, lie); !errors.Is(err, ErrMisbehaved) {
				t.Errorf("got %v, want %v", err, ErrMisbehaved)
			}
			honestly(t, late)
		})
	}
	// These have less than they said, which is no lie.
	for name, less := range map[string]func(c net.Conn){
		"no snapshot after all": func(c net.Conn) {
			roots(c)
			send(c, answer{})
			skip(c)
			send(c, items(p.all...))
			skip(c)
			send(c, answer{})
		},
		"no pages": func(c net.Conn) {
			roots(c)
			send(c, items(envelope, p.all[5])) // which is asked for again
			skip(c)
			send(c, items(envelope, p.all[5]))
			skip(c)
			send(c, answer{})
		},
		"nothing that is live":   func(c net.Conn) { joined(c); send(c, answer{}, items(p.all[6])) },
		"half of what is live":   func(c net.Conn) { joined(c); send(c, items(p.all[4]), items(p.all[6])); skip(c); send(c, answer{}) },
		"an end between answers": func(c net.Conn) { joined(c); _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			late := ledgerFor(t, p.ch.ID)
			if err := wireTo(t, late, p.ch.ID, less); errors.Is(err, ErrMisbehaved) {
				t.Errorf("got %v", err)
			}
			honestly(t, late)
		})
	}
}

// A publisher, or who has its key, shows late joiners another past than the others.
// Who has all of the log finds the contradiction in a page, and whoever meets it
// learns of it by the proof.
func TestSnapshotOfAnotherPastFreezesTheLog(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.release(2, 2)
	other := p.ch.Branch() // release 3 of another history
	evil := other.Files("evil")
	p.release(3, 9)
	live := []channel.Live{{Seq: 3, Hash: other.Hash}, {Seq: 5, Hash: p.ch.Hash}}
	refs, pages, err := channel.MakePages(5, live)
	if err != nil {
		t.Fatal(err)
	}
	env, err := channel.Snapshot{Format: 1, Channel: p.ch.ID, Root: 1, Log: p.ch.Key(), Seq: 5, Hash: p.ch.Hash, Issued: channel.TimeOf(p.ch.Now), Pages: refs}.
		Sign(channeltest.Key(p.ch.Name))
	envelope := encode(t, env, err)
	fooled := ledgerFor(t, p.ch.ID)
	for _, e := range [][]byte{p.ch.Envelope} {
		if _, err := fooled.Offer(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if o, err := fooled.OfferSnapshot(t.Context(), envelope, p.all[4], pages); err != nil || o.Verdict != feed.Accepted {
		t.Fatalf("%s, %v, %v", o.Verdict, o.Err, err)
	}
	if o, err := fooled.Offer(t.Context(), evil); err != nil || o.Verdict != feed.Accepted {
		t.Fatalf("%s, %v, %v", o.Verdict, o.Err, err)
	}
	// The one with all of it meets the one that was fooled.
	if _, err := pullFrom(t, p.ledger, fooled, p.ch.ID); err != nil {
		t.Fatal(err)
	}
	if l := logAt(t, p.ledger, p.ch); !l.Frozen || l.Seq != 5 {
		t.Errorf("who has all of it: %+v", l)
	}
	// And it tells it, and somebody who has nothing.
	third := ledgerFor(t, p.ch.ID)
	for _, to := range []*catalog.Catalog{fooled, third} {
		if _, err := pullFrom(t, to, p.ledger, p.ch.ID); err != nil {
			t.Fatal(err)
		}
		if l := logAt(t, to, p.ch); !l.Frozen {
			t.Errorf("told: %+v", l)
		}
	}
}

// A node that was away goes on by manifests while somebody has them, and jumps
// when all others have joined by a snapshot.
func TestNodeThatWasAwayIsNotStuckBetweenLateJoiners(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.release(5, 3)
	away, again := ledgerFor(t, p.ch.ID), ledgerFor(t, p.ch.ID)
	for _, c := range []*catalog.Catalog{away, again} {
		if _, err := pullFrom(t, c, p.ledger, p.ch.ID); err != nil {
			t.Fatal(err)
		}
	}
	p.release(20, 3)
	p.snapshot()
	p.release(2, 3)
	late := ledgerFor(t, p.ch.ID)
	if _, err := pullFrom(t, late, p.ledger, p.ch.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := pullFrom(t, again, p.ledger, p.ch.ID); err != nil {
		t.Fatal(err)
	}
	if l := logAt(t, again, p.ch); l.Seq != 27 || l.Joined != 0 || l.Snapshot != 25 {
		t.Errorf("beside the publisher: %+v", l)
	}
	if _, err := pullFrom(t, away, late, p.ch.ID); err != nil {
		t.Fatal(err)
	}
	if l := logAt(t, away, p.ch); l.Seq != 27 || l.Joined != 25 || l.Owed != 0 {
		t.Errorf("beside a late joiner: %+v", l)
	}
	for _, c := range []*catalog.Catalog{away, again, late} {
		sameView(t, p.ledger, c, p.ch.ID)
	}
}

// What one peer began another one completes, although it has another snapshot by
// then.
func TestJoiningGoesOnWithSomebodyElse(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.release(30, 12)
	envelope, pages, _ := p.draw()
	p.snapshot()
	half := ledgerFor(t, p.ch.ID)
	if _, err := half.Offer(t.Context(), p.ch.Envelope); err != nil {
		t.Fatal(err)
	}
	if o, err := half.OfferSnapshot(t.Context(), envelope, p.all[29], pages); err != nil || o.Verdict != feed.Accepted {
		t.Fatalf("%s, %v, %v", o.Verdict, o.Err, err)
	}
	if l := logAt(t, half, p.ch); l.Owed != 12 || !l.Behind || l.Fresh {
		t.Fatalf("joined: %+v", l)
	}
	p.release(5, 12)
	p.snapshot()
	if _, err := pullFrom(t, half, p.ledger, p.ch.ID); err != nil {
		t.Fatal(err)
	}
	if l := logAt(t, half, p.ch); l.Seq != 35 || l.Owed != 0 || l.Snapshot != 35 || l.Behind {
		t.Errorf("completed: %+v", l)
	}
	sameView(t, p.ledger, half, p.ch.ID)
	if dead, err := half.Dead(t.Context(), p.ch.ID, 0, 0); err != nil || slices.ContainsFunc(dead, func(r catalog.Release) bool { return r.Seq > 30-5 && r.Seq != 26 && r.Seq < 24 }) {
		t.Errorf("%d are dead, %v", len(dead), err)
	}
}

// A snapshot is gossiped without its pages: followers hear of it at once, and ask.
func TestFollowersHearOfASnapshotAtOnce(t *testing.T) {
	t.Parallel()
	p := newPast(t)
	p.release(6, 2)
	quiet := func(c *Config) { c.SyncInterval, c.FindInterval = time.Hour, time.Hour }
	a, b, c := newNode(t, "", quiet), newNode(t, "", quiet), newNode(t, "", quiet)
	for _, n := range []*node{a, b, c} {
		if err := n.ledger.Expect(t.Context(), p.ch.ID, catalog.Followed); err != nil {
			t.Fatal(err)
		}
		if _, err := pullFrom(t, n.ledger, p.ledger, p.ch.ID); err != nil {
			t.Fatal(err)
		}
		if err := n.gossip.Follow(p.ch.ID); err != nil {
			t.Fatal(err)
		}
	}
	connect(t, a.host, b.host)
	connect(t, b.host, c.host)
	a.awaitFollower(p.ch.ID, b)
	b.awaitFollower(p.ch.ID, c)
	envelope, pages, _ := p.draw()
	if err := a.ledger.AppendSnapshot(t.Context(), envelope, pages); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if err := a.gossip.Publish(ctx, p.ch.ID, envelope); err != nil {
		t.Fatal(err)
	}
	for _, n := range []*node{b, c} {
		n.await("the snapshot", func() bool { return logAt(t, n.ledger, p.ch).Snapshot == 6 })
		if dead, err := n.ledger.Dead(t.Context(), p.ch.ID, 0, 0); err != nil || len(dead) != 4 {
			t.Errorf("%d are dead, %v", len(dead), err)
		}
	}
}
