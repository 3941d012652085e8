package node

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet/tracker"
)

// announced knows why each key is announced: because somebody wants it for a
// while (a seed, a running fetch, a followed channel), or because the file whose
// root it names is here. The end of one reason must not hide another.
type announced struct {
	tracker *tracker.Tracker

	mu     sync.Mutex          // guards what follows, and the order of what the tracker is told
	wanted map[tracker.Key]int // how often it was added and not removed
	held   map[tracker.Key]struct{}
}

func newAnnounced(t *tracker.Tracker) *announced {
	return &announced{tracker: t, wanted: map[tracker.Key]int{}, held: map[tracker.Key]struct{}{}}
}

// add announces keys until each is removed as often as it was added.
func (a *announced) add(ctx context.Context, keys ...tracker.Key) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.tracker.Announce(ctx, keys...); err != nil {
		return err
	}
	for _, k := range keys {
		a.wanted[k]++
	}
	return nil
}

// remove takes one add back.
func (a *announced) remove(keys ...tracker.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range keys {
		if a.wanted[k]--; a.wanted[k] <= 0 {
			delete(a.wanted, k)
		}
	}
	a.endUnneeded(keys)
}

// hold announces keys of files that are here, until they are let go of; once or
// twice is the same.
func (a *announced) hold(ctx context.Context, keys ...tracker.Key) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.tracker.Announce(ctx, keys...); err != nil {
		return err
	}
	for _, k := range keys {
		a.held[k] = struct{}{}
	}
	return nil
}

// letGo ends what hold began.
func (a *announced) letGo(keys ...tracker.Key) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, k := range keys {
		delete(a.held, k)
	}
	a.endUnneeded(keys)
}

// holding returns the keys that are held.
func (a *announced) holding() []tracker.Key {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Collect(maps.Keys(a.held))
}

// endUnneeded unannounces those of keys that there is no reason for any more.
// mu is held.
func (a *announced) endUnneeded(keys []tracker.Key) {
	var gone []tracker.Key
	for _, k := range keys {
		if _, held := a.held[k]; !held && a.wanted[k] == 0 {
			gone = append(gone, k)
		}
	}
	a.tracker.Unannounce(gone...)
}
