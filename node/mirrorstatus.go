package node

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/copies"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// MirrorStatusRequest asks how well channels are kept.
type MirrorStatusRequest struct {
	Channels []string `json:"channels"` // as in MirrorRequest; none: all that are mirrored
}

// MirrorStatusResult says so, as this node has found by asking every member.
type MirrorStatusResult struct {
	Channels []MirroredChannel `json:"channels"`
}

// MirroredChannel is how well one channel is kept. This node counts as a member.
type MirroredChannel struct {
	Channel  string           `json:"channel"`
	Address  string           `json:"address"`
	Title    string           `json:"title"`
	Group    string           `json:"group"`    // empty: this node keeps it alone
	Running  bool             `json:"running"`  // it is mirrored now
	Wanted   int              `json:"wanted"`   // copies of each release
	Releases int              `json:"releases"` // in which there are blobs that count
	Blobs    int64            `json:"blobs"`    // of these; of releases with very many a sample
	Short    int              `json:"short"`    // releases of which a blob has fewer copies than are wanted
	Unlisted int              `json:"unlisted"` // releases of which nobody has what says which blobs there are
	Spread   []SpreadInfo     `json:"spread"`   // how many blobs have how many copies
	Weakest  *WeakestMirrored `json:"weakest,omitempty"`
	Members  []MirrorMember   `json:"members"`
}

// WeakestMirrored is a blob that fewest members have.
type WeakestMirrored struct {
	Log    channel.PublicKey `json:"log"`
	Seq    uint64            `json:"seq"`
	Blob   blobnet.ID        `json:"blob"`
	Copies int               `json:"copies"`
}

// MirrorMember is one member that mirrors the channel.
type MirrorMember struct {
	Peer     string `json:"peer"`
	Self     bool   `json:"self"`
	Releases int    `json:"releases"` // that it has whole
	Blobs    int64  `json:"blobs"`
}

// MirrorStatus asks every member of the group that is alive what it has of the
// channels. Where this node mirrors alone, or not now, it speaks of itself.
func (n *Node) MirrorStatus(ctx context.Context, req MirrorStatusRequest, _ func(any)) (MirrorStatusResult, error) {
	res := MirrorStatusResult{Channels: []MirroredChannel{}}
	ledger, err := n.mirrors.open(ctx, n.cfg.Paths.Mirror)
	if err != nil {
		return res, err
	}
	var ids []channel.ID
	if len(req.Channels) == 0 { // what runs may have nothing yet
		ids = n.mirrors.all()
	}
	if len(ids) == 0 {
		if ids, err = n.toMirror(ctx, ledger, req.Channels); err != nil {
			return res, err
		}
	}
	for _, id := range ids {
		c, err := n.mirrored(ctx, id)
		if err != nil {
			return res, err
		}
		res.Channels = append(res.Channels, c)
	}
	return res, nil
}

// mirrored is how well a channel is kept.
func (n *Node) mirrored(ctx context.Context, id channel.ID) (MirroredChannel, error) {
	info, err := n.catalog.Channel(ctx, id)
	if err != nil {
		return MirroredChannel{}, err
	}
	self, err := peerID(n.identity)
	if err != nil {
		return MirroredChannel{}, err
	}
	c := MirroredChannel{
		Channel: id.String(), Address: address(id), Title: titleIn(info), Wanted: 1, Running: n.mirrors.has(id),
		Members: []MirrorMember{{Peer: self, Self: true}}, Spread: []SpreadInfo{},
	}
	others := map[string]*exchange.Peer{}
	if f := n.mirrors.fleetOf(id); f != nil {
		c.Group, c.Wanted = f.req.Group, f.req.Copies
		known := f.others()
		for _, name := range f.mirroring(id) {
			if p := known[name]; p != nil {
				others[name] = p
				c.Members = append(c.Members, MirrorMember{Peer: name})
			}
		}
	}
	spread := map[int]int{}
	for after := int64(0); ; {
		page, err := n.catalog.Releases(ctx, id, after, 0)
		if err != nil {
			return c, err
		}
		for _, r := range page {
			after = r.Position
			if err := n.countCopies(ctx, &c, r, others, spread); err != nil {
				return c, err
			}
		}
		if len(page) == 0 {
			break
		}
	}
	for _, k := range slices.Sorted(maps.Keys(spread)) {
		c.Spread = append(c.Spread, SpreadInfo{Copies: k, Blobs: spread[k]})
	}
	return c, nil
}

// countCopies asks who has the blobs of one release.
func (n *Node) countCopies(ctx context.Context, c *MirroredChannel, r catalog.Release, others map[string]*exchange.Peer, spread map[int]int) error {
	sample, unlisted := copies.NewSample[blobnet.ID](maxReleaseAsked), r.Body == nil && r.Ref != nil && !r.Silent
	seen := map[blobnet.ID]bool{} // of files with repeated chunks
	for id, err := range n.parts(ctx, r, memberSource{n.blobs, others}) {
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			unlisted = unlisted || !unreadable(err)
		case !seen[id]:
			if len(seen) < maxReleaseAsked {
				seen[id] = true
			}
			sample.Add(id)
		}
	}
	if unlisted {
		c.Unlisted++
	}
	ids := sample.Items()
	if len(ids) == 0 {
		return nil
	}
	holders := make([]copies.Holder, len(c.Members))
	var asking sync.WaitGroup
	for i, member := range c.Members {
		asking.Go(func() {
			holders[i].Peer, holders[i].Network = member.Peer, member.Peer
			if member.Self {
				holders[i].Has, _ = n.blobs.Has(ctx, ids...)
				return
			}
			limited, cancel := context.WithTimeout(ctx, memberHasTime)
			defer cancel()
			holders[i].Has, _ = others[member.Peer].Have(limited, ids)
		})
	}
	asking.Wait()
	for i, h := range holders {
		has := 0
		for _, ok := range h.Has {
			if ok {
				has++
			}
		}
		c.Members[i].Blobs += int64(has)
		if has == len(ids) {
			c.Members[i].Releases++
		}
	}
	count := copies.Tally(len(ids), holders)
	c.Releases++
	c.Blobs += int64(len(ids))
	for k, blobs := range count.Copies {
		spread[k] += blobs
	}
	if count.LeastCopies < min(c.Wanted, len(c.Members)) {
		c.Short++
	}
	if c.Weakest == nil || count.LeastCopies < c.Weakest.Copies {
		c.Weakest = &WeakestMirrored{Log: r.Log, Seq: r.Seq, Blob: ids[count.Least], Copies: count.LeastCopies}
	}
	return nil
}

// memberSource has what is here, and then what one of the members has.
type memberSource struct {
	here    blobnet.Source
	members map[string]*exchange.Peer
}

// Get implements blobnet.Source.
func (s memberSource) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	out, err := s.here.Get(ctx, id, dst)
	for _, p := range s.members {
		if err == nil || ctx.Err() != nil {
			break
		}
		limited, cancel := context.WithTimeout(ctx, haveTime)
		if got, getErr := p.Get(limited, id, dst); getErr == nil {
			out, err = got, nil
		}
		cancel()
	}
	return out, err
}
