package publisher

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/anonymous-media-library/aml/channel"
)

// outdated is what a release finds in the view under the names that it removes or
// replaces.
type outdated struct {
	files []channel.FileEntry // of its own log: their pins are to be taken back

	// after is when the release must be issued at least to count for all of its
	// names: of the words of several logs on one name the later counts, and of one
	// second that of the greater key (CHANNELS.md, View).
	after channel.Time
}

func (p *Publisher) outdated(ctx context.Context, r Release, body channel.Body) (out outdated, err error) {
	var names []string
	for _, gone := range body.Removals {
		names = append(names, gone.Name)
	}
	for _, e := range body.Entries {
		names = append(names, e.Name)
	}
	key := r.Key.Public()
	for _, name := range names {
		old, err := p.cfg.Ledger.Entry(ctx, r.Channel, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
		case err != nil:
			return out, fmt.Errorf("looking up %q: %w", name, err)
		case old.Log != key:
			if old.Log.Compare(key) > 0 {
				old.Issued++
			}
			out.after = max(out.after, old.Issued)
		case !old.Removed:
			out.files = append(out.files, old.FileEntry)
		}
	}
	return out, nil
}
