package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
)

// maxMirrored bounds the blobs of one release that are mirrored: 4 TiB in chunks
// of 1 MiB.
const maxMirrored = 1 << 22

// errEndless: a release lists more blobs than are mirrored.
var errEndless = fmt.Errorf("it lists over %d blobs", maxMirrored)

// parts yields the ids of the blobs that a mirror keeps of a release, and gets from
// src those that say which these are: of one that can be read what its live files
// consist of, of another what its inventory lists, unless it is dead; of both, what it
// is made of beside. What letgo would spare is what is yielded here.
//
// An error does not end it: the file, or the inventory, that it is about is passed
// over, and others follow.
func (n *Node) parts(ctx context.Context, r catalog.Release, src blobnet.Source) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		count := 0
		each := func(ids iter.Seq2[blobnet.ID, error]) bool {
			for id, err := range ids {
				if count++; err == nil && count > maxMirrored {
					err = errEndless
				}
				if !yield(id, err) || errors.Is(err, errEndless) {
					return false
				}
				if err != nil {
					return true
				}
			}
			return true
		}
		unread := r.Body == nil && !r.Silent
		if unread {
			dead, err := n.deadRelease(ctx, r)
			if err != nil && !yield(blobnet.ID{}, err) || dead {
				return
			}
		}
		if r.Ref != nil && !yield(r.Ref.ID, nil) {
			return
		}
		if len(r.Manifest.Sealed) > 0 {
			if s, err := channel.DecodeSealed(r.Manifest.Sealed); err == nil && !yield(s.Keyring, nil) {
				return
			}
		}
		if top := r.Manifest.Inventory; top != nil {
			if !each(codec.InventoryBlobs(ctx, src, *top)) {
				return
			}
			if unread && !each(codec.Inventory(ctx, src, *top)) {
				return
			}
		}
		if r.Body == nil {
			return
		}
		for _, e := range r.Body.Entries {
			live, err := n.liveEntry(ctx, r, e.Name)
			if err != nil && !yield(blobnet.ID{}, err) {
				return
			}
			if live && !(yield(e.Root.ID, nil) && each(codec.Blobs(ctx, src, e.File()))) {
				return
			}
		}
	}
}

// releasesAfter yields a channel's releases behind a position, in order.
func (n *Node) releasesAfter(ctx context.Context, id channel.ID, after int64) iter.Seq2[catalog.Release, error] {
	return func(yield func(catalog.Release, error) bool) {
		for {
			page, err := n.catalog.Releases(ctx, id, after, 0)
			if err != nil {
				yield(catalog.Release{}, err)
				return
			}
			for _, r := range page {
				if after = r.Position; !yield(r, nil) {
					return
				}
			}
			if len(page) == 0 {
				return
			}
		}
	}
}

// deadRelease reports whether a snapshot says that a release does not count any more.
func (n *Node) deadRelease(ctx context.Context, r catalog.Release) (bool, error) {
	found, err := n.catalog.Dead(ctx, r.Channel, r.Position-1, 1)
	return len(found) == 1 && found[0].Position == r.Position, err
}

// liveEntry reports whether the file of that name in the channel's view is of this
// release.
func (n *Node) liveEntry(ctx context.Context, r catalog.Release, name string) (bool, error) {
	e, err := n.catalog.Entry(ctx, r.Channel, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && !e.Removed && e.Position == r.Position, err
}

// unreadable reports whether an error of parts says that something is wrong with
// what was published, which no other peer mends.
func unreadable(err error) bool {
	for _, is := range []error{codec.ErrInventory, codec.ErrIndex, codec.ErrSealed, codec.ErrPadding, codec.ErrTooLarge, errEndless} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}
