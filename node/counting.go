package node

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/mirror/fill"
)

// counting says what a plugin that keeps a channel is to have of it: what any mirror
// keeps. What says which blobs these are is taken from the plugin where it is not here.
func (n *Node) counting(ctx context.Context, id channel.ID, plugin string) (fill.Listing, error) {
	info, err := n.catalog.Channel(ctx, id)
	if err != nil {
		return fill.Listing{}, fmt.Errorf("channel %s: %w; follow it again, or end this with mirror-remove", address(id), err)
	}
	src := &alsoThere{n: n, plugin: plugin}
	return fill.Listing{Version: int64(info.Root.Version), Counts: func(yield func(fill.Counts, error) bool) {
		for r, err := range n.releasesAfter(ctx, id, 0) {
			if err != nil {
				yield(fill.Counts{}, err)
				return
			}
			// Positions are others in a catalogue that is made anew, and of what is opened late.
			release := int64(binary.BigEndian.Uint64(r.Hash[:8]))
			known := r.Body != nil || r.Ref == nil || r.Silent || r.Manifest.Inventory != nil
			for blob, err := range n.parts(ctx, r, src) {
				switch {
				case err != nil && ctx.Err() == nil && errors.Is(err, blobnet.ErrNotFound):
					known = false
					continue
				case err != nil && ctx.Err() == nil && unreadable(err):
					continue
				}
				if !yield(fill.Counts{Release: release, ID: blob}, err) || err != nil {
					return
				}
			}
			if !yield(fill.Counts{Release: release, Whole: known, Unknown: !known}, nil) {
				return
			}
		}
	}}, nil
}

// alsoThere has what is here, and then what a plugin has. Whatever else is wrong with
// either: the blob is not to be had now.
type alsoThere struct {
	n      *Node
	plugin string
	failed bool // it is not asked again
}

func (s *alsoThere) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	data, err := s.n.blobs.Get(ctx, id, dst)
	if err == nil || ctx.Err() != nil {
		return data, err
	}
	f := s.n.filling.of(s.plugin)
	if !s.failed && (f == nil || f.State().Until.IsZero()) {
		var there []byte
		if there, err = s.n.plugins.host.Get(ctx, s.plugin, id); err == nil { // which checks it
			return append(dst, there...), nil
		}
		s.failed = !errors.Is(err, blobnet.ErrNotFound)
		if err = s.n.orAway(s.plugin, err); f != nil && errors.Is(err, fill.ErrAway) {
			f.Fails(err)
		}
	}
	if ctx.Err() != nil {
		return dst, context.Cause(ctx)
	}
	return dst, fmt.Errorf("%w: %s", blobnet.ErrNotFound, err)
}
