package gossip

import (
	"slices"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// give puts envelopes into a node's ledger, as sync with others would have.
func (n *node) give(id channel.ID, envelopes ...[]byte) {
	n.t.Helper()
	if err := n.ledger.Expect(n.t.Context(), id, catalog.Followed); err != nil {
		n.t.Fatal(err)
	}
	if _, err := n.ledger.OfferAll(n.t.Context(), envelopes); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) awaitRootFork(id channel.ID) {
	n.t.Helper()
	n.await("the fork of the root", func() bool {
		info, err := n.ledger.Channel(n.t.Context(), id)
		return err == nil && info.RootFork && info.Forked && !info.Fresh
	})
	if forks, err := n.ledger.Forks(n.t.Context(), id); err != nil || len(forks) != 1 {
		n.t.Errorf("%d proofs are kept, %v", len(forks), err)
	}
}

// A thief of the root keys signed roots for one half of the followers, and the
// owner others for the other half. As soon as two nodes of both halves meet, both
// have the proof, and who joins later has it too; nobody takes the other for a liar.
func TestAForkedRootIsNoticedWhenTwoHalvesMeet(t *testing.T) {
	for name, versions := range map[string][2]int{"at one version": {1, 1}, "one is ahead": {1, 2}, "versions later": {2, 3}, "long ago": {70, 70}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ch := channeltest.NewChannel(t, "halves")
			owner, thief := newNode(t, ""), newNode(t, "")
			first := [][]byte{ch.Envelope, ch.Files("one"), ch.Head(time.Hour)}
			owner.give(ch.ID, first...)
			thief.give(ch.ID, first...)
			stolen := ch.Branch()
			stolen.Replace(func(r *channel.Root) {
				r.Publishers = append(r.Publishers, channel.Publisher{Key: channeltest.Pub("ben"), Role: channel.RolePublish})
				slices.SortFunc(r.Publishers, func(a, b channel.Publisher) int { return a.Key.Compare(b.Key) })
			})
			thief.give(ch.ID, stolen.Envelope)
			for range versions[1] - 1 {
				thief.give(ch.ID, stolen.Replace(func(r *channel.Root) {}))
			}
			ben := stolen.Branch()
			ben.Name, ben.Seq = "ben", 0
			thief.give(ch.ID, ben.Files("two"), ben.Head(time.Hour))
			for range versions[0] {
				owner.give(ch.ID, ch.Replace(func(r *channel.Root) { r.Title = "Mine" }))
			}

			for _, n := range []*node{owner, thief} {
				if err := n.gossip.Follow(ch.ID); err != nil {
					t.Fatal(err)
				}
			}
			connect(t, owner.host, thief.host)
			owner.awaitRootFork(ch.ID)
			thief.awaitRootFork(ch.ID)

			late := newNode(t, "")
			if err := late.gossip.Follow(ch.ID, infoOf(owner.host)); err != nil {
				t.Fatal(err)
			}
			late.awaitRootFork(ch.ID)
			for _, n := range []*node{owner, thief, late} {
				if c := n.count(func(e Event) bool { return e.Kind == EventMisbehaved }); c != 0 {
					t.Errorf("%d times somebody was taken for a liar: %+v", c, n.events)
				}
			}
		})
	}
}
