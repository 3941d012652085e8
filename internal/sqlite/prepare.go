package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// ErrForeign: the file is the database of another program.
var ErrForeign = errors.New("it is the file of another program")

// Prepare makes a new file ours by its application id, and has it what schema creates
// where it is missing. A file that has tables and another id gives ErrForeign and stays
// as it is. It is for files whose schema has had one version; where it has several,
// their room goes through them.
func Prepare(ctx context.Context, db *sql.DB, application int, schema string) error {
	var app, tables int
	if err := db.QueryRowContext(ctx, "PRAGMA application_id").Scan(&app); err != nil {
		return err
	}
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil {
		return err
	}
	if app != application && tables > 0 {
		return ErrForeign
	}
	_, err := db.ExecContext(ctx, fmt.Sprintf("PRAGMA application_id = %d;\n%s", application, schema))
	return err
}
