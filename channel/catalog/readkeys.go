package catalog

import (
	"context"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/channel"
)

// schemaPrivate: what is needed to read private channels, and to say who else
// may. The file is its owner's alone; the keys of this table open what it holds
// opened anyway.
const schemaPrivate = `
ALTER TABLE manifests ADD COLUMN ref BLOB; -- of the body of a sealed manifest that was opened, when it lies in a blob
CREATE INDEX manifests_sealed ON manifests (channel, position) WHERE state = 3;
CREATE TABLE read_keys (
	channel BLOB NOT NULL, -- id
	epoch   INTEGER NOT NULL, -- 0: not known, it came in an address
	key     BLOB NOT NULL,
	keyring BLOB, -- the newest blob that holds it, as far as known
	title   TEXT NOT NULL DEFAULT '', -- of the channel, from that
	PRIMARY KEY (channel, epoch, key)
) WITHOUT ROWID;
CREATE TABLE members (
	channel BLOB NOT NULL, -- id
	key     BLOB NOT NULL,
	added   INTEGER NOT NULL,
	UNIQUE (channel, key)
);
`

// schemaMemberLists: of which epoch the members are that are kept here. A file of the
// program before this has those of the newest epoch that it knows.
const schemaMemberLists = `
CREATE TABLE member_lists (
	channel BLOB PRIMARY KEY, -- id
	epoch   INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO member_lists SELECT channel, max(epoch) FROM read_keys
	WHERE epoch > 0 AND channel IN (SELECT channel FROM owns WHERE root_key_file <> '') GROUP BY channel;
`

// ReadKey is a read key of a private channel. It is a secret.
type ReadKey struct {
	Epoch   uint64 // 0: it came in an address, and nobody has found out of which it is
	Key     channel.ReadKey
	Keyring blobnet.ID // the newest known to hold it; zero for none
	Title   string     // of the channel, as that has it
}

// Member is who can be given the read keys of one's own private channel.
type Member struct {
	Key   channel.Member
	Added time.Time // to the second
}

// ReadKeys returns the read keys of a channel, the newest epoch first.
func (c *Catalog) ReadKeys(ctx context.Context, id channel.ID) ([]ReadKey, error) {
	var out []ReadKey
	err := c.view(ctx, "reading read keys", func(s *session) (err error) {
		out, err = readKeys(s, id)
		return err
	})
	return out, err
}

func readKeys(s *session, id channel.ID) ([]ReadKey, error) {
	var out []ReadKey
	err := s.each(func(scan func(...any) error) (bool, error) {
		var k ReadKey
		var epoch int64
		var raw bytes32
		var keyring []byte
		if err := scan(&epoch, &raw, &keyring, &k.Title); err != nil {
			return false, err
		}
		if keyring != nil && len(keyring) != len(k.Keyring) {
			return false, fmt.Errorf("%w: a keyring's id", errDamaged)
		}
		copy(k.Keyring[:], keyring)
		k.Epoch, k.Key = uint64(epoch), channel.ReadKeyFrom(raw)
		out = append(out, k)
		return true, nil
	}, "SELECT epoch, key, keyring, title FROM read_keys WHERE channel = ? ORDER BY epoch DESC, key", id[:])
	return out, err
}

// Learn keeps read keys, in one transaction. A key that is there already gets
// the keyring and title that come with it, if any do.
func (c *Catalog) Learn(ctx context.Context, id channel.ID, keys ...ReadKey) error {
	return c.update(ctx, "keeping read keys", func(t *tx) error { return t.learn(id, keys...) })
}

func (t *tx) learn(id channel.ID, keys ...ReadKey) error {
	for _, k := range keys {
		if k.Key.IsZero() {
			return fmt.Errorf("no read key of epoch %d", k.Epoch)
		}
		raw := k.Key.Bytes()
		var keyring any
		if !k.Keyring.IsZero() {
			keyring = k.Keyring[:]
		}
		if _, err := t.exec(`INSERT INTO read_keys (channel, epoch, key, keyring, title) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (channel, epoch, key) DO UPDATE SET keyring = excluded.keyring, title = excluded.title
			WHERE excluded.keyring IS NOT NULL`, id[:], int64(k.Epoch), raw[:], keyring, k.Title); err != nil {
			return err
		}
	}
	return nil
}

// Members returns who can be given the read keys of one's own private channel,
// in the order in which they were added.
func (c *Catalog) Members(ctx context.Context, id channel.ID) ([]Member, error) {
	var out []Member
	err := c.view(ctx, "reading members", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var m Member
			var key []byte
			var added int64
			if err := scan(&key, &added); err != nil {
				return false, err
			}
			if len(key) != len(m.Key) {
				return false, fmt.Errorf("%w: a member's key", errDamaged)
			}
			m.Key, m.Added = channel.Member(key), time.Unix(added, 0).UTC()
			out = append(out, m)
			return true, nil
		}, "SELECT key, added FROM members WHERE channel = ? ORDER BY rowid", id[:])
	})
	return out, err
}

// MembersEpoch returns the epoch that the members which are kept here are of: the one
// that began, or went on, with the last change made here. 0 where none are kept.
func (c *Catalog) MembersEpoch(ctx context.Context, id channel.ID) (uint64, error) {
	var epoch int64
	err := c.view(ctx, "reading members", func(s *session) error {
		return s.get([]any{&epoch}, "SELECT coalesce((SELECT epoch FROM member_lists WHERE channel = ?), 0)", id[:])
	})
	return uint64(epoch), err
}

func (t *tx) listMembersOf(id channel.ID, epoch uint64) error {
	_, err := t.exec("INSERT INTO member_lists (channel, epoch) VALUES (?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch", id[:], int64(epoch))
	return err
}

// setMembers makes these the members from an epoch on.
func (t *tx) setMembers(id channel.ID, epoch uint64, members []channel.Member) error {
	if err := t.listMembersOf(id, epoch); err != nil {
		return err
	}
	stay := map[channel.Member]bool{}
	for _, m := range members {
		stay[m] = true
		if _, err := t.exec("INSERT INTO members (channel, key, added) VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
			id[:], m[:], t.c.cfg.Now().Unix()); err != nil {
			return err
		}
	}
	var gone []channel.Member
	if err := t.each(func(scan func(...any) error) (bool, error) {
		var key []byte
		if err := scan(&key); err != nil {
			return false, err
		}
		if len(key) != channel.MemberSize {
			return false, fmt.Errorf("%w: a member's key", errDamaged)
		}
		if !stay[channel.Member(key)] {
			gone = append(gone, channel.Member(key))
		}
		return true, nil
	}, "SELECT key FROM members WHERE channel = ?", id[:]); err != nil {
		return err
	}
	for _, m := range gone {
		if _, err := t.exec("DELETE FROM members WHERE channel = ? AND key = ?", id[:], m[:]); err != nil {
			return err
		}
	}
	return nil
}
