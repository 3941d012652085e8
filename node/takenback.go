package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// news has something in it whenever there is news of the channel.
func (w *waiting) news() (<-chan struct{}, func()) {
	news := make(chan struct{}, 1)
	return news, w.n.catalog.Watch(func(id channel.ID, _ feed.Kind) {
		if id != w.r.Channel {
			return
		}
		select {
		case news <- struct{}{}:
		default: // there is some already
		}
	})
}

// takenBack says why nobody will have all of the release any more; it is empty as
// long as all of it stands. A file that a later release has replaced is not taken
// back: who was told of this one gets it still.
func (w *waiting) takenBack(ctx context.Context) (string, error) {
	switch _, err := w.n.catalog.Release(ctx, w.r.Channel, w.r.Hash); {
	case errors.Is(err, fs.ErrNotExist):
		return "a new root has made it void", nil
	case err != nil:
		return "", err
	case w.r.Body == nil:
		return "", nil
	}
	for _, e := range w.r.Body.Entries {
		now, err := w.n.catalog.Entry(ctx, w.r.Channel, e.Name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return "", fmt.Errorf("waiting for copies: %w", err)
		case now.Removed && now.Reason == "":
			return e.Name, nil
		case now.Removed:
			return e.Name + ": " + now.Reason, nil
		}
	}
	return "", nil
}
