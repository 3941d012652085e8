package node

import (
	"context"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet/tracker"
)

// announced counts who wants a key announced: a publication, a seed and a fetch
// may hold the same file, and the end of one must not hide the others.
type announced struct {
	tracker *tracker.Tracker

	mu    sync.Mutex // guards count, and the order of what the tracker is told
	count map[tracker.Key]int
}

// add announces keys until each is removed as often as it was added.
func (a *announced) add(ctx context.Context, keys ...tracker.Key) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.tracker.Announce(ctx, keys...); err != nil {
		return err
	}
	for _, k := range keys {
		a.count[k]++
	}
	return nil
}

// remove takes one add back.
func (a *announced) remove(keys ...tracker.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var gone []tracker.Key
	for _, k := range keys {
		switch a.count[k] {
		case 0:
		case 1:
			delete(a.count, k)
			gone = append(gone, k)
		default:
			a.count[k]--
		}
	}
	a.tracker.Unannounce(gone...)
}
