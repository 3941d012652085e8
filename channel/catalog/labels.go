package catalog

import (
	"context"
	"maps"
	"slices"

	"github.com/anonymous-media-library/aml/channel"
)

// schemaLabels: what filters of this node's say of releases. They go with the
// release.
const schemaLabels = `
CREATE TABLE labels (
	channel  INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	position INTEGER NOT NULL REFERENCES manifests ON DELETE CASCADE, -- of the release
	label    TEXT NOT NULL,
	value    TEXT NOT NULL,
	PRIMARY KEY (channel, position, label)
) WITHOUT ROWID;
CREATE INDEX labels_position ON labels (position, label);
`

// Labelled is a release that has labels.
type Labelled struct {
	Log      channel.PublicKey
	Seq      uint64
	Position int64
	Labels   map[string]string
}

// SetLabels replaces the labels of the release at a position. They are this node's
// own word on it, and told to nobody. A release that is gone gets none.
func (c *Catalog) SetLabels(ctx context.Context, position int64, labels map[string]string) error {
	has := map[string]string{}
	err := c.view(ctx, "reading labels", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var label, value string
			err := scan(&label, &value)
			has[label] = value
			return true, err
		}, "SELECT label, value FROM labels WHERE position = ?", position)
	})
	if err != nil || maps.Equal(has, labels) { // the usual case costs no transaction
		return err
	}
	return c.update(ctx, "labelling a release", func(t *tx) error {
		if _, err := t.exec("DELETE FROM labels WHERE position = ?", position); err != nil {
			return err
		}
		for _, label := range slices.Sorted(maps.Keys(labels)) {
			if _, err := t.exec("INSERT INTO labels (channel, position, label, value) SELECT channel, position, ?, ? FROM manifests WHERE position = ?", label, labels[label], position); err != nil {
				return err
			}
		}
		return nil
	})
}

// Labels returns the releases of a channel that have labels, the newest first, at
// most so many.
func (c *Catalog) Labels(ctx context.Context, id channel.ID, limit int) ([]Labelled, error) {
	var out []Labelled
	err := c.view(ctx, "reading labels", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var l Labelled
			var label, value string
			if err := scan(&l.Position, (*bytes32)(&l.Log), &l.Seq, &label, &value); err != nil {
				return false, err
			}
			if n := len(out); n == 0 || out[n-1].Position != l.Position {
				if n == limit {
					return false, nil
				}
				l.Labels = map[string]string{}
				out = append(out, l)
			}
			out[len(out)-1].Labels[label] = value
			return true, nil
		}, `SELECT m.position, g.key, m.seq, l.label, l.value
			FROM channels c CROSS JOIN labels l ON l.channel = c.no CROSS JOIN manifests m ON m.position = l.position CROSS JOIN logs g ON g.no = m.log
			WHERE c.id = ? ORDER BY l.position DESC, l.label`, id[:])
	})
	return out, err
}
