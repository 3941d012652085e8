package node

import (
	"cmp"
	"context"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/copies"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// CopiesRequest asks who has copies of a channel.
type CopiesRequest struct {
	Target   string   `json:"target"`   // as in ShowRequest
	Check    bool     `json:"check"`    // look now, also if what is known is current
	Offline  bool     `json:"offline"`  // do not look: say what is known
	Releases int      `json:"releases"` // the newest so many; 0: 20
	Wait     Duration `json:"wait"`     // how long to look; 0: 15 s
	Peers    []string `json:"peers"`
}

// CopiesResult says who had copies of a channel's newest releases when that was
// last looked at.
type CopiesResult struct {
	Channel  string          `json:"channel"`
	Address  string          `json:"address"`
	Title    string          `json:"title"`
	Checked  channel.Time    `json:"checked,omitzero"` // absent: never
	Current  bool            `json:"current"`          // not long ago, and of the releases that count now
	Cut      bool            `json:"cut"`              // the time was over before everybody had answered
	Found    int             `json:"found"`            // peers that may have something
	Answered int             `json:"answered"`
	Releases []ReleaseCopies `json:"releases"` // the newest first
	Holders  []HolderInfo    `json:"holders"`  // those that have anything, those with most first
	Liars    []LiarInfo      `json:"liars"`    // whose word does not count

	Freshness // of the channel, as it is now
}

// ReleaseCopies says how many others have a release.
type ReleaseCopies struct {
	Log    channel.PublicKey `json:"log"`
	Seq    uint64            `json:"seq"`
	Issued channel.Time      `json:"issued"`
	Title  string            `json:"title,omitempty"`
	Unread bool              `json:"unread"` // this node cannot read it: what is asked about is its inventory
	Files  int               `json:"files"`  // live ones, if it can be read
	Blobs  int               `json:"blobs"`  // that these need
	Asked  int               `json:"asked"`  // of these, that others were asked about: all, or a random choice
	More   bool              `json:"more"`   // it has still more blobs, which were not counted
	Here   int               `json:"here"`   // of those asked about, on this node
	Note   string            `json:"note,omitempty"`

	Copies   int          `json:"copies"`   // others that have all that was asked about
	Proved   int          `json:"proved"`   // of these, that gave what they were really asked for
	Networks int          `json:"networks"` // of these, distinct networks
	Weakest  *WeakestInfo `json:"weakest,omitempty"`
	Spread   []SpreadInfo `json:"spread"` // how many blobs have how many copies, by copies
}

// WeakestInfo is the blob that fewest others have.
type WeakestInfo struct {
	Name     string     `json:"name,omitempty"` // of its file, if that is known
	Blob     blobnet.ID `json:"blob"`
	Copies   int        `json:"copies"`
	Networks int        `json:"networks"`
}

// SpreadInfo counts the blobs with so many copies.
type SpreadInfo struct {
	Copies int `json:"copies"`
	Blobs  int `json:"blobs"`
}

// HolderInfo is a peer that has copies.
type HolderInfo struct {
	Peer     string       `json:"peer"`
	Class    copies.Class `json:"class"`   // of its address
	Network  string       `json:"network"` // two of one network are not independent
	Whole    int          `json:"whole"`   // releases of which it has all that was asked about
	Partly   int          `json:"partly"`  // of which it has something
	Proved   int          `json:"proved"`  // blobs that it was really asked for, and gave
	Unproved string       `json:"unproved,omitempty"`
}

// LiarInfo is a peer that said it has blobs, and did not give one of them.
type LiarInfo struct {
	Peer    string       `json:"peer"`
	Class   copies.Class `json:"class"`
	Network string       `json:"network"`
	Said    int          `json:"said"` // blobs
	Why     string       `json:"why"`
}

const (
	copiesReleases    = 20
	maxCopiesReleases = 32 // 16,384 blobs, the most that a peer answers about at once
	copiesWait        = 15 * time.Second
	// copiesCurrent is how long a result is shown without looking again.
	copiesCurrent = time.Hour
)

// Copies says who has copies of a channel, as it was found lately or as it is
// found now.
func (n *Node) Copies(ctx context.Context, req CopiesRequest, _ func(any)) (CopiesResult, error) {
	if req.Releases < 0 || req.Releases > maxCopiesReleases {
		return CopiesResult{}, badRequest("copies of %d releases: at most %d are looked at", req.Releases, maxCopiesReleases)
	}
	info, err := n.find(ctx, req.Target)
	if err != nil {
		return CopiesResult{}, err
	}
	limit := cmp.Or(req.Releases, copiesReleases)
	kept, err := n.keptCopies(ctx, info, limit)
	if err != nil {
		return CopiesResult{}, err
	}
	if req.Offline || kept.Current && !req.Check {
		return kept, nil
	}
	net, err := n.online(ctx)
	if err != nil {
		return CopiesResult{}, err
	}
	if err := net.know(req.Peers); err != nil {
		return CopiesResult{}, err
	}
	newest, err := n.catalog.Newest(ctx, info.ID, limit)
	if err != nil {
		return CopiesResult{}, err
	}
	c := n.newCheck(net, info, cmp.Or(time.Duration(req.Wait), copiesWait))
	res, err := c.run(ctx, func(ctx context.Context, add func(catalog.Release) error) error {
		return n.newestReleases(ctx, info.ID, limit, add)
	})
	if err != nil {
		return CopiesResult{}, err
	}
	n.keepCopies(ctx, info.ID, newest, res)
	if info, err = n.catalog.Channel(ctx, info.ID); err != nil { // a head may have come meanwhile
		return CopiesResult{}, err
	}
	res.Freshness = freshnessOf(info)
	return res, nil
}
