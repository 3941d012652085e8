// Package owed remembers what is still to be done at plugins that keep blobs: which
// blobs count for which channel, which of these a plugin has, what it has to be given,
// and what it has to delete since it does not count any more. It is a queue that
// outlasts the process, and never longer than what counts and what has counted.
//
// What counts of a channel is told in rounds: whoever goes through all of it marks it
// with the number of the round, and says of which releases that was all: what these have
// of an older round counts no more. What is merely not known any more is kept: a
// catalogue that was lost must not empty the mirror from which all could be had again.
// The order is always
// Try, then put, then There: a process that is killed in between puts a blob twice at
// worst, and what was begun is deleted as well when it counts no more.
//
// It knows nothing of what a blob is of, asks no plugin, and has no clock: when
// something is due is what it is told.
package owed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"

	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// Ledger is the file. Its methods may be called from many goroutines.
type Ledger struct{ db *sql.DB }

// Of is for what blobs count: the id of a channel.
type Of [32]byte

// Owes is what is owed to a plugin of a blob.
type Owes int

// What is owed.
const (
	Nothing Owes = iota // the plugin has it
	Put                 // it is to be put
	Delete              // it counts no more, and is to be deleted
	Missing             // it counts, and is not here: nothing can be done
)

// application tells our files from others: "amlO".
const application = 0x616d6c4f

// maxError bounds the text of an error that is kept, in bytes.
const maxError = 300

// Open opens the file, and makes it if it is missing. Its folder must exist.
func Open(ctx context.Context, path string) (*Ledger, error) {
	db, err := sqlite.Open(ctx, path, true) // what was begun must be known, or a retraction does not reach it
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
		err = fmt.Errorf("%w; move it away: plugins are then asked what they have, and given the rest. What was still to be deleted there stays", err)
	}
	return fmt.Errorf("opening %s, which says what is owed to plugins: %w", path, err)
}

const schema = `
	CREATE TABLE IF NOT EXISTS plugin (
		num INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, checked INTEGER NOT NULL DEFAULT 0
	);
	CREATE TABLE IF NOT EXISTS binding (
		num INTEGER PRIMARY KEY, plugin INTEGER NOT NULL, channel BLOB NOT NULL, round INTEGER NOT NULL DEFAULT 0,
		version INTEGER NOT NULL DEFAULT 0, UNIQUE (plugin, channel)
	);
	CREATE TABLE IF NOT EXISTS counts (
		binding INTEGER NOT NULL, release INTEGER NOT NULL, id BLOB NOT NULL, round INTEGER NOT NULL,
		PRIMARY KEY (binding, release, id)
	) WITHOUT ROWID;
	CREATE INDEX IF NOT EXISTS counts_id ON counts (id);
	CREATE TABLE IF NOT EXISTS blob (
		plugin INTEGER NOT NULL, id BLOB NOT NULL, owes INTEGER NOT NULL, tried INTEGER NOT NULL DEFAULT 0,
		due INTEGER NOT NULL DEFAULT 0, fails INTEGER NOT NULL DEFAULT 0, error TEXT NOT NULL DEFAULT '',
		PRIMARY KEY (plugin, id)
	) WITHOUT ROWID;
	CREATE INDEX IF NOT EXISTS blob_owes ON blob (plugin, owes, due) WHERE owes > 0;`

// Close closes the file.
func (l *Ledger) Close() error { return l.db.Close() }

// write makes one change, whole or not at all.
func (l *Ledger) write(ctx context.Context, do func(*sql.Tx) error) error {
	tx, err := l.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("noting what is owed: %w", err)
	}
	defer tx.Rollback()
	if err := do(tx); err != nil {
		return fmt.Errorf("noting what is owed: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("noting what is owed: %w", err)
	}
	return nil
}

// each calls do for each row.
func (l *Ledger) each(ctx context.Context, do func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := l.db.QueryContext(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("reading what is owed: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := do(rows.Scan); err != nil {
			return fmt.Errorf("reading what is owed: %w", err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("reading what is owed: %w", err)
	}
	return nil
}

// name reads 32 bytes.
func name(raw []byte) (out [32]byte, err error) {
	if len(raw) != len(out) {
		return out, fmt.Errorf("a name of %d bytes", len(raw))
	}
	return [32]byte(raw), nil
}

// bounded is an error's text as it is kept and shown: short, and in one line.
func bounded(err error) string {
	if err == nil {
		return ""
	}
	text := strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, err.Error())
	return strings.ToValidUTF8(text[:min(len(text), maxError)], "")
}

func at(t time.Time) int64 { return t.UnixMilli() }
