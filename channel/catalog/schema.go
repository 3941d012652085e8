package catalog

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// applicationID marks the file as ours: "aml" and a 1.
const applicationID = 0x616d6c01

// migrations lead from each version of the schema to the next; the number of
// those that were run is the file's user_version. Never change one that was
// released: append another.
var migrations = [...]string{schema1, schema2, schema3, schema4, schemaPrivate, schemaSnapshots, schemaFormer, schemaUnpins, schemaLabels, schemaMemberLists}

// schema1: channels and logs have small numbers here, so that the tables with
// many rows stay small. Times are seconds, hashes and keys bytes.
const schema1 = `
CREATE TABLE channels (
	no        INTEGER PRIMARY KEY,
	id        BLOB NOT NULL UNIQUE,
	discovery BLOB NOT NULL UNIQUE,
	reason    INTEGER NOT NULL,
	revision  INTEGER NOT NULL DEFAULT 0, -- grows with every change of what feed.State holds
	version   INTEGER NOT NULL DEFAULT 0, -- of the newest root, 0 for none
	root_fork INTEGER NOT NULL DEFAULT 0,
	entries   INTEGER NOT NULL DEFAULT 0, -- live ones, kept by triggers
	bytes     INTEGER NOT NULL DEFAULT 0  -- their plaintext
);
CREATE INDEX channels_reason ON channels (reason);

CREATE TABLE roots (
	channel  INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	version  INTEGER NOT NULL,
	hash     BLOB NOT NULL UNIQUE, -- finds the channel of the version after it
	envelope BLOB NOT NULL,
	PRIMARY KEY (channel, version)
);

CREATE TABLE topics (
	topic   TEXT NOT NULL,
	channel INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	PRIMARY KEY (topic, channel)
) WITHOUT ROWID;
CREATE INDEX topics_channel ON topics (channel);

CREATE TABLE logs (
	no      INTEGER PRIMARY KEY,
	channel INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	key     BLOB NOT NULL,
	seq     INTEGER NOT NULL,
	hash    BLOB NOT NULL,
	issued  INTEGER NOT NULL,
	root    INTEGER NOT NULL,
	epoch   INTEGER NOT NULL,
	frozen  INTEGER NOT NULL, -- the number at which a fork was proven, 0 for none
	head    BLOB, -- envelope
	claim   BLOB, -- envelope
	UNIQUE (channel, key)
);

CREATE TABLE manifests (
	position INTEGER PRIMARY KEY AUTOINCREMENT, -- the local order of acceptance; never used twice
	channel  INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	log      INTEGER NOT NULL REFERENCES logs ON DELETE CASCADE,
	seq      INTEGER NOT NULL,
	hash     BLOB NOT NULL,
	envelope BLOB NOT NULL,
	state    INTEGER NOT NULL, -- of the body, see the constants
	body     BLOB,             -- encoded, when it came from a blob
	refusal  TEXT,             -- why, when it was refused
	UNIQUE (log, seq)
);
CREATE INDEX manifests_order ON manifests (channel, position);
CREATE INDEX manifests_hash ON manifests (channel, hash);
CREATE INDEX manifests_missing ON manifests (channel, position) WHERE state = 1;

CREATE TABLE entries (
	no       INTEGER PRIMARY KEY,
	channel  INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	name     TEXT NOT NULL,
	issued   INTEGER NOT NULL, -- this, then log, then seq: the greatest wins
	log      BLOB NOT NULL,
	seq      INTEGER NOT NULL,
	position INTEGER NOT NULL,
	removed  INTEGER NOT NULL, -- a tombstone
	size     INTEGER NOT NULL,
	entry    BLOB,             -- encoded FileEntry, absent in a tombstone
	reason   TEXT,             -- of a removal
	UNIQUE (channel, name)
);
CREATE TRIGGER entries_put AFTER INSERT ON entries WHEN NOT new.removed BEGIN
	UPDATE channels SET entries = entries + 1, bytes = bytes + new.size WHERE no = new.channel;
END;
CREATE TRIGGER entries_change AFTER UPDATE ON entries WHEN new.removed <> old.removed OR new.size <> old.size BEGIN
	UPDATE channels SET entries = entries + old.removed - new.removed,
		bytes = bytes + (1 - new.removed) * new.size - (1 - old.removed) * old.size WHERE no = new.channel;
END;
CREATE TRIGGER entries_delete AFTER DELETE ON entries WHEN NOT old.removed BEGIN
	UPDATE channels SET entries = entries - 1, bytes = bytes - old.size WHERE no = old.channel;
END;

CREATE TABLE forks (
	no      INTEGER PRIMARY KEY,
	channel INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	log     BLOB NOT NULL, -- empty for a fork of the root
	seq     INTEGER NOT NULL,
	a       BLOB NOT NULL,
	b       BLOB NOT NULL,
	seen    INTEGER NOT NULL
);
CREATE INDEX forks_channel ON forks (channel);

CREATE TABLE subscriptions (
	id        TEXT PRIMARY KEY,
	address   TEXT NOT NULL,
	channel   BLOB, -- absent when it follows a topic
	topic     TEXT NOT NULL,
	output    TEXT NOT NULL,
	trust     TEXT NOT NULL, -- JSON array of channel ids
	trust_all INTEGER NOT NULL,
	options   TEXT NOT NULL, -- JSON
	created   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE cursors (
	subscription TEXT NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
	channel      BLOB NOT NULL,
	position     INTEGER NOT NULL,
	PRIMARY KEY (subscription, channel)
) WITHOUT ROWID;

CREATE TABLE owns (
	channel       BLOB NOT NULL,
	key           BLOB NOT NULL,
	topic         TEXT NOT NULL,
	key_file      TEXT NOT NULL,
	root_key_file TEXT NOT NULL,
	PRIMARY KEY (channel, key)
) WITHOUT ROWID;
CREATE INDEX owns_topic ON owns (topic, key);

CREATE TABLE seeds (
	id BLOB PRIMARY KEY
) WITHOUT ROWID;
`

