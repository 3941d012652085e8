package catalog

import (
	"database/sql"
	"errors"

	"github.com/anonymous-media-library/aml/channel"
)

// LookAlike is the channel that another one can be taken for: one whose title
// looks the same, and that matters more to this node, or as much and was known
// before. It is zero where there is none. Which of the two imitates the other
// nobody can tell.
type LookAlike struct {
	ID     channel.ID
	Title  string
	Reason Reason
}

// looksLike finds what a channel looks like.
func looksLike(s *session, no int64) (LookAlike, error) {
	var l LookAlike
	var title sql.NullString
	err := s.get([]any{(*bytes32)(&l.ID), &title, &l.Reason}, `SELECT o.id, o.title, o.reason FROM channels c JOIN channels o
		ON o.skeleton = c.skeleton AND o.no <> c.no AND (o.reason > c.reason OR o.reason = c.reason AND o.no < c.no)
		WHERE c.no = ? AND c.skeleton IS NOT NULL ORDER BY o.reason DESC, o.no LIMIT 1`, no)
	if errors.Is(err, sql.ErrNoRows) {
		return LookAlike{}, nil
	}
	l.Title = title.String
	return l, err
}
