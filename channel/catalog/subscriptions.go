package catalog

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// Subscription is an order to keep following: one channel, or those found on a
// topic.
type Subscription struct {
	ID       string          // made by Subscribe from what it follows and where to
	Address  string          // as the user gave it; may hold a read key, so keep it from others
	Channel  channel.ID      // zero when it follows a topic
	Topic    string          // empty when it follows a channel
	Output   string          // folder that files are written below; empty for none
	Trust    []channel.ID    // of a topic: the channels to fetch
	TrustAll bool            // of a topic: fetch all of them
	Options  json.RawMessage // filters and the like, kept as they are
	Created  time.Time       // to the second
}

// Subscribe stores a subscription and returns it with its ID. Subscribing again
// to the same into the same folder changes trust, address and options and
// keeps the rest, cursors above all. The channel is followed from then on.
func (c *Catalog) Subscribe(ctx context.Context, sub Subscription) (Subscription, error) {
	if sub.Channel.IsZero() == (sub.Topic == "") {
		return Subscription{}, errors.New("subscribing: want either a channel or a topic")
	}
	if len(sub.Options) == 0 {
		sub.Options = json.RawMessage("{}")
	}
	if !json.Valid(sub.Options) {
		return Subscription{}, errors.New("subscribing: options are not JSON")
	}
	if sub.Trust == nil {
		sub.Trust = []channel.ID{}
	}
	trust, err := json.Marshal(sub.Trust)
	if err != nil {
		return Subscription{}, fmt.Errorf("subscribing: %w", err)
	}
	sub.ID = subscriptionID(sub)
	sub.Created = c.cfg.Now().UTC().Truncate(time.Second)
	err = c.update(ctx, "subscribing", func(t *tx) error {
		var id any
		if !sub.Channel.IsZero() {
			id = sub.Channel[:]
			if err := t.expect(sub.Channel, Followed); err != nil {
				return err
			}
		}
		var created int64
		err := t.get([]any{&created}, `INSERT INTO subscriptions (id, address, channel, topic, output, trust, trust_all, options, created)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET address = excluded.address, trust = excluded.trust, trust_all = excluded.trust_all, options = excluded.options
			RETURNING created`, sub.ID, sub.Address, id, sub.Topic, sub.Output, string(trust), sub.TrustAll, string(sub.Options), sub.Created.Unix())
		sub.Created = time.Unix(created, 0).UTC()
		return err
	})
	if err != nil {
		return Subscription{}, err
	}
	return sub, nil
}

// subscriptionID is the same for the same target and output.
func subscriptionID(sub Subscription) string {
	h := sha256.New()
	fmt.Fprintf(h, "%s\x00%s\x00%s", sub.Channel, sub.Topic, sub.Output)
	return hex.EncodeToString(h.Sum(nil)[:6])
}

// Unsubscribe deletes a subscription with its cursors. The channel stays
// followed until Unfollow.
func (c *Catalog) Unsubscribe(ctx context.Context, subID string) error {
	return c.update(ctx, "unsubscribing", func(t *tx) error {
		n, err := t.exec("DELETE FROM subscriptions WHERE id = ?", subID)
		if err == nil && n == 0 {
			err = fmt.Errorf("subscription %q: %w", subID, ErrUnknown)
		}
		return err
	})
}

// Subscriptions returns all subscriptions, the oldest first.
func (c *Catalog) Subscriptions(ctx context.Context) ([]Subscription, error) {
	var out []Subscription
	err := c.view(ctx, "reading subscriptions", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var sub Subscription
			var id sql.Null[bytes32]
			var trust, options string
			var created int64
			if err := scan(&sub.ID, &sub.Address, &id, &sub.Topic, &sub.Output, &trust, &sub.TrustAll, &options, &created); err != nil {
				return false, err
			}
			sub.Channel = channel.ID(id.V)
			sub.Options, sub.Created = json.RawMessage(options), time.Unix(created, 0).UTC()
			if err := json.Unmarshal([]byte(trust), &sub.Trust); err != nil {
				return false, fmt.Errorf("stored subscription %s: %w", sub.ID, err)
			}
			out = append(out, sub)
			return true, nil
		}, `SELECT id, address, channel, topic, output, trust, trust_all, options, created FROM subscriptions ORDER BY created, id`)
	})
	return out, err
}

// Cursor returns the position up to which a subscription has been applied to a
// channel, 0 for not at all.
func (c *Catalog) Cursor(ctx context.Context, subID string, id channel.ID) (int64, error) {
	var position int64
	err := c.view(ctx, "reading cursor", func(s *session) error {
		err := s.get([]any{&position}, "SELECT position FROM cursors WHERE subscription = ? AND channel = ?", subID, id[:])
		if errors.Is(err, sql.ErrNoRows) {
			err = nil
		}
		return err
	})
	return position, err
}

// SetCursor moves a cursor forward, from where the caller believes it to be.
// ErrConflict if it is elsewhere, or would not move forward.
func (c *Catalog) SetCursor(ctx context.Context, subID string, id channel.ID, from, to int64) error {
	return c.update(ctx, "moving cursor", func(t *tx) error {
		if to <= from {
			return fmt.Errorf("cursor from %d to %d: %w", from, to, ErrConflict)
		}
		var exists int
		if err := t.get([]any{&exists}, "SELECT count(*) FROM subscriptions WHERE id = ?", subID); err != nil {
			return err
		}
		if exists == 0 {
			return fmt.Errorf("subscription %q: %w", subID, ErrUnknown)
		}
		if _, err := t.exec("INSERT INTO cursors (subscription, channel, position) VALUES (?, ?, 0) ON CONFLICT DO NOTHING", subID, id[:]); err != nil {
			return err
		}
		n, err := t.exec("UPDATE cursors SET position = ? WHERE subscription = ? AND channel = ? AND position = ?", to, subID, id[:], from)
		if err == nil && n == 0 {
			err = fmt.Errorf("cursor is not at %d: %w", from, ErrConflict)
		}
		return err
	})
}
