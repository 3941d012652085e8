package catalog

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
)

// Newest returns the positions of the releases of a channel that came last, the
// newest first, at most limit of them. Refused ones are left out, and those that a
// snapshot does not count any more.
func (c *Catalog) Newest(ctx context.Context, id channel.ID, limit int) ([]int64, error) {
	var out []int64
	err := c.view(ctx, "reading the newest releases", func(s *session) error {
		no, err := channelNo(s, id)
		if err != nil {
			return err
		}
		return s.each(func(scan func(...any) error) (bool, error) {
			var position int64
			err := scan(&position)
			out = append(out, position)
			return true, err
		}, `SELECT position FROM manifests WHERE channel = ? AND state <> 2
				AND NOT EXISTS (SELECT 1 FROM dead WHERE dead.channel = manifests.channel AND dead.position = manifests.position)
			ORDER BY position DESC LIMIT ?`, no, limit)
	})
	return out, err
}

// Release returns the release of a channel with that hash, or an error that wraps
// ErrUnknown.
func (c *Catalog) Release(ctx context.Context, id channel.ID, hash channel.Hash) (Release, error) {
	var out []Release
	err := c.view(ctx, "reading release", func(s *session) error {
		no, err := channelNo(s, id)
		if err == nil {
			out, err = queryReleases(s, id, 1, `SELECT position, hash, envelope, body, ref, state FROM manifests
				WHERE channel = ? AND hash = ? AND state <> 2`, no, hash[:])
		}
		return err
	})
	if err == nil && len(out) == 0 {
		err = fmt.Errorf("release %s: %w", hash, ErrUnknown)
	}
	if err != nil {
		return Release{}, err
	}
	return out[0], nil
}
