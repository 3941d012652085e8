package node

import (
	"context"
	"sync"
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
	// letGoRest is how many times as long as a look took nobody looks again.
	letGoRest = 10
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

	mu        sync.Mutex // guards what follows
	all       bool       // dead releases of any channel may be here
	snapshots map[channel.ID]bool
	deleted   int // blobs, so far
}

func (n *Node) openLetGo(ctx context.Context) (err error) {
	n.letting.turn, n.letting.news = make(chan struct{}, 1), make(chan struct{}, 1)
	n.letting.turn <- struct{}{}
	n.letting.all = true
	done, err := n.disk.UnpinnedTo(ctx)
	if err == nil {
		err = n.catalog.UnpinsBehind(ctx, done.Number)
	}
	if err != nil {
		return err
	}
	n.letting.LetGo, err = letgo.New(letgo.Config{Ledger: n.catalog, Blobs: n.blobs, Pinned: n.disk.Pinned, Unpin: n.pub.Unpin})
	return err
}

// hear says that something may have been taken back in a channel.
func (l *lettingGo) hear(id channel.ID, kind feed.Kind) {
	switch kind {
	case feed.KindSnapshot:
		l.mu.Lock()
		if l.snapshots == nil {
			l.snapshots = map[channel.ID]bool{}
		}
		l.snapshots[id] = true
		l.mu.Unlock()
	case feed.KindManifest, feed.KindBody, feed.KindRoot:
	default:
		return
	}
	select {
	case l.news <- struct{}{}:
	default: // it is known already
	}
}

// due returns in which channels dead releases are to be looked for.
func (l *lettingGo) due() func(channel.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	all, some := l.all, l.snapshots
	l.all, l.snapshots = false, nil
	return func(id channel.ID) bool { return all || some[id] }
}

// again says that all is to be looked at another time.
func (l *lettingGo) again() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = true
}

// gone is how many blobs were deleted so far, by whoever had the turn.
func (l *lettingGo) gone() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.deleted
}

// letGo lets go of what was taken back, and stops announcing it.
func (n *Node) letGo(ctx context.Context) (letgo.Result, error) {
	select {
	case <-n.letting.turn:
		defer func() { n.letting.turn <- struct{}{} }()
	case <-ctx.Done():
		return letgo.Result{}, context.Cause(ctx)
	}
	res, err := n.letting.Pass(ctx, n.letting.due())
	if res.Waiting > 0 || err != nil {
		n.letting.again()
	}
	if res.Deleted > 0 {
		n.letting.mu.Lock()
		n.letting.deleted += res.Deleted
		n.letting.mu.Unlock()
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
	defer n.catalog.Watch(n.letting.hear)()
	retry := letGoRetry
	for {
		begun := time.Now()
		res, err := n.letGo(ctx)
		if err != nil && ctx.Err() == nil {
			n.log.Warn("letting go of what channels took back", "error", err)
		}
		rest := min(max(letGoPause, letGoRest*time.Since(begun)), letGoInterval)
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
		if pause(ctx, rest) != nil {
			return nil
		}
	}
}
