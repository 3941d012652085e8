package catalog

// schema3: the index of search, places of listings, look-alikes.
//
// The three found_ tables are FTS5's, and hold no text: only in which row a word
// stands, in which column and where. Their rows have the numbers of the rows they
// are about. scope is for filters: the channel's number, the media type. words has
// every word once, so that the words which begin with what somebody typed are
// known without reading where they stand. What lay in the file before is put in by
// fill, from unindexed on.
const schema3 = `
CREATE VIRTUAL TABLE found_channels USING fts5(name, text, scope, content='', contentless_delete=1, tokenize='ascii');
CREATE VIRTUAL TABLE found_releases USING fts5(name, text, scope, content='', contentless_delete=1, tokenize='ascii');
CREATE VIRTUAL TABLE found_entries USING fts5(name, text, scope, content='', contentless_delete=1, tokenize='ascii');
CREATE TRIGGER channels_lost AFTER DELETE ON channels BEGIN DELETE FROM found_channels WHERE rowid = old.no; END;
CREATE TRIGGER entries_lost AFTER DELETE ON entries WHEN NOT old.removed BEGIN DELETE FROM found_entries WHERE rowid = old.no; END;
CREATE TABLE releases ( -- what they say of themselves, so that no body, which may be large, need be read
	position INTEGER PRIMARY KEY REFERENCES manifests ON DELETE CASCADE,
	channel  INTEGER NOT NULL,
	issued   INTEGER NOT NULL,
	log      BLOB NOT NULL,
	seq      INTEGER NOT NULL,
	title    TEXT NOT NULL,
	text     TEXT NOT NULL
);
CREATE TRIGGER releases_lost AFTER DELETE ON releases BEGIN DELETE FROM found_releases WHERE rowid = old.position; END;
CREATE TABLE words (
	word TEXT PRIMARY KEY
) WITHOUT ROWID;

CREATE TABLE unindexed (
	what TEXT PRIMARY KEY, -- channels, releases or entries
	next INTEGER NOT NULL, -- the first number that is not in the index yet
	last INTEGER NOT NULL  -- what came after it is
) WITHOUT ROWID;
INSERT INTO unindexed SELECT 'channels', min(no), max(no) FROM channels HAVING count(*) > 0;
INSERT INTO unindexed SELECT 'releases', min(position), max(position) FROM manifests HAVING count(*) > 0;
INSERT INTO unindexed SELECT 'entries', min(no), max(no) FROM entries HAVING count(*) > 0;

ALTER TABLE channels ADD COLUMN skeleton TEXT;                       -- of the title, absent where it says nothing
ALTER TABLE channels ADD COLUMN followers INTEGER NOT NULL DEFAULT 0; -- seen at one time, of late
ALTER TABLE channels ADD COLUMN weight INTEGER NOT NULL DEFAULT 0;    -- of their votes
ALTER TABLE channels ADD COLUMN seen INTEGER NOT NULL DEFAULT 0;      -- when
CREATE INDEX channels_skeleton ON channels (skeleton) WHERE skeleton IS NOT NULL;

CREATE TABLE places (
	topic   TEXT NOT NULL,    -- on which the channel was found
	channel INTEGER NOT NULL REFERENCES channels ON DELETE CASCADE,
	source  TEXT NOT NULL,    -- who named it
	found   INTEGER NOT NULL, -- when
	PRIMARY KEY (topic, channel)
) WITHOUT ROWID;
CREATE INDEX places_channel ON places (channel);
INSERT INTO places SELECT topic, channel, '', 0 FROM topics WHERE channel IN (SELECT no FROM channels WHERE reason = 1);
`
