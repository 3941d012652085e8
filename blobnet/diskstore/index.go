package diskstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// applicationID marks the file as ours: "aml" and a 2 (1 is the catalogue).
const applicationID = 0x616d6c02

const schemaVersion = 3

// schema: a row for every blob with a file, and for every pinned id without
// one (size -1). The rows are small and many, so they live in the primary
// key's tree itself, and the order of use is kept for those alone that can be
// evicted. Sums are kept, because counting a million rows takes a second.
const schema = `
CREATE TABLE blobs (
	id   BLOB PRIMARY KEY,
	size INTEGER NOT NULL, -- bytes, -1: pinned but not stored
	used INTEGER NOT NULL, -- microseconds since 1970, unique
	pins INTEGER NOT NULL,
	gen  INTEGER NOT NULL, -- durable if not above state.synced
	crc  INTEGER NOT NULL DEFAULT -1 -- CRC-32C of the blob, -1: not known
) WITHOUT ROWID;
CREATE INDEX blobs_used ON blobs (used) WHERE pins = 0;

CREATE TABLE state ( -- one row
	gen         INTEGER NOT NULL, -- of the newest blobs
	synced      INTEGER NOT NULL, -- generations up to this one are durable
	last        INTEGER NOT NULL, -- newest use time
	count       INTEGER NOT NULL,
	size        INTEGER NOT NULL,
	pinned      INTEGER NOT NULL,
	pinned_size INTEGER NOT NULL,
	scrubbed    BLOB,              -- the id that a scrub got to, NULL: none is under way
	unpin_number   INTEGER NOT NULL DEFAULT 0, -- blobnet.Mark of the last UnpinTo
	unpin_left INTEGER NOT NULL DEFAULT 0
);
INSERT INTO state VALUES (0, 0, 0, 0, 0, 0, 0, NULL, 0, 0);
`

// migrations lead from each version of the schema to the next, from 1 on.
var migrations = [...]string{`
ALTER TABLE blobs ADD COLUMN crc INTEGER NOT NULL DEFAULT -1;
ALTER TABLE state ADD COLUMN scrubbed BLOB;
`, `
ALTER TABLE state ADD COLUMN unpin_number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE state ADD COLUMN unpin_left INTEGER NOT NULL DEFAULT 0;
`}

// totals are sums over the rows of blobs that are stored.
type totals struct{ count, size, pinned, pinnedSize int64 }

// entry is what the index says about one id. Without a row, size is -1.
type entry struct{ size, used, pins, gen int64 }

// index is the open index. Whoever received it from Store.index owns it until
// sending it back; all fields are the owner's.
type index struct {
	totals
	gen, synced, last int64
	version           int // of the schema: older than schemaVersion until Store.migrate

	db    *sql.DB
	conn  *sql.Conn // all writes go through it
	stmts map[string]*sql.Stmt
}

var errNotOurs = errors.New("file is no blob index")

func isDamaged(err error) bool { return sqlite.IsDamaged(err) || errors.Is(err, errNotOurs) }

func isFull(err error) bool { return sqlite.IsFull(err) }

// openIndex opens the index. If it is missing it is made, and if it is damaged
// or not ours it is moved aside and made anew.
func openIndex(ctx context.Context, path string) (*index, error) {
	idx, err := loadIndex(ctx, path)
	if isDamaged(err) {
		return replaceIndex(ctx, nil, path)
	}
	return idx, err
}

// fresh reports whether the index was never compared with the files: it was
// just made, or a crash came before that was done.
func (x *index) fresh() bool { return x.gen == 0 }

// replaceIndex moves a damaged index aside, never over another, and makes an
// empty one.
func replaceIndex(ctx context.Context, old *index, path string) (*index, error) {
	if old != nil {
		_ = old.close() // it is damaged: errors are expected
	}
	aside := path + ".damaged"
	for n := 1; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s.damaged-%d", path, n)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("moving damaged index aside: %w", err)
		}
	}
	return loadIndex(ctx, path)
}

// tuning is for the one connection that writes. Ids are random, so a batch of
// rows touches as many pages of a large index: room for them (16 MiB), and the
// file itself brought up to date, which takes two fsyncs, after several batches.
const tuning = "PRAGMA cache_size = -16384; PRAGMA wal_autocheckpoint = 4096"

