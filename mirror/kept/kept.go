// Package kept remembers which blobs a mirror has pinned, and for which channel, so
// that after any end of the process the same pins can be taken back, each once.
//
// A channel's pins are renewed in rounds: whoever goes through all that is to be kept
// marks it with the number of the round, and what has an older one is let go of. The
// order is always pin, then Mark; Drop, then unpin: a process that is killed between
// the two leaves a blob pinned once too often, and never takes away somebody else's
// pin.
//
// It knows nothing of what a blob is of, and must never decide what is kept.
package kept

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// Ledger is the file. Its methods may be called from many goroutines.
type Ledger struct{ db *sql.DB }

// Of is whose pins they are: the id of a channel.
type Of [32]byte

// application tells our files from others: "amlK".
const application = 0x616d6c4b

// Open opens the file, and makes it if it is missing. Its folder must exist.
func Open(ctx context.Context, path string) (*Ledger, error) {
	db, err := sqlite.Open(ctx, path, true) // what is dropped must stay so, or a pin is taken back twice
	if err != nil {
		return nil, explain(path, err)
	}
	db.SetMaxOpenConns(1)
	if err := sqlite.Prepare(ctx, db, application, schema); err != nil {
		return nil, errors.Join(explain(path, err), db.Close())
	}
	return &Ledger{db}, nil
}

func explain(path string, err error) error {
	if sqlite.IsDamaged(err) {
		err = fmt.Errorf("%w; move it away: what was kept stays pinned (aml blob-unpin), and the mirror begins a new one", err)
	}
	return fmt.Errorf("opening %s, which says what is mirrored: %w", path, err)
}

const schema = `
	CREATE TABLE IF NOT EXISTS kept (
		channel BLOB NOT NULL, id BLOB NOT NULL, round INTEGER NOT NULL,
		PRIMARY KEY (channel, id)
	) WITHOUT ROWID;
	CREATE INDEX IF NOT EXISTS kept_round ON kept (channel, round);`

// Close closes the file.
func (l *Ledger) Close() error { return l.db.Close() }

// Channels returns for which channels anything is kept.
func (l *Ledger) Channels(ctx context.Context) ([]Of, error) {
	var out []Of
	err := l.each(ctx, func(scan func(...any) error) error {
		var b []byte
		if err := scan(&b); err != nil || len(b) != len(Of{}) {
			return errors.Join(err, wrongLength(len(b)))
		}
		out = append(out, Of(b))
		return nil
	}, "SELECT DISTINCT channel FROM kept ORDER BY channel")
	return out, err
}

func wrongLength(n int) error {
	if n == 32 {
		return nil
	}
	return fmt.Errorf("a name of %d bytes", n)
}

// Round is the newest round of a channel, 0 if it has none.
func (l *Ledger) Round(ctx context.Context, of Of) (round int64, err error) {
	err = l.db.QueryRowContext(ctx, "SELECT coalesce(max(round), 0) FROM kept WHERE channel = ?", of[:]).Scan(&round)
	if err != nil {
		err = fmt.Errorf("reading what is mirrored: %w", err)
	}
	return round, err
}

// New returns those of ids that are not kept for the channel, in order and each
// once.
func (l *Ledger) New(ctx context.Context, of Of, ids ...blobnet.ID) ([]blobnet.ID, error) {
	fresh, _, err := l.Behind(ctx, of, 0, ids...)
	return fresh, err
}

// Behind returns those of ids that are not kept for the channel, and those that are kept
// of an older round alone: what Mark would change. Each comes once, in order.
func (l *Ledger) Behind(ctx context.Context, of Of, round int64, ids ...blobnet.ID) (fresh, older []blobnet.ID, err error) {
	has := make(map[blobnet.ID]int64, len(ids))
	for part := range slices.Chunk(ids, 512) { // SQLite bounds the values of a query
		args := []any{of[:]}
		for i := range part {
			args = append(args, part[i][:])
		}
		err := l.each(ctx, func(scan func(...any) error) error {
			var b []byte
			var of int64
			if err := scan(&b, &of); err != nil {
				return err
			}
			if err := wrongLength(len(b)); err != nil {
				return err
			}
			has[blobnet.ID(b)] = of
			return nil
		}, "SELECT id, round FROM kept WHERE channel = ? AND id IN (?"+strings.Repeat(",?", len(part)-1)+")", args...)
		if err != nil {
			return nil, nil, err
		}
	}
	for _, id := range ids {
		switch at, known := has[id]; {
		case !known:
			fresh = append(fresh, id)
		case at < round:
			older = append(older, id)
		}
		has[id] = math.MaxInt64
	}
	return fresh, older, nil
}

// Mark notes that ids, which are pinned, are kept in that round. A round never goes
// back.
func (l *Ledger) Mark(ctx context.Context, of Of, round int64, ids ...blobnet.ID) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("noting what is mirrored: %w", err)
	}
	defer tx.Rollback()
	for i := range ids {
		_, err := tx.ExecContext(ctx, `INSERT INTO kept (channel, id, round) VALUES (?, ?, ?)
			ON CONFLICT (channel, id) DO UPDATE SET round = max(round, excluded.round)`, of[:], ids[i][:], round)
		if err != nil {
			return fmt.Errorf("noting what is mirrored: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("noting what is mirrored: %w", err)
	}
	return nil
}

// Older returns blobs that are kept of an older round, at most limit of them.
func (l *Ledger) Older(ctx context.Context, of Of, round int64, limit int) ([]blobnet.ID, error) {
	var out []blobnet.ID
	err := l.eachID(ctx, func(id blobnet.ID) { out = append(out, id) },
		"SELECT id FROM kept WHERE channel = ? AND round < ? LIMIT ?", of[:], round, limit)
	return out, err
}

// Drop forgets ids, which are then to be unpinned.
func (l *Ledger) Drop(ctx context.Context, of Of, ids ...blobnet.ID) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("noting what is let go of: %w", err)
	}
	defer tx.Rollback()
	for i := range ids {
		if _, err := tx.ExecContext(ctx, "DELETE FROM kept WHERE channel = ? AND id = ?", of[:], ids[i][:]); err != nil {
			return fmt.Errorf("noting what is let go of: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("noting what is let go of: %w", err)
	}
	return nil
}

func (l *Ledger) eachID(ctx context.Context, do func(blobnet.ID), query string, args ...any) error {
	return l.each(ctx, func(scan func(...any) error) error {
		var b []byte
		if err := scan(&b); err != nil {
			return err
		}
		if err := wrongLength(len(b)); err != nil {
			return err
		}
		do(blobnet.ID(b))
		return nil
	}, query, args...)
}

func (l *Ledger) each(ctx context.Context, do func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := l.db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("reading what is mirrored: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return fmt.Errorf("reading what is mirrored: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading what is mirrored: %w", err)
	}
	return nil
}
