package catalog

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
)

// Expect says that a channel is of interest, so that what is offered of it is
// taken in. A reason only ever gets stronger; see Unfollow. More listed
// channels than Config.MaxListed give ErrFull.
func (c *Catalog) Expect(ctx context.Context, id channel.ID, why Reason) error {
	if why < Listed || why > Owned || id.IsZero() {
		return fmt.Errorf("expecting channel %s: %s is no reason", id, why)
	}
	// What is known already is asked at each start, also on a full disk.
	known := false
	err := c.view(ctx, "expecting channel", func(s *session) error {
		return s.get([]any{&known}, "SELECT EXISTS (SELECT 1 FROM channels WHERE id = ? AND reason >= ?)", id[:], why)
	})
	if known || err != nil {
		return err
	}
	return c.update(ctx, "expecting channel", func(t *tx) error { return t.expect(id, why) })
}

func (t *tx) expect(id channel.ID, why Reason) error {
	n, err := t.exec("UPDATE channels SET reason = max(reason, ?) WHERE id = ?", why, id[:])
	if err != nil {
		return err
	}
	if n == 1 {
		if k := t.c.cache.get(id); k != nil {
			t.c.cache.drop(k) // what is read again is what the file says
			delete(t.touched, k)
		}
		return nil
	}
	if why == Listed {
		var listed int
		if err := t.get([]any{&listed}, "SELECT count(*) FROM channels WHERE reason = ?", Listed); err != nil {
			return err
		}
		if listed >= t.c.cfg.MaxListed {
			return fmt.Errorf("%d channels: %w", listed, ErrFull)
		}
	}
	discovery := id.Discovery()
	_, err = t.exec("INSERT INTO channels (id, discovery, reason) VALUES (?, ?, ?)", id[:], discovery[:], why)
	return err
}

// Unfollow makes a followed channel a listed one: what is known stays, nothing
// new is taken in. Its read keys are forgotten. One's own channels stay one's own.
// It has a place on each of its topics from then on, as if it had always been there.
func (c *Catalog) Unfollow(ctx context.Context, id channel.ID) error {
	return c.update(ctx, "unfollowing channel", func(t *tx) error {
		n, err := t.exec("UPDATE channels SET reason = ? WHERE id = ? AND reason = ?", Listed, id[:], Followed)
		if err == nil && n > 0 {
			_, err = t.exec("DELETE FROM read_keys WHERE channel = ?", id[:])
		}
		if err == nil && n > 0 {
			_, err = t.exec(`INSERT INTO places (topic, channel, source, found) SELECT topic, channel, '', 0 FROM topics
				WHERE channel = (SELECT no FROM channels WHERE id = ?) ON CONFLICT DO UPDATE SET found = 0`, id[:])
		}
		if k := t.c.cache.get(id); k != nil {
			t.c.cache.drop(k)
		}
		return err
	})
}
