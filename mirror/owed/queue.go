package owed

import (
	"context"
	"database/sql"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Blob is one that something is owed of.
type Blob struct {
	ID    blobnet.ID
	Fails int // in a row
}

// Due returns what is owed to a plugin and due at a time, the longest first, at most
// limit of it; with only, what counts for that channel.
func (l *Ledger) Due(ctx context.Context, plugin string, what Owes, now time.Time, only *Of, limit int) ([]Blob, error) {
	query := "SELECT id, fails FROM blob WHERE plugin = (SELECT num FROM plugin WHERE name = ?) AND owes = ? AND owes > 0 AND due <= ?"
	args := []any{plugin, what, at(now)}
	if only != nil {
		query += ` AND EXISTS (SELECT 1 FROM counts JOIN binding ON binding.num = counts.binding
			WHERE counts.id = blob.id AND binding.plugin = blob.plugin AND binding.channel = ?)`
		args = append(args, only[:])
	}
	var out []Blob
	err := l.each(ctx, func(scan func(...any) error) error {
		var raw []byte
		var b Blob
		if err := scan(&raw, &b.Fails); err != nil {
			return err
		}
		id, err := name(raw)
		b.ID = id
		out = append(out, b)
		return err
	}, query+" ORDER BY due LIMIT ?", append(args, limit)...)
	return out, err
}

// The queries say "owes > 0" beside what they want of it: only so does SQLite see that
// the index of what is owed will do.

// Next is when something is due that can be done, zero if nothing is owed.
func (l *Ledger) Next(ctx context.Context, plugin string) (next time.Time, err error) {
	err = l.each(ctx, func(scan func(...any) error) error {
		var due sql.NullInt64
		if err := scan(&due); err != nil || !due.Valid {
			return err
		}
		if t := time.UnixMilli(due.Int64); next.IsZero() || t.Before(next) {
			next = t
		}
		return nil
	}, `SELECT min(due) FROM blob, plugin WHERE plugin = num AND name = ?1 AND owes = 1 AND owes > 0
		UNION ALL SELECT min(due) FROM blob, plugin WHERE plugin = num AND name = ?1 AND owes = 2 AND owes > 0`, plugin)
	return next, err
}

// change runs one statement for each of ids, whose first values are the plugin's name
// and the id.
func (l *Ledger) change(ctx context.Context, plugin, query string, list []blobnet.ID, args ...any) error {
	if len(list) == 0 {
		return nil
	}
	return l.write(ctx, func(tx *sql.Tx) error {
		one, err := tx.PrepareContext(ctx, query)
		if err != nil {
			return err
		}
		defer one.Close()
		for i := range list {
			if _, err := one.ExecContext(ctx, append([]any{plugin, list[i][:]}, args...)...); err != nil {
				return err
			}
		}
		return nil
	})
}

const which = " WHERE plugin = (SELECT num FROM plugin WHERE name = ?1) AND id = ?2"

// Try notes that ids are going to be put: from now on the plugin may have them.
func (l *Ledger) Try(ctx context.Context, plugin string, list ...blobnet.ID) error {
	return l.change(ctx, plugin, "UPDATE blob SET tried = 1"+which, list)
}

// There notes that the plugin has ids.
func (l *Ledger) There(ctx context.Context, plugin string, list ...blobnet.ID) error {
	return l.change(ctx, plugin, "UPDATE blob SET owes = 0, tried = 1, due = 0, fails = 0, error = ''"+which+" AND owes IN (1, 3)", list)
}

// Away notes that the plugin has not what it had: it is owed again.
func (l *Ledger) Away(ctx context.Context, plugin string, now time.Time, list ...blobnet.ID) error {
	return l.change(ctx, plugin, "UPDATE blob SET owes = 1, tried = 0, due = ?3"+which+" AND owes = 0", list, at(now))
}

// Lacking notes that ids are not here: they are owed when they are again.
func (l *Ledger) Lacking(ctx context.Context, plugin string, list ...blobnet.ID) error {
	return l.change(ctx, plugin, "UPDATE blob SET owes = 3, fails = 0, error = ''"+which+" AND owes = 1", list)
}

// Deleted forgets ids that the plugin had to delete.
func (l *Ledger) Deleted(ctx context.Context, plugin string, list ...blobnet.ID) error {
	return l.change(ctx, plugin, "DELETE FROM blob"+which+" AND owes = 2", list)
}

// Failure is one that was tried in vain.
type Failure struct {
	ID  blobnet.ID
	Due time.Time // when it is tried again
	Err error
}

// Failed notes what was tried in vain.
func (l *Ledger) Failed(ctx context.Context, plugin string, list ...Failure) error {
	if len(list) == 0 {
		return nil
	}
	return l.write(ctx, func(tx *sql.Tx) error {
		for i := range list {
			f := &list[i]
			if _, err := tx.ExecContext(ctx, "UPDATE blob SET fails = fails + 1, due = ?3, error = ?4"+which+" AND owes IN (1, 2)",
				plugin, f.ID[:], at(f.Due), bounded(f.Err)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Again makes all that failed due at once: the plugin works again.
func (l *Ledger) Again(ctx context.Context, plugin string, now time.Time) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE blob SET due = ?2 WHERE plugin = (SELECT num FROM plugin WHERE name = ?1) AND owes IN (1, 2) AND owes > 0 AND due > ?2", plugin, at(now))
		return err
	})
}

// Has returns which of ids the plugin is said to have.
func (l *Ledger) Has(ctx context.Context, plugin string, list ...blobnet.ID) ([]bool, error) {
	out := make([]bool, len(list))
	for i := range list {
		err := l.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM blob"+which+" AND owes = 0)", plugin, list[i][:]).Scan(&out[i])
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Held returns what the plugin is said to have, in the order of the ids behind after,
// at most limit of it.
func (l *Ledger) Held(ctx context.Context, plugin string, after blobnet.ID, limit int) (out []blobnet.ID, err error) {
	err = l.each(ctx, func(scan func(...any) error) error {
		var raw []byte
		if err := scan(&raw); err != nil {
			return err
		}
		id, err := name(raw)
		out = append(out, id)
		return err
	}, "SELECT id FROM blob WHERE plugin = (SELECT num FROM plugin WHERE name = ?) AND id > ? AND owes = 0 ORDER BY id LIMIT ?", plugin, after[:], limit)
	return out, err
}
