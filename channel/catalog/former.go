package catalog

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// schemaFormer: what names were before, so that a tombstone, which may come long
// after, finds the blobs of every version that it takes away; and how much of a
// channel of one's own stays. A trigger fills the table, so that what is to be let
// go of is on disk in the very transaction that takes the tombstone in.
const schemaFormer = `
CREATE TABLE former (
	no      INTEGER PRIMARY KEY,
	channel INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	name    TEXT NOT NULL,
	log     BLOB NOT NULL, -- whose word it was
	entry   BLOB NOT NULL, -- encoded FileEntry
	due     INTEGER NOT NULL, -- a tombstone has taken the name away, or a root the release, and nobody has let go of the blobs
	pinned  INTEGER NOT NULL  -- nobody has ordered yet that its publisher's pins are taken back
);
CREATE INDEX former_name ON former (channel, name);
CREATE INDEX former_due ON former (no) WHERE due;
CREATE TRIGGER entries_former AFTER UPDATE ON entries WHEN NOT old.removed AND old.entry IS NOT new.entry BEGIN
	INSERT INTO former (channel, name, log, entry, due, pinned) VALUES (old.channel, old.name, old.log, old.entry, 0, 1);
	UPDATE former SET due = 1 WHERE new.removed AND channel = new.channel AND name = new.name;
END;
CREATE TABLE retention (
	channel BLOB PRIMARY KEY, -- id
	keep    TEXT NOT NULL -- JSON
) WITHOUT ROWID;
`

// Former is a file that a channel had under a name and that was taken away: a
// tombstone stands there now, or the root has withdrawn the release. Its blobs are
// to be let go of, unless something else needs them.
type Former struct {
	No      int64 // ascends; for going on, and for ForgetFormer
	Channel channel.ID
	Log     channel.PublicKey // of the release that had brought it
	Pinned  bool              // nobody has ordered yet that its publisher's pins are taken back
	Entry   channel.FileEntry
}

// formerPage is how many are read at a time.
const formerPage = 512

// Former returns files that were taken away and that nobody has let go of, in
// order after a number, at most 512.
func (c *Catalog) Former(ctx context.Context, after int64) ([]Former, error) {
	var out []Former
	err := c.view(ctx, "reading what was taken away", func(s *session) error {
		return s.each(func(scan func(...any) error) (bool, error) {
			var f Former
			var data []byte
			if err := scan(&f.No, (*bytes32)(&f.Channel), (*bytes32)(&f.Log), &f.Pinned, &data); err != nil {
				return false, err
			}
			if err := dcbor.Unmarshal(data, &f.Entry); err != nil {
				return false, fmt.Errorf("%w: a former entry: %w", errDamaged, err)
			}
			out = append(out, f)
			return true, nil
		}, `SELECT f.no, c.id, f.log, f.pinned, f.entry FROM former f JOIN channels c ON c.no = f.channel
			WHERE f.due AND f.no > ? ORDER BY f.no LIMIT ?`, after, formerPage)
	})
	return out, err
}

// ForgetFormer says that the blobs of these were let go of.
func (c *Catalog) ForgetFormer(ctx context.Context, numbers ...int64) error {
	return c.update(ctx, "forgetting what was taken away", func(t *tx) error {
		for _, no := range numbers {
			if _, err := t.exec("DELETE FROM former WHERE no = ?", no); err != nil {
				return err
			}
		}
		return nil
	})
}

// withdraw notes which files manifests that a root has voided had brought, before
// the view forgets them. What the view still has afterwards nobody lets go of.
func (t *tx) withdraw(k *known, log channel.PublicKey, from, to uint64) error {
	_, err := t.exec(`INSERT INTO former (channel, name, log, entry, due, pinned)
		SELECT channel, name, log, entry, 1, 1 FROM entries WHERE channel = ? AND log = ? AND seq BETWEEN ? AND ? AND NOT removed`,
		k.no, log[:], int64(from), int64(to))
	return err
}
