package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"
	"path/filepath"

	sqlite3 "modernc.org/sqlite"
)

// Glance opens a database to read what its file holds, without a lock and without
// writing anything, beside whoever has it open: what is not yet in the file is not
// seen, and what is read while the file changes may be wrong. It is for hints alone.
// The caller closes it.
func Glance(path string) (*sql.DB, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("path of a database: %w", err)
	}
	source := (&url.URL{Scheme: "file", Path: abs, RawQuery: "mode=ro&immutable=1"}).String()
	connector, err := sqlite3.NewConnector(source)
	if err != nil {
		return nil, fmt.Errorf("opening a database: %w", err)
	}
	return sql.OpenDB(connector), nil
}