// schema2: a topic's titles are asked for often, and their roots need not be
// read for that. What a channel is announced by is no longer remembered here.
const schema2 = `
ALTER TABLE channels ADD COLUMN title TEXT; -- of the newest root; absent in rows of schema 1
DROP TABLE seeds;
`

// schema4: what subscriptions have written and left out, and petnames.
const schema4 = `
CREATE TABLE written (
	subscription TEXT NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
	channel      BLOB NOT NULL,
	name         TEXT NOT NULL, -- of the entry
	path         TEXT NOT NULL, -- below the channel's folder, with slashes
	size         INTEGER NOT NULL,
	sha256       BLOB NOT NULL,
	position     INTEGER NOT NULL, -- of the release that brought it
	issued       INTEGER NOT NULL,
	gone         INTEGER NOT NULL, -- was let go, or is somebody else's now
	PRIMARY KEY (subscription, channel, name)
) WITHOUT ROWID;
CREATE INDEX written_path ON written (subscription, channel, path);
CREATE INDEX written_position ON written (subscription, channel, position);
CREATE TABLE passed (
	subscription TEXT NOT NULL REFERENCES subscriptions ON DELETE CASCADE,
	channel      BLOB NOT NULL,
	position     INTEGER NOT NULL, -- of the release
	reason       TEXT NOT NULL,
	files        INTEGER NOT NULL,
	bytes        INTEGER NOT NULL,
	judged       TEXT NOT NULL,    -- fingerprint of the policy
	again        INTEGER NOT NULL, -- it may be taken though the policy stays
	PRIMARY KEY (subscription, channel, position, reason)
) WITHOUT ROWID;
CREATE TABLE petnames (
	name    TEXT PRIMARY KEY,
	channel BLOB NOT NULL,
	address TEXT NOT NULL -- may hold a read key
) WITHOUT ROWID;
CREATE INDEX petnames_channel ON petnames (channel);
`

// migrate brings the file to the newest schema, each step in a transaction.
func migrate(ctx context.Context, s *session, path string) error {
	var app, version, tables int
	if err := s.get([]any{&app}, "PRAGMA application_id"); err != nil {
		return err
	}
	if err := s.get([]any{&version}, "PRAGMA user_version"); err != nil {
		return err
	}
	if err := s.get([]any{&tables}, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return err
	}
	switch {
	case app == 0 && version == 0 && tables == 0: // just made
	case app != applicationID:
		return foreign(path, "is a database of another program", remedyMove)
	case version > len(migrations):
		return foreign(path, fmt.Sprintf("has schema version %d, this program knows %d", version, len(migrations)), "update aml")
	}
	if err := quickCheck(s, path); err != nil {
		return err
	}
	for i := version; i < len(migrations); i++ {
		step := fmt.Sprintf("BEGIN IMMEDIATE;\n%s\nPRAGMA application_id = %d;\nPRAGMA user_version = %d;\nCOMMIT", migrations[i], applicationID, i+1)
		if _, err := s.conn.ExecContext(ctx, step); err != nil {
			_, _ = s.conn.ExecContext(context.WithoutCancel(ctx), "ROLLBACK") // SQLite may have done it; the first error is the one to tell
			if v := 0; s.get([]any{&v}, "PRAGMA user_version") == nil && v > i {
				continue // a second opener was faster
			}
			return fmt.Errorf("migrating to schema version %d: %w", i+1, err)
		}
	}
	return nil
}

// quickCheckSize is the largest file that is read through on opening: well
// under a second of work. Damage in a larger one shows when it is touched.
const quickCheckSize = 16 << 20

func quickCheck(s *session, path string) error {
	if fi, err := os.Stat(path); err != nil || fi.Size() > quickCheckSize {
		return err
	}
	var result string
	if err := s.get([]any{&result}, "PRAGMA quick_check(1)"); err != nil {
		return err
	}
	if result != "ok" {
		return foreign(path, "is damaged ("+result+")", remedyMove)
	}
	return nil
}

const remedyMove = "restore it from a backup, or move it away: aml then starts with an empty catalogue, to which subscriptions and own channels have to be added again; files, blobs and keys are not touched"

func foreign(path, what, remedy string) error {
	return fmt.Errorf("%w: %s %s; %s", ErrForeignFile, path, what, remedy)
}

// checkHeader refuses what is no SQLite file before SQLite writes to it.
func checkHeader(path string) error {
	if err := disk.Regular(path); errors.Is(err, disk.ErrNotRegular) {
		return foreign(path, "is not a regular file", remedyMove)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("opening catalogue: %w", err)
	}
	defer f.Close() // only read from
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	switch n, err := io.ReadFull(f, head); {
	case n == 0 && errors.Is(err, io.EOF):
		return nil // a crash right after it was made
	case err != nil && !errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("reading catalogue %s: %w", path, err)
	case string(head) != magic:
		return foreign(path, "is not a SQLite database", remedyMove)
	}
	return nil
}

// errDamaged marks a row that this package cannot have written.
var errDamaged = errors.New("damaged row")

// diagnose names the file and the remedy where an error says that the file is
// damaged.
func diagnose(path string, err error) error {
	if (sqlite.IsDamaged(err) || errors.Is(err, errDamaged)) && !errors.Is(err, ErrForeignFile) {
		return errors.Join(foreign(path, "is damaged", remedyMove), err)
	}
	return err
}
