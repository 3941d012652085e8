package node

import (
	"context"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/gossip"
)

// maxLater is of how many channels on a topic the later roots are asked for.
const maxLater = 16

// mayBeOld reports whether a channel is known from a listing alone that holds no more of
// its roots than a listing can: there may be later ones, under which all may be another.
func mayBeOld(c catalog.Browsed) bool {
	return c.Reason == catalog.Listed && c.Root >= catalog.MaxListedRoots
}

// laterRoots asks followers what the channels on a topic are by now whose roots a listing
// does not hold, for at most as long as somebody was waited for before.
func (n *Node) laterRoots(ctx context.Context, topic string, known []catalog.Browsed, wait time.Duration) (map[channel.ID]gossip.Later, error) {
	var ids []channel.ID
	for _, c := range known {
		if mayBeOld(c) && len(ids) < maxLater {
			ids = append(ids, c.ID)
		}
	}
	if len(ids) == 0 {
		return nil, nil
	}
	if wait <= 0 {
		wait = browseWait
	}
	short, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	later, err := n.net.gossip.Later(short, topic, ids)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return later, err
}

// underLater is what is shown of a channel by what followers said of its roots; false
// where it is no more on the topic.
func (n *Node) underLater(ctx context.Context, topic string, c catalog.Browsed, later gossip.Later) (catalog.Browsed, bool, error) {
	root := later.Root
	if root.Version == 0 {
		return c, true, nil
	}
	if !slices.Contains(root.Topics, topic) {
		return c, false, nil
	}
	looks, err := n.catalog.LooksLikeUnder(ctx, c.ID, root)
	if err != nil {
		return c, false, err
	}
	c.Looks, c.Topics, c.Alike, c.Seq, c.Issued = looks, root.Topics, root.AlikeNames(), later.Seq, later.Of
	c.By, c.Unnamed = root.PublisherNames()
	if root.Class != channel.Private { // whose title the root does not say
		c.Title = root.Title
	}
	return c, true, nil
}

// old reports whether what is shown of a channel may be what it was long ago: of the
// roots that a listing holds the last may not be its newest, and nobody has said more.
// Whoever lists a channel that has later ones tells no head of it.
func old(c catalog.Browsed, later gossip.Later) bool {
	return mayBeOld(c) && (later.Short || later.Root.Version == 0 && c.Seq == 0)
}
