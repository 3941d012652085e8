package attack

import (
	"context"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// snapshotOf signs a snapshot that ends with the channel's newest release, lists
// these, and is the word of a log whether or not the keys are its own.
func (w *world) snapshotOf(ch *channeltest.Channel, live []channel.Live, keys ...channel.PrivateKey) (envelope []byte, pages [][]byte) {
	w.Helper()
	refs, pages, err := channel.MakePages(ch.Seq, live)
	w.must(err)
	s := channel.Snapshot{Format: 1, Channel: ch.ID, Root: ch.Root.Version, Log: ch.Key(), Seq: ch.Seq, Hash: ch.Hash,
		Issued: channel.TimeOf(ch.Now), Pages: refs}
	return w.signed(channel.TypeSnapshot, w.encoded(s), keys...), pages
}

// five is a channel of two publishers in which the first has released five times,
// and the branch that goes off after the second release.
func five(w *world, name string, pub *party) (ch, branch *channeltest.Channel, newest []byte) {
	w.Helper()
	ch = twoPublishers(w, name)
	for _, n := range []string{"1", "2", "3", "4"} {
		if n == "3" {
			branch = ch.Branch()
		}
		pub.publish(ch, n)
	}
	newest = ch.Files("5")
	pub.release(ch, newest)
	return ch, branch, newest
}

// goesOn has the other publisher release something, which all of them get.
func (w *world) goesOn(ch *channeltest.Channel, pub *party, all ...*party) {
	w.Helper()
	m := w.bySecond(ch, "by the other publisher")
	pub.take(m)
	pub.tell(ch, m)
	for _, p := range append(all, pub) {
		p.await("the other publisher's release", func() bool { return p.log(ch, channeltest.Pub("second")).Seq == 1 })
	}
}

// A publisher, or who has its key, tells a late joiner that release 3 was another
// than what all others have. The late joiner cannot know: it has no other word. As
// soon as it meets somebody who has the log, both see that the key signed two
// histories, and so does who joins even later; the other publisher goes on.
func TestLateJoinersAreShownAnotherPast(t *testing.T) {
	w := newWorld(t)
	pub := newParty(w, "publisher")
	ch, branch, newest := five(w, "past", pub)
	evil := branch.Files("evil")

	liar := newParty(w, "liar")
	w.must(liar.ledger.Expect(w.Context(), ch.ID, catalog.Followed))
	_, err := liar.ledger.OfferAll(w.Context(), [][]byte{ch.Envelope})
	w.must(err)
	envelope, pages := w.snapshotOf(ch, []channel.Live{{Seq: 3, Hash: branch.Hash}, {Seq: 5, Hash: ch.Hash}}, channeltest.Key(ch.Name))
	o, err := liar.ledger.OfferSnapshot(w.Context(), envelope, newest, pages)
	if err != nil || o.Verdict != feed.Accepted {
		t.Fatalf("the forged snapshot is %s, %v, %v", o.Verdict, o.Err, err)
	}
	liar.take(evil)

	late := newParty(w, "late")
	late.follow(ch, liar.host)
	late.await("the other past", func() bool {
		_, err := late.ledger.Entry(w.Context(), ch.ID, "evil")
		return err == nil
	})

	pub.follow(ch)
	late.follow(ch, pub.host)
	later := newParty(w, "later")
	for _, p := range []*party{pub, late} {
		p.await("the fork", func() bool { return p.info(ch).Forked && p.log(ch, ch.Key()).Frozen })
	}
	if _, err := pub.ledger.Entry(w.Context(), ch.ID, "3"); err != nil {
		t.Errorf("who has the log lost what was in it: %v", err)
	}
	later.follow(ch, pub.host)
	later.await("the fork", func() bool { return later.info(ch).Forked })
	w.goesOn(ch, pub, late, later)
	late.trusts(pub)
	later.trusts(pub)
	pub.trusts(late)
}

// shelfLies are lies about the snapshot of a log.
type shelfLies struct {
	*lies
	gossip.Shelf
	envelope, anchor []byte
	pages            [][]byte
}

func (l *shelfLies) over(c *catalog.Catalog) { l.lies.Ledger, l.Shelf = c, c }

func (l *shelfLies) Snapshot(context.Context, channel.ID, channel.PublicKey) (catalog.Snapshot, error) {
	env, err := channel.DecodeEnvelope(l.envelope)
	if err != nil {
		return catalog.Snapshot{}, err
	}
	s, err := channel.DecodeSnapshot(env.Payload)
	return catalog.Snapshot{Snapshot: s, Payload: env.Hash(), Envelope: l.envelope, Anchor: l.anchor}, err
}

func (l *shelfLies) Pages(context.Context, channel.ID, channel.PublicKey, channel.Hash, int, int, int, int) ([][]byte, int, error) {
	return l.pages, len(l.pages), nil
}

// A snapshot that the key has not signed, and one with another page than it names,
// lead nobody into another past: who tells them is caught, and the late joiner gets
// the log from who has it.
func TestLateJoinersRefuseSnapshotsThatAreNone(t *testing.T) {
	for name, by := range map[string]string{"not signed by the key": "mallory", "another page than it names": ""} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			pub := newParty(w, "publisher")
			ch, branch, newest := five(w, "none of it", pub)
			branch.Files("evil")
			live := []channel.Live{{Seq: 3, Hash: branch.Hash}, {Seq: 5, Hash: ch.Hash}}
			l := &shelfLies{lies: &lies{info: func(i catalog.Info) catalog.Info {
				i.Logs = slices.Clone(i.Logs)
				for n := range i.Logs {
					i.Logs[n].Snapshot = i.Logs[n].Seq
				}
				return i
			}}, anchor: newest}
			if by != "" {
				l.envelope, l.pages = w.snapshotOf(ch, live, channeltest.Key(by))
			} else {
				l.envelope, _ = w.snapshotOf(ch, live[1:], channeltest.Key(ch.Name))
				_, l.pages = w.snapshotOf(ch, live, channeltest.Key(ch.Name))
			}
			liar := newParty(w, "liar", func(_ *party, _ *catalog.Config, c *gossip.Config) { c.Ledger = l })
			liar.copy(ch, pub)
			late := newParty(w, "late")
			late.follow(ch, liar.host)
			late.awaitCaught(liar.id())
			late.follow(ch, pub.host)
			late.awaitAll(ch)
			if i := late.info(ch); i.Entries != 5 || i.Forked || late.log(ch, ch.Key()).Snapshot != 0 {
				t.Errorf("the late joiner has %+v", i)
			}
			late.trusts(pub)
			w.goesOn(ch, pub, late)
		})
	}
}

