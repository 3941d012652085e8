// Package sqlite opens the SQLite files of a node, all in the same way, and is
// the only place that names the SQLite library.
//
// It is for packages that keep rows on disk. It must never know a schema: what
// is in a file, and what to do when that file is damaged, its owner decides.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	sqlite3 "modernc.org/sqlite"

	"github.com/anonymous-media-library/aml/internal/disk"
)

// Open opens the SQLite file at path, and makes it, readable by its owner
// alone (0600), if it is missing; its folder must exist.
//
// Every connection of the pool is in WAL mode (readers do not wait for the
// writer, nor it for them), waits up to 10 s for another process's lock,
// enforces foreign keys, takes "x" only as a name and never as a string, and
// cannot be made to write to the file's own structures. If durable, a commit
// is on disk when it returns (synchronous FULL); otherwise a power loss may
// take back the newest commits, together and in order, but never damages the
// file (NORMAL).
//
// On Unix the file is for one process at a time (another one's Open waits 10 s,
// then fails), and a file that needs no repair can be opened, read and closed on
// a disk without room.
//
// Open has read the file's header when it returns: what is no SQLite file
// gives an error for which IsDamaged is true, and what is no file at all one that
// wraps disk.ErrNotRegular. The caller closes the pool.
func Open(ctx context.Context, path string, durable bool) (*sql.DB, error) {
	dsn, err := dataSource(path, durable)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := disk.Regular(path + suffix); err != nil {
			return nil, fmt.Errorf("opening database: %w", err)
		}
	}
	// SQLite gives its -wal and -shm files the mode of the main one, so it is
	// enough to make that before SQLite does.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, fmt.Errorf("opening database: %w", err)
	}
	connector, err := sqlite3.NewConnector(dsn)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", path, err)
	}
	db := sql.OpenDB(connector)
	if _, err := db.ExecContext(ctx, "SELECT count(*) FROM sqlite_schema"); err != nil {
		return nil, errors.Join(fmt.Errorf("opening %s: %w", path, err), db.Close())
	}
	return db, nil
}

// journalLimit is the size, in bytes, to which the WAL file is cut back after
// a large transaction.
const journalLimit = 16 << 20

// exclusive is SQLite's way on Unix of having a file for one process alone. What
// its connections have to share about the WAL is then in memory and not in a
// -shm file, for which a full disk has no room: such a database could not even
// be read.
const exclusive = "unix-excl"

func dataSource(path string, durable bool) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	abs = filepath.ToSlash(abs)
	if !strings.HasPrefix(abs, "/") {
		abs = "/" + abs // a drive letter
	}
	synchronous := "NORMAL"
	if durable {
		synchronous = "FULL"
	}
	query := url.Values{
		"_busy_timeout": {"10000"},
		"_journal_mode": {"WAL"},
		"_synchronous":  {synchronous},
		"_foreign_keys": {"1"},
		"_pragma":       {fmt.Sprintf("journal_size_limit(%d)", journalLimit)},
		"_txlock":       {"immediate"},
		"_dqs":          {"0"},
		"_defensive":    {"1"},
		"_error_rc":     {"1"},
	}
	if runtime.GOOS != "windows" {
		query.Set("vfs", exclusive)
	}
	// The URI form, not the plain one: only it can hold a "?" or "%" in a path.
	return (&url.URL{Scheme: "file", Path: abs, RawQuery: query.Encode()}).String(), nil
}

// Result codes of SQLite, in the lower 8 bits of what Error.Code gives.
const (
	codeCorrupt     = 11
	codeFull        = 13
	codeNotDatabase = 26
)

// IsDamaged reports whether err says that the file is no SQLite database, or
// no sound one. Only replacing the file helps.
func IsDamaged(err error) bool {
	c := code(err)
	return c == codeCorrupt || c == codeNotDatabase
}

// IsFull reports whether err says that the disk, or the file's own limit, has
// no room for a write. The transaction was rolled back.
func IsFull(err error) bool { return code(err) == codeFull }

// code returns err's primary result code, 0 if it has none.
func code(err error) int {
	var e *sqlite3.Error
	if !errors.As(err, &e) {
		return 0
	}
	return e.Code() & 0xff
}
