package catalog

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
)

// Retention returns what one has said of how much of a channel of one's own
// stays, as it was given to SetRetention; nil for nothing.
func (c *Catalog) Retention(ctx context.Context, id channel.ID) (json.RawMessage, error) {
	var text string
	err := c.view(ctx, "reading keep rules", func(s *session) error {
		err := s.get([]any{&text}, "SELECT keep FROM retention WHERE channel = ?", id[:])
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return err
	})
	if text == "" || err != nil {
		return nil, err
	}
	return json.RawMessage(text), nil
}

// SetRetention remembers keep rules for a channel that one publishes to; nil
// takes them away. Another channel gives ErrUnknown.
func (c *Catalog) SetRetention(ctx context.Context, id channel.ID, keep json.RawMessage) error {
	return c.update(ctx, "remembering keep rules", func(t *tx) error {
		if keep == nil {
			_, err := t.exec("DELETE FROM retention WHERE channel = ?", id[:])
			return err
		}
		if !json.Valid(keep) {
			return errors.New("keep rules are not JSON")
		}
		var own int
		if err := t.get([]any{&own}, "SELECT count(*) FROM owns WHERE channel = ?", id[:]); err != nil {
			return err
		}
		if own == 0 {
			return fmt.Errorf("channel %s is none that this home publishes to: %w", id, ErrUnknown)
		}
		_, err := t.exec("INSERT OR REPLACE INTO retention (channel, keep) VALUES (?, ?)", id[:], string(keep))
		return err
	})
}

// Retained returns the channels for which there are keep rules.
func (c *Catalog) Retained(ctx context.Context) ([]channel.ID, error) {
	var out []channel.ID
	err := c.view(ctx, "reading keep rules", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var id channel.ID
			err := scan((*bytes32)(&id))
			out = append(out, id)
			return true, err
		}, "SELECT channel FROM retention ORDER BY channel")
	})
	return out, err
}
