package catalog

import (
	"context"
	"database/sql"
	"errors"

	"github.com/anonymous-media-library/aml/channel"
)

// LooksLikeUnder returns what a channel that is only listed would look like, if root
// were its newest.
func (c *Catalog) LooksLikeUnder(ctx context.Context, id channel.ID, root channel.Root) (l LookAlike, err error) {
	shape := skeleton(&root)
	if shape == nil {
		return l, nil
	}
	err = c.view(ctx, "comparing titles", func(s *session) error {
		var title sql.NullString
		err := s.get([]any{(*bytes32)(&l.ID), &title, &l.Reason}, `SELECT o.id, o.title, o.reason FROM channels c JOIN channels o
			ON o.skeleton = ?2 AND o.no <> c.no AND (o.reason > c.reason OR o.reason = c.reason AND o.no < c.no)
			WHERE c.id = ?1 ORDER BY o.reason DESC, o.no LIMIT 1`, id[:], shape)
		if errors.Is(err, sql.ErrNoRows) {
			l = LookAlike{}
			return nil
		}
		l.Title = title.String
		return err
	})
	return l, err
}