// A stolen key whose theft the root has ended signs a snapshot: nobody takes it, by
// gossip or by sync, and the late joiner has what was good and what others release.
func TestLateJoinersTakeNoSnapshotOfARevokedKey(t *testing.T) {
	w := newWorld(t)
	pub := newParty(w, "publisher")
	ch, branch, newest := five(w, "stolen", pub)
	good := branch.Hash // of release 2
	branch.Files("evil")
	envelope, pages := w.snapshotOf(ch, []channel.Live{{Seq: 3, Hash: branch.Hash}, {Seq: 5, Hash: ch.Hash}}, channeltest.Key(ch.Name))
	liar := newParty(w, "liar", func(_ *party, _ *catalog.Config, c *gossip.Config) {
		c.Ledger = &shelfLies{lies: &lies{info: func(i catalog.Info) catalog.Info {
			i.Logs = slices.Clone(i.Logs)
			for n := range i.Logs {
				i.Logs[n].Snapshot = i.Logs[n].Seq
			}
			return i
		}}, anchor: newest, envelope: envelope, pages: pages}
	})
	liar.copy(ch, pub)
	first := ch.Envelope
	root := ch.Replace(func(r *channel.Root) {
		r.Publishers = slices.DeleteFunc(r.Publishers, func(p channel.Publisher) bool { return p.Key == ch.Key() })
		r.Revoked = []channel.Revoked{{Key: ch.Key(), Seq: 2, Hash: good}}
	})
	pub.take(root)

	late := newParty(w, "late")
	w.must(late.ledger.Expect(w.Context(), ch.ID, catalog.Followed))
	_, err := late.ledger.OfferAll(w.Context(), [][]byte{first, root})
	w.must(err)
	late.follow(ch, liar.host)
	late.await("what was good", func() bool { return late.log(ch, ch.Key()).Seq == 2 })
	thief := newAdversary(w)
	thief.meet(late)
	thief.fence(late, ch)
	thief.say(late, room(ch), bundle(w, envelope))

	late.follow(ch, pub.host)
	w.goesOn(ch, pub, late)
	if l := late.log(ch, ch.Key()); l.Seq != 2 || l.Snapshot != 0 || l.Joined != 0 || late.info(ch).Forked {
		t.Errorf("the late joiner has %+v", l)
	}
	late.trusts(pub)
}
