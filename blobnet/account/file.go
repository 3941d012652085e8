package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// applicationID marks the file as ours: "aml" and a 4.
const applicationID = 0x616d6c04

const schemaVersion = 1

// schema: r and s are received and sent, followed by useful, duplicate, wasted
// and overhead. batch tells who was seen least recently: a clock may jump.
const schema = `
CREATE TABLE peers (
	peer  TEXT PRIMARY KEY,
	first INTEGER NOT NULL, -- seconds since 1970
	last  INTEGER NOT NULL,
	batch INTEGER NOT NULL, -- number of the write that had it last
	ru INTEGER NOT NULL, rd INTEGER NOT NULL, rw INTEGER NOT NULL, ro INTEGER NOT NULL,
	su INTEGER NOT NULL, sd INTEGER NOT NULL, sw INTEGER NOT NULL, so INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX peers_batch ON peers (batch);
`

var errNotOurs = errors.New("file holds no accounts")

// errNewer: the file is not touched.
var errNewer = errors.New("it is of another version of aml")

func isDamaged(err error) bool {
	return sqlite.IsDamaged(err) || errors.Is(err, errNotOurs)
}

// file is the open database. It is used by one goroutine at a time.
type file struct {
	db    *sql.DB
	batch int64 // number of the last write
}

func openFile(ctx context.Context, path string) (*file, error) {
	db, err := sqlite.Open(ctx, path, false)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	f := &file{db: db}
	if err := f.load(ctx, path); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return f, nil
}

func (f *file) load(ctx context.Context, path string) error {
	var app, version, tables int
	for query, to := range map[string]*int{
		"PRAGMA application_id": &app, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := f.db.QueryRowContext(ctx, query).Scan(to); err != nil {
			return err
		}
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		create := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", schema, applicationID, schemaVersion)
		if _, err := f.db.ExecContext(ctx, create); err != nil {
			return err
		}
	case app != applicationID:
		return fmt.Errorf("%s: %w", path, errNotOurs)
	case version != schemaVersion:
		return fmt.Errorf("%s has version %d, this program knows %d: update aml, or move the file away: %w", path, version, schemaVersion, errNewer)
	}
	return f.db.QueryRowContext(ctx, "SELECT coalesce(max(batch), 0) FROM peers").Scan(&f.batch)
}

func (f *file) close() error { return f.db.Close() }

// upsert adds to a row, or makes it.
const upsert = `
INSERT INTO peers VALUES (?1, ?2, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT (peer) DO UPDATE SET last = excluded.last, batch = excluded.batch,
	ru = min(ru + excluded.ru, ?12), rd = min(rd + excluded.rd, ?12), rw = min(rw + excluded.rw, ?12), ro = min(ro + excluded.ro, ?12),
	su = min(su + excluded.su, ?12), sd = min(sd + excluded.sd, ?12), sw = min(sw + excluded.sw, ?12), so = min(so + excluded.so, ?12)`

// leaving are the peers seen least recently.
const leaving = `SELECT peer FROM peers WHERE peer <> ?1 ORDER BY batch LIMIT ?2`

// write adds a batch, all of it or nothing, and adds up the peers beyond
// maxPeers. It is not cut short by ctx: a transaction on a local file is quick.
func (f *file) write(ctx context.Context, batch map[string]*sums, maxPeers int, now time.Time) error {
	ctx = context.WithoutCancel(ctx)
	tx, err := f.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // without effect after Commit
	stmt, err := tx.PrepareContext(ctx, upsert)
	if err != nil {
		return err
	}
	defer stmt.Close()
	put := func(peer string, r, s Counts) error {
		_, err := stmt.ExecContext(ctx, peer, now.Unix(), f.batch+1, r.Useful, r.Duplicate, r.Wasted, r.Overhead,
			s.Useful, s.Duplicate, s.Wasted, s.Overhead, int64(maxCount))
		return err
	}
	for peer, s := range batch {
		if err := put(peer, s.received, s.sent); err != nil {
			return err
		}
	}
	var peers int
	if err := tx.QueryRowContext(ctx, "SELECT count(*) FROM peers WHERE peer <> ?", Others).Scan(&peers); err != nil {
		return err
	}
	if peers > maxPeers {
		rows, err := read(ctx, tx, selectRows+" WHERE peer IN ("+leaving+")", Others, peers-maxPeers)
		if err != nil {
			return err
		}
		var r, s Counts
		for _, row := range rows {
			r, s = r.Plus(row.Received), s.Plus(row.Sent)
		}
		if _, err := tx.ExecContext(ctx, "DELETE FROM peers WHERE peer IN ("+leaving+")", Others, peers-maxPeers); err != nil {
			return err
		}
		if err := put(Others, r, s); err != nil {
			return err
		}
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	f.batch++
	return nil
}

const selectRows = "SELECT peer, first, last, ru, rd, rw, ro, su, sd, sw, so FROM peers"

func (f *file) read(ctx context.Context) ([]Row, error) { return read(ctx, f.db, selectRows) }

type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

func read(ctx context.Context, q querier, query string, args ...any) ([]Row, error) {
	rows, err := q.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []Row
	for rows.Next() {
		var r Row
		var first, last int64
		if err := rows.Scan(&r.Peer, &first, &last, &r.Received.Useful, &r.Received.Duplicate, &r.Received.Wasted, &r.Received.Overhead,
			&r.Sent.Useful, &r.Sent.Duplicate, &r.Sent.Wasted, &r.Sent.Overhead); err != nil {
			return nil, err
		}
		r.First, r.Last = time.Unix(first, 0), time.Unix(last, 0)
		out = append(out, r)
	}
	return out, rows.Err()
}
