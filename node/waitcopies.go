package node

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet/copies"
	"github.com/anonymous-media-library/aml/channel"
)

// WaitCopiesRequest waits until others have all of a release.
type WaitCopiesRequest struct {
	Target  string       `json:"target"` // as in ShowRequest
	Hash    channel.Hash `json:"hash"`   // of the release
	Copies  int          `json:"copies"` // how many others
	Timeout Duration     `json:"timeout"`
	Peers   []string     `json:"peers"`
}

// WaitCopiesResult says who has it.
type WaitCopiesResult struct {
	Wanted   int  `json:"wanted"`
	Have     int  `json:"have"`     // others that have all of it
	Networks int  `json:"networks"` // of these, distinct networks
	TimedOut bool `json:"timedOut"` // they are too few, and the time is over
	// Retracted says why nobody will have all of it any more: a file of it was
	// taken back, or a root has made the release void.
	Retracted string       `json:"retracted,omitempty"`
	Empty     bool         `json:"empty"` // there is nothing in it that anybody could have
	Weakest   *WeakestInfo `json:"weakest,omitempty"`
	Copies    []CopyEvent  `json:"copies"`
}

// CopyEvent ("copy") says that a peer has all of a release: every blob that
// reading it needs, by its word, and a few of them, chosen at random, by proof.
type CopyEvent struct {
	Event   string            `json:"event"`
	Channel string            `json:"channel"`
	Log     channel.PublicKey `json:"log"`
	Seq     uint64            `json:"seq"`
	Peer    string            `json:"peer"`
	Class   copies.Class      `json:"class"`
	Network string            `json:"network"`
	Blobs   int               `json:"blobs"`
	Proved  int               `json:"proved"`
}

// CopiesEvent ("spreading") says how far the waiting is.
type CopiesEvent struct {
	Event   string `json:"event"`
	Wanted  int    `json:"wanted"`
	Have    int    `json:"have"`
	Partly  int    `json:"partly"`  // others that have something of it
	Percent int    `json:"percent"` // of it that the furthest of these has
}

const (
	maxWaitCopies  = 1000
	copiesTimeout  = 10 * time.Minute
	weakestTime    = 5 * time.Second
	proofsOfCopy   = 4
	findCopiesEach = 3 * time.Second
	// Who has not all of it yet is asked again after firstAgain, and later if
	// nothing has come, up to lastAgain.
	firstAgain, lastAgain = 300 * time.Millisecond, 3 * time.Second
)

// WaitCopies returns when so many others have a release, or in vain when the time
// is over or the release is retracted. It emits a CopyEvent for each of them.
func (n *Node) WaitCopies(ctx context.Context, req WaitCopiesRequest, emit func(any)) (WaitCopiesResult, error) {
	if req.Copies < 1 || req.Copies > maxWaitCopies {
		return WaitCopiesResult{}, badRequest("waiting for %d copies: want 1 to %d", req.Copies, maxWaitCopies)
	}
	info, err := n.find(ctx, req.Target)
	if err != nil {
		return WaitCopiesResult{}, err
	}
	r, err := n.catalog.Release(ctx, info.ID, req.Hash)
	if err != nil {
		return WaitCopiesResult{}, err
	}
	net, err := n.online(ctx)
	if err != nil {
		return WaitCopiesResult{}, err
	}
	if err := net.know(req.Peers); err != nil {
		return WaitCopiesResult{}, err
	}
	w := &waiting{n: n, net: net, r: r, emit: emit, from: newCandidates(net), state: map[peer.ID]*holding{}}
	w.res = WaitCopiesResult{Wanted: req.Copies, Copies: []CopyEvent{}}
	news, stop := w.news()
	defer stop()
	if w.res.Retracted, err = w.takenBack(ctx); err != nil || w.res.Retracted != "" {
		return w.res, err
	}
	if w.total, err = w.count(ctx); err != nil {
		return WaitCopiesResult{}, fmt.Errorf("waiting for copies: %w", err)
	}
	if w.total == 0 {
		w.res.Empty = true
		return w.res, nil
	}
	if err := w.run(ctx, news, cmp.Or(time.Duration(req.Timeout), copiesTimeout)); err != nil {
		return WaitCopiesResult{}, err
	}
	if w.res.TimedOut {
		now, err := n.copiesOf(ctx, net, info, r, weakestTime)
		if err == nil && len(now.Releases) == 1 {
			w.res.Weakest = now.Releases[0].Weakest
		}
		if ctx.Err() != nil {
			return WaitCopiesResult{}, context.Cause(ctx)
		}
	}
	return w.res, nil
}
