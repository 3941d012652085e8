package node

import (
	"context"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/subscriber/letgo"
)

// What channels take back is let go of as soon as that is known: by this node's own
// retraction in the request itself, by others' from keepLettingGo.

const (
	// letGoPause is how long fetches have to end, and news to gather, before blobs
	// are let go of.
	letGoPause = time.Second
	// letGoRetry is the first pause before what was pinned is looked at again, and
	// letGoInterval the last.
	letGoRetry    = 2 * time.Second
	letGoInterval = 10 * time.Minute
)

// lettingGo is the one who lets go, at a time.
type lettingGo struct {
	*letgo.LetGo
	turn chan struct{} // holds a token, or nothing while it is at work
	news chan struct{} // holds one: something may have been taken back
}

func (n *Node) openLetGo() (err error) {
	n.letting.turn, n.letting.news = make(chan struct{}, 1), make(chan struct{}, 1)
	n.letting.turn <- struct{}{}
	n.letting.LetGo, err = letgo.New(letgo.Config{Ledger: n.catalog, Blobs: n.blobs, Pinned: n.disk.Pinned})
	return err
}

// hear says that something may have been taken back.
func (l *lettingGo) hear() {
	select {
	case l.news <- struct{}{}:
	default: // it is known already
	}
}

// letGo lets go of what was taken back, and stops announcing it.
func (n *Node) letGo(ctx context.Context) (letgo.Result, error) {
	select {
	case <-n.letting.turn:
		defer func() { n.letting.turn <- struct{}{} }()
	case <-ctx.Done():
		return letgo.Result{}, context.Cause(ctx)
	}
	res, err := n.letting.Pass(ctx)
	if res.Deleted > 0 {
		n.lookAgain()
	}
	return res, err
}

// tookBack does what is to be done at once when a release of an own log has taken
// something back: a snapshot says so to those who cannot read it, and the blobs go.
// What fails is done later, by a daemon or the next command.
func (n *Node) tookBack(ctx context.Context, id channel.ID, key channel.PrivateKey) letgo.Result {
	if err := n.pub.Snapshot(ctx, id, key); err != nil && ctx.Err() == nil {
		n.log.Warn("telling mirrors what was taken back", "error", err)
	}
	res, err := n.letGo(ctx)
	if err != nil && ctx.Err() == nil {
		n.log.Warn("letting go of what was taken back", "error", err)
	}
	return res
}

// keepLettingGo does so until ctx ends: at once for what earlier runs left, when
// there is news, and again and again for what is pinned.
func (n *Node) keepLettingGo(ctx context.Context) error {
	defer n.catalog.Watch(func(_ channel.ID, kind feed.Kind) {
		if kind == feed.KindManifest || kind == feed.KindBody || kind == feed.KindRoot || kind == feed.KindSnapshot {
			n.letting.hear()
		}
	})()
	retry := letGoRetry
	for {
		res, err := n.letGo(ctx)
		if err != nil && ctx.Err() == nil {
			n.log.Warn("letting go of what channels took back", "error", err)
		}
		wait := letGoInterval
		if res.Waiting > 0 || err != nil {
			wait, retry = retry, min(2*retry, letGoInterval)
		}
		timer := time.NewTimer(wait)
		select {
		case <-n.letting.news:
			retry = letGoRetry
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if pause(ctx, letGoPause) != nil {
			return nil
		}
	}
}
