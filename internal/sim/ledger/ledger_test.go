package ledger

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// What is said of the network with this ledger is worth something only if it
// decides and answers as the catalogue does.
func TestItDecidesAndAnswersAsTheCatalogueDoes(t *testing.T) {
	ctx := t.Context()
	c := channeltest.NewChannel(t, "ledger", "a/b")
	c.Now = time.Now().Add(-time.Hour)
	first := c.Envelope
	one, two := c.Files("one"), c.Files("two")
	head := c.Head(24 * time.Hour)
	branch := c.Branch()
	three, other := c.Files("three"), branch.Files("other")
	ahead := c.Branch()
	ahead.Files("four")
	claim := ahead.Head(24 * time.Hour)
	last := c.Hash
	next := c.Replace(func(r *channel.Root) {
		r.Publishers = []channel.Publisher{{Key: channeltest.Pub("ledger two"), Role: channel.RolePublish}}
		r.Revoked = []channel.Revoked{{Key: c.Key(), Seq: c.Seq, Hash: last}}
	})
	foreign := channeltest.NewChannel(t, "foreign").Envelope

	real, err := catalog.Open(ctx, catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = real.Close() })
	changes := 0
	both := [2]gossip.Ledger{real, New(func(feed.Outcome) { changes++ })}
	for _, l := range both {
		if err := l.Expect(ctx, c.ID, catalog.Followed); err != nil {
			t.Fatal(err)
		}
	}
	type step struct {
		name     string
		envelope []byte
		gossiped bool
	}
	for _, s := range []step{
		{"a manifest before its root", one, true}, {"the root", first, true}, {"a gap", two, true}, {"one", one, true}, {"one again", one, false},
		{"two", two, false}, {"a head", head, true}, {"the head again", head, true}, {"a claim", claim, true}, {"three", three, true},
		{"another three", other, true}, {"three again", three, false}, {"the next root", next, false}, {"the next root again", next, true},
		{"another channel", foreign, true}, {"nonsense", []byte{1, 2, 3}, true},
	} {
		var got [2]feed.Outcome
		for i, l := range both {
			if s.gossiped {
				got[i], err = l.OfferGossip(ctx, s.envelope)
			} else {
				var all []feed.Outcome
				if all, err = l.OfferAll(ctx, [][]byte{s.envelope}); err == nil {
					got[i] = all[0]
				}
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		a, b := got[0], got[1]
		if a.Verdict != b.Verdict || a.Changed != b.Changed || a.Hash != b.Hash || !reflect.DeepEqual(a.Want, b.Want) || !reflect.DeepEqual(a.Proof, b.Proof) {
			t.Errorf("%s: the catalogue says %s (%v), changed %v; it says %s (%v), changed %v", s.name, a.Verdict, a.Err, a.Changed, b.Verdict, b.Err, b.Changed)
		}
		compare(t, s.name, both, c)
	}
	if changes == 0 {
		t.Error("nobody was told of a change")
	}
}

// compare asks both the same questions.
func compare(t *testing.T, when string, both [2]gossip.Ledger, c *channeltest.Channel) {
	t.Helper()
	ctx := context.Background()
	var said [2][]any
	for i, l := range both {
		info, err := l.Channel(ctx, c.ID)
		if err != nil {
			t.Fatal(err)
		}
		byKey, err := l.ByDiscovery(ctx, c.ID.Discovery())
		if err != nil {
			t.Fatal(err)
		}
		for _, log := range info.Logs {
			said[i] = append(said[i], log.Log, log.Seq, log.Hash, log.Frozen, log.Claimed, log.Behind, log.Fresh, log.Revoked)
		}
		said[i] = append(said[i], byKey, info.HasRoot, info.Root.Version, info.Forked, info.Behind, info.Reason)
		heads, err := l.Heads(ctx, c.ID)
		said[i] = append(said[i], len(heads), err)
		for _, h := range heads {
			said[i] = append(said[i], string(h))
		}
		forks, err := l.Forks(ctx, c.ID)
		said[i] = append(said[i], len(forks), err)
		topics, err := l.Topics(ctx)
		said[i] = append(said[i], len(topics), err)
		for _, ask := range [][3]int{{1, 10, math.MaxInt}, {2, 10, math.MaxInt}, {1, 1, math.MaxInt}, {1, 10, 1}, {9, 10, 10}} {
			roots, err1 := l.Roots(ctx, c.ID, uint64(ask[0]), ask[1], ask[2])
			manifests, err2 := l.Manifests(ctx, c.ID, c.Key(), uint64(ask[0]), 100, ask[1], ask[2])
			said[i] = append(said[i], len(roots), len(manifests), err1, err2)
			for _, e := range append(roots, manifests...) {
				said[i] = append(said[i], string(e))
			}
		}
		if _, err := l.Channel(ctx, channel.ID{7}); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("of an unknown channel: %v", err)
		}
	}
	if !reflect.DeepEqual(said[0], said[1]) {
		t.Errorf("after %s the catalogue answers\n%v\nand it\n%v", when, said[0], said[1])
	}
}
