package catalog

import (
	"context"
	"errors"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
)

// Own is a channel that one publishes to. It says where keys lie, and holds
// none.
type Own struct {
	Channel     channel.ID
	Topic       string            // under which it was made
	Key         channel.PublicKey // that publishes
	KeyFile     string
	RootKeyFile string // empty when the root key is kept elsewhere
}

// addOwn records a channel of one's own, or changes where its keys lie.
func (t *tx) addOwn(own Own) error {
	if own.Channel.IsZero() {
		return errors.New("own channel has no id")
	}
	if err := t.expect(own.Channel, Owned); err != nil {
		return err
	}
	_, err := t.exec(`INSERT INTO owns (channel, key, topic, key_file, root_key_file) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (channel, key) DO UPDATE SET topic = excluded.topic, key_file = excluded.key_file, root_key_file = excluded.root_key_file`,
		own.Channel[:], own.Key[:], own.Topic, own.KeyFile, own.RootKeyFile)
	return err
}

const ownColumns = "channel, key, topic, key_file, root_key_file"

// Owns returns the channels that one publishes to.
func (c *Catalog) Owns(ctx context.Context) ([]Own, error) {
	var out []Own
	err := c.view(ctx, "reading own channels", func(s *session) error {
		return s.each(scanOwns(&out), "SELECT "+ownColumns+" FROM owns ORDER BY topic, channel, key")
	})
	return out, err
}

// OwnByTopic finds the channel that was made under a topic with a key.
func (c *Catalog) OwnByTopic(ctx context.Context, topic string, key channel.PublicKey) (Own, error) {
	var out []Own
	err := c.view(ctx, "reading own channel", func(s *session) error {
		err := s.each(scanOwns(&out), "SELECT "+ownColumns+" FROM owns WHERE topic = ? AND key = ? ORDER BY channel LIMIT 1", topic, key[:])
		if err == nil && len(out) == 0 {
			err = fmt.Errorf("own channel under %q: %w", topic, ErrUnknown)
		}
		return err
	})
	if err != nil {
		return Own{}, err
	}
	return out[0], nil
}

func scanOwns(out *[]Own) scanFunc {
	return func(scan func(...any) error) (bool, error) {
		var own Own
		if err := scan((*bytes32)(&own.Channel), (*bytes32)(&own.Key), &own.Topic, &own.KeyFile, &own.RootKeyFile); err != nil {
			return false, err
		}
		*out = append(*out, own)
		return true, nil
	}
}
