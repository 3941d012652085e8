package node

import (
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// What a listing does not hold may make another channel of it: one that looks like one
// that is followed here, or one that is no more on the topic.
func TestUnderLaterRootsAChannelIsWhatTheNewestSays(t *testing.T) {
	t.Parallel()
	cat, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	defer cat.Close()
	real, listed := channeltest.NewChannel(t, "real", "music"), channeltest.NewChannel(t, "other", "music")
	for ch, reason := range map[*channeltest.Channel]catalog.Reason{real: catalog.Followed, listed: catalog.Listed} {
		if err := cat.Expect(t.Context(), ch.ID, reason); err != nil {
			t.Fatal(err)
		}
		if _, err := cat.OfferAll(t.Context(), [][]byte{ch.Envelope}); err != nil {
			t.Fatal(err)
		}
	}
	n := &Node{catalog: cat}
	c := catalog.Browsed{ID: listed.ID, Title: "long ago", Reason: catalog.Listed, Root: catalog.MaxListedRoots, Topics: []string{"music"}}
	root := channel.Root{Version: 9, Title: "Channel of real", Topics: []string{"music", "talk"}, Class: channel.Public}
	got, on, err := n.underLater(t.Context(), "music", c, gossip.Later{Root: root, Seq: 3, Of: 7})
	if err != nil || !on || got.Title != root.Title || got.Looks.ID != real.ID || len(got.Topics) != 2 || got.Seq != 3 || got.Issued != 7 {
		t.Errorf("on the topic %v, %+v, %v", on, got, err)
	}
	root.Topics = []string{"talk"}
	if _, on, err := n.underLater(t.Context(), "music", c, gossip.Later{Root: root}); err != nil || on {
		t.Errorf("on a topic that its newest root does not name: %v, %v", on, err)
	}
	if got, on, err := n.underLater(t.Context(), "music", c, gossip.Later{}); err != nil || !on || got.Title != c.Title {
		t.Errorf("where nobody knows later: on the topic %v, %+v, %v", on, got, err)
	}
	for name, w := range map[string]struct {
		c     catalog.Browsed
		later gossip.Later
		want  bool
	}{
		"nobody said more":           {c, gossip.Later{}, true},
		"a later root":               {c, gossip.Later{Root: root}, false},
		"a later root of more":       {c, gossip.Later{Root: root, Short: true}, true},
		"fewer roots than a listing": {catalog.Browsed{Reason: catalog.Listed, Root: 7}, gossip.Later{}, false},
	} {
		if got := old(w.c, w.later); got != w.want {
			t.Errorf("%s: old %v", name, got)
		}
	}
}
