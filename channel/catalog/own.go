package catalog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

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

// ErrSeveral: more than one own channel is meant.
var ErrSeveral = errors.New("several channels of one's own")

// OwnByTopic finds the own channel that is listed on a topic and that a key
// publishes to: whichever of its topics that is. If there are several, that which
// was made under the topic; ErrSeveral names them if that does not tell.
func (c *Catalog) OwnByTopic(ctx context.Context, topic string, key channel.PublicKey) (Own, error) {
	all, err := c.OwnsOn(ctx, topic)
	if err != nil {
		return Own{}, err
	}
	all = slices.DeleteFunc(all, func(o Own) bool { return o.Key != key })
	if made := madeUnder(all, topic); len(made) > 0 {
		all = made
	}
	switch len(all) {
	case 0:
		return Own{}, fmt.Errorf("own channel under %q: %w", topic, ErrUnknown)
	case 1:
		return all[0], nil
	}
	var names []string
	for _, o := range all {
		names = append(names, channel.Address{ID: o.Channel}.String())
	}
	return Own{}, fmt.Errorf("under %q: %w: %s", topic, ErrSeveral, strings.Join(names, ", "))
}

func madeUnder(all []Own, topic string) []Own {
	return slices.DeleteFunc(slices.Clone(all), func(o Own) bool { return o.Topic != topic })
}

// OwnsOn returns the own channels whose newest root names the topic, those that
// were made under it first.
func (c *Catalog) OwnsOn(ctx context.Context, topic string) ([]Own, error) {
	var out []Own
	err := c.view(ctx, "reading own channels", func(s *session) error {
		return s.each(scanOwns(&out), "SELECT "+ownColumns+` FROM owns WHERE channel IN (SELECT id FROM channels
			WHERE no IN (SELECT channel FROM topics WHERE topic = ?1)) ORDER BY topic <> ?1, channel, key`, topic)
	})
	return out, err
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
