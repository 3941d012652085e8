package catalog

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// schemaUnpins: the files whose pins a publisher is to take back. A file gets here in
// the transaction that takes it out of the view, and leaves when its pins are gone. The
// numbers mark in the blob store how far that has come, which is another database: they
// are never used twice, and those of a catalogue that is made anew go on above.
const schemaUnpins = `
CREATE TABLE unpins (
	no    INTEGER PRIMARY KEY AUTOINCREMENT,
	entry BLOB NOT NULL -- encoded FileEntry
);
INSERT INTO sqlite_sequence VALUES ('unpins', unixepoch() * 1000000);
`

// Unpin is a file whose pins, one for each of its blobs, are to be taken back.
type Unpin struct {
	No    int64 // ascends, and is never used twice
	Entry channel.FileEntry
}

// Unpins returns the files whose pins are to be taken back, in order after a number,
// at most 512.
func (c *Catalog) Unpins(ctx context.Context, after int64) ([]Unpin, error) {
	var out []Unpin
	err := c.view(ctx, "reading what is to be unpinned", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var u Unpin
			var data []byte
			if err := scan(&u.No, &data); err != nil {
				return false, err
			}
			if err := dcbor.Unmarshal(data, &u.Entry); err != nil {
				return false, fmt.Errorf("%w: an entry to be unpinned: %w", errDamaged, err)
			}
			out = append(out, u)
			return true, nil
		}, "SELECT no, entry FROM unpins WHERE no > ? ORDER BY no LIMIT ?", after, formerPage)
	})
	return out, err
}

// ForgetUnpins says that the pins of files up to a number were taken back.
func (c *Catalog) ForgetUnpins(ctx context.Context, upTo int64) error {
	return c.update(ctx, "forgetting what is unpinned", func(t *tx) error {
		_, err := t.exec("DELETE FROM unpins WHERE no <= ?", upTo)
		return err
	})
}

// UnpinFormer orders that the publisher's pins of these are taken back; for those of
// which it was ordered before nothing happens.
func (c *Catalog) UnpinFormer(ctx context.Context, numbers ...int64) error {
	return c.update(ctx, "ordering what is to be unpinned", func(t *tx) error {
		for _, no := range numbers {
			if _, err := t.exec("INSERT INTO unpins (entry) SELECT entry FROM former WHERE no = ? AND pinned", no); err != nil {
				return err
			}
			if _, err := t.exec("UPDATE former SET pinned = 0 WHERE no = ?", no); err != nil {
				return err
			}
		}
		return nil
	})
}

// unpin orders that the pins of entries are taken back, of which a release of their own
// log has just become the last word. What comes by sync instead, after a backup was
// restored, is ordered by who lets go of it.
func (t *tx) unpin(id channel.ID, entries []channel.FileEntry) error {
	if len(entries) == 0 {
		return nil
	}
	no, err := channelNo(t.session, id)
	if err != nil {
		return err
	}
	for i := range entries {
		data, err := dcbor.Marshal(&entries[i])
		if err != nil {
			return fmt.Errorf("encoding entry %q: %w", entries[i].Name, err)
		}
		if _, err := t.exec("INSERT INTO unpins (entry) VALUES (?)", data); err != nil {
			return err
		}
		if _, err := t.exec("UPDATE former SET pinned = 0 WHERE channel = ? AND name = ? AND entry = ?", no, entries[i].Name, data); err != nil {
			return err
		}
	}
	return nil
}

// UnpinsBehind has what is ordered from now on numbered behind a number: the store may
// have come further than a catalogue that was restored from a backup knows.
func (c *Catalog) UnpinsBehind(ctx context.Context, number int64) error {
	behind := false
	err := c.view(ctx, "reading how far unpinning is", func(s *session) error {
		return s.get([]any{&behind}, "SELECT max(seq) >= ? FROM sqlite_sequence WHERE name = 'unpins'", number)
	})
	if err != nil || behind {
		return err
	}
	return c.update(ctx, "noting how far unpinning is", func(t *tx) error {
		_, err := t.exec("UPDATE sqlite_sequence SET seq = ? WHERE name = 'unpins' AND seq < ?", number, number)
		return err
	})
}
