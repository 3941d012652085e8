package catalog

// schemaSnapshots: the newest snapshot of each log with its pages; what of it has
// not come yet; which releases do not count any more; and what an own log needs
// to know which of its releases count: what each log said last about a name,
// where another log's word is in the view.
const schemaSnapshots = `
ALTER TABLE logs ADD COLUMN joined INTEGER NOT NULL DEFAULT 0; -- up to here manifests may be missing
CREATE TABLE snapshots (
	log      INTEGER PRIMARY KEY REFERENCES logs ON DELETE CASCADE,
	hash     BLOB NOT NULL, -- of the payload
	envelope BLOB NOT NULL,
	anchor   BLOB NOT NULL  -- envelope of the manifest that it ends with
);
CREATE TABLE pages (
	no   INTEGER PRIMARY KEY,
	log  INTEGER NOT NULL REFERENCES logs ON DELETE CASCADE,
	page INTEGER NOT NULL, -- its place
	data BLOB NOT NULL,
	UNIQUE (log, page)
);
CREATE TABLE owed ( -- listed by the snapshot, and not here yet
	log  INTEGER NOT NULL REFERENCES logs ON DELETE CASCADE,
	seq  INTEGER NOT NULL,
	hash BLOB NOT NULL,
	PRIMARY KEY (log, seq)
) WITHOUT ROWID;
CREATE TABLE dead ( -- here, and not listed by the snapshot
	log      INTEGER NOT NULL REFERENCES logs ON DELETE CASCADE,
	seq      INTEGER NOT NULL,
	channel  INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	position INTEGER NOT NULL, -- of the release
	PRIMARY KEY (log, seq)
) WITHOUT ROWID;
CREATE INDEX dead_order ON dead (channel, position);

CREATE INDEX entries_position ON entries (position);
CREATE TABLE outdone ( -- a log's newest word on a name, where another log's counts
	channel  INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	name     TEXT NOT NULL,
	log      BLOB NOT NULL,
	seq      INTEGER NOT NULL,
	position INTEGER NOT NULL,
	PRIMARY KEY (channel, name, log)
) WITHOUT ROWID;
CREATE INDEX outdone_position ON outdone (position);
CREATE TRIGGER entries_outdone AFTER UPDATE ON entries WHEN old.log <> new.log BEGIN
	INSERT OR REPLACE INTO outdone (channel, name, log, seq, position) VALUES (old.channel, old.name, old.log, old.seq, old.position);
	DELETE FROM outdone WHERE channel = new.channel AND name = new.name AND log = new.log;
END;
CREATE TABLE unsaid ( -- channels whose rows of outdone are not there yet: a program before this wrote them
	channel INTEGER PRIMARY KEY REFERENCES channels ON DELETE CASCADE
);
INSERT INTO unsaid SELECT channel FROM logs WHERE seq > 0 GROUP BY channel HAVING count(*) > 1;
`