func loadIndex(ctx context.Context, path string) (*index, error) {
	db, err := sqlite.Open(ctx, path, false)
	if err != nil {
		return nil, fmt.Errorf("opening index: %w", err)
	}
	db.SetMaxOpenConns(3)
	db.SetMaxIdleConns(3)
	idx := &index{db: db, stmts: make(map[string]*sql.Stmt)}
	if idx.conn, err = db.Conn(ctx); err == nil {
		_, err = idx.conn.ExecContext(ctx, tuning)
	}
	if err == nil {
		err = idx.load(ctx, path)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("opening index: %w", err), idx.close())
	}
	return idx, nil
}

func (x *index) load(ctx context.Context, path string) error {
	var app, tables int
	for query, to := range map[string]*int{
		"PRAGMA application_id": &app, "PRAGMA user_version": &x.version, "SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := x.conn.QueryRowContext(ctx, query).Scan(to); err != nil {
			return err
		}
	}
	switch {
	case app == 0 && x.version == 0 && tables == 0:
		make := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", schema, applicationID, schemaVersion)
		if _, err := x.conn.ExecContext(ctx, make); err != nil {
			return err
		}
		x.version = schemaVersion
	case app != applicationID:
		return fmt.Errorf("%s: %w", path, errNotOurs)
	case x.version < 1 || x.version > schemaVersion:
		return fmt.Errorf("%s has version %d, this program knows %d: update aml, or move the file away, which costs the pins", path, x.version, schemaVersion)
	}
	const state = "SELECT gen, synced, last, count, size, pinned, pinned_size FROM state"
	return x.conn.QueryRowContext(ctx, state).Scan(&x.gen, &x.synced, &x.last, &x.count, &x.size, &x.pinned, &x.pinnedSize)
}

func (x *index) close() error {
	var errs []error
	for _, stmt := range x.stmts {
		errs = append(errs, stmt.Close())
	}
	if x.conn != nil {
		errs = append(errs, x.conn.Close())
	}
	return errors.Join(append(errs, x.db.Close())...)
}

// write runs fn in a transaction and saves the index's own fields with it;
// when it fails, rows and fields are as before. It is not cut short by ctx: a
// transaction on a local file is quick, and its rollback would be no quicker.
func (x *index) write(ctx context.Context, durable bool, fn func() error) (err error) {
	ctx = context.WithoutCancel(ctx)
	level := "NORMAL"
	if durable {
		level = "FULL"
	}
	if _, err := x.conn.ExecContext(ctx, "PRAGMA synchronous = "+level+"; BEGIN IMMEDIATE"); err != nil {
		return fmt.Errorf("writing index: %w", err)
	}
	sums, gen, synced, last := x.totals, x.gen, x.synced, x.last
	if err = fn(); err == nil {
		const state = "UPDATE state SET gen = ?, synced = ?, last = ?, count = ?, size = ?, pinned = ?, pinned_size = ?"
		_, err = x.exec(state, x.gen, x.synced, x.last, x.count, x.size, x.pinned, x.pinnedSize)
	}
	if err == nil {
		_, err = x.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		x.totals, x.gen, x.synced, x.last = sums, gen, synced, last
		// After some errors SQLite has rolled back by itself, and this one
		// then has nothing to do.
		_, _ = x.conn.ExecContext(ctx, "ROLLBACK")
		return fmt.Errorf("writing index: %w", err)
	}
	return nil
}

// stmt prepares a query once.
func (x *index) stmt(query string) (*sql.Stmt, error) {
	if s, ok := x.stmts[query]; ok {
		return s, nil
	}
	s, err := x.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	x.stmts[query] = s
	return s, nil
}

func (x *index) exec(query string, args ...any) (changed int64, err error) {
	s, err := x.stmt(query)
	if err != nil {
		return 0, err
	}
	res, err := s.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// find returns what is known about id; without a row, size is -1 and the rest 0.
func (x *index) find(id blobnet.ID) (entry, error) {
	s, err := x.stmt("SELECT size, used, pins, gen FROM blobs WHERE id = ?")
	if err != nil {
		return entry{}, err
	}
	var e entry
	err = s.QueryRowContext(context.Background(), id[:]).Scan(&e.size, &e.used, &e.pins, &e.gen)
	if errors.Is(err, sql.ErrNoRows) {
		return entry{size: -1}, nil
	}
	return e, err
}
