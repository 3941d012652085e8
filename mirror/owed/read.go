package owed

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// Bindings returns all bindings, by plugin.
func (l *Ledger) Bindings(ctx context.Context) (out []Binding, err error) {
	err = l.each(ctx, func(scan func(...any) error) error {
		var b Binding
		var raw []byte
		if err := scan(&b.Plugin, &raw); err != nil {
			return err
		}
		of, err := name(raw)
		b.Of = of
		out = append(out, b)
		return err
	}, "SELECT name, channel FROM binding JOIN plugin ON plugin.num = binding.plugin ORDER BY name, channel")
	return out, err
}

// Deleting returns the plugins that have something to delete.
func (l *Ledger) Deleting(ctx context.Context) (out []string, err error) {
	err = l.each(ctx, func(scan func(...any) error) error {
		var p string
		err := scan(&p)
		out = append(out, p)
		return err
	}, "SELECT name FROM plugin WHERE EXISTS (SELECT 1 FROM blob WHERE plugin = num AND owes = 2 AND owes > 0) ORDER BY name")
	return out, err
}

// Counts are how many blobs there are of each sort.
type Counts struct {
	There   int64
	Put     int64 // owed
	Delete  int64 // owed
	Missing int64 // here
}

func (c *Counts) add(owes Owes, n int64) {
	switch owes {
	case Nothing:
		c.There += n
	case Put:
		c.Put += n
	case Delete:
		c.Delete += n
	case Missing:
		c.Missing += n
	}
}

// Count counts what is owed to a plugin, or with only, what counts for that channel.
func (l *Ledger) Count(ctx context.Context, plugin string, only *Of) (c Counts, err error) {
	from, args := "FROM blob WHERE plugin = (SELECT num FROM plugin WHERE name = ?)", []any{plugin}
	if only != nil {
		from += ` AND EXISTS (SELECT 1 FROM counts WHERE counts.id = blob.id AND binding =
			(SELECT binding.num FROM binding JOIN plugin ON plugin.num = binding.plugin WHERE name = ? AND channel = ?))`
		args = append(args, plugin, only[:])
	}
	err = l.each(ctx, func(scan func(...any) error) error {
		var owes Owes
		var n int64
		if err := scan(&owes, &n); err != nil {
			return err
		}
		c.add(owes, n)
		return nil
	}, "SELECT owes, count(*) "+from+" GROUP BY owes", args...)
	return c, err
}

// Trouble is what is owed to a plugin and was tried in vain.
type Trouble struct {
	Delete int64 // blobs that are to be deleted, whether it was tried or not
	Blobs  int64
	Error  string    // of one of those that failed most often
	Again  time.Time // when the first is tried again
}

// Trouble returns what fails at a plugin.
func (l *Ledger) Trouble(ctx context.Context, plugin string) (t Trouble, err error) {
	const failing = " FROM blob WHERE plugin = (SELECT num FROM plugin WHERE name = ?1) AND owes IN (1, 2) AND owes > 0 AND fails > 0"
	var again int64
	err = l.db.QueryRowContext(ctx, "SELECT count(*), coalesce(min(due), 0), coalesce((SELECT error"+failing+" ORDER BY fails DESC LIMIT 1), '')"+failing, plugin).
		Scan(&t.Blobs, &again, &t.Error)
	if err != nil {
		return t, fmt.Errorf("reading what is owed: %w", err)
	}
	t.Again = time.UnixMilli(again)
	err = l.db.QueryRowContext(ctx, "SELECT count(*) FROM blob WHERE plugin = (SELECT num FROM plugin WHERE name = ?) AND owes = 2 AND owes > 0", plugin).Scan(&t.Delete)
	if err != nil {
		return t, fmt.Errorf("reading what is owed: %w", err)
	}
	return t, nil
}

// Checked is when a plugin was asked last for all that it is said to have.
func (l *Ledger) Checked(ctx context.Context, plugin string) (time.Time, error) {
	var ms int64
	err := l.db.QueryRowContext(ctx, "SELECT checked FROM plugin WHERE name = ?", plugin).Scan(&ms)
	if errors.Is(err, sql.ErrNoRows) {
		return time.UnixMilli(0), nil
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("reading what is owed: %w", err)
	}
	return time.UnixMilli(ms), nil
}

// Check notes when that was.
func (l *Ledger) Check(ctx context.Context, plugin string, now time.Time) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, "UPDATE plugin SET checked = ? WHERE name = ?", at(now), plugin)
		return err
	})
}

// Forget forgets a plugin, with all that it is said to have and is owed.
func (l *Ledger) Forget(ctx context.Context, plugin string) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		for _, query := range []string{
			"DELETE FROM counts WHERE binding IN (SELECT binding.num FROM binding JOIN plugin ON plugin.num = binding.plugin WHERE name = ?)",
			"DELETE FROM blob WHERE plugin = (SELECT num FROM plugin WHERE name = ?)",
			"DELETE FROM binding WHERE plugin = (SELECT num FROM plugin WHERE name = ?)",
			"DELETE FROM plugin WHERE name = ?",
		} {
			if _, err := tx.ExecContext(ctx, query, plugin); err != nil {
				return err
			}
		}
		return nil
	})
}
