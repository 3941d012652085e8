package owed

import (
	"context"
	"database/sql"
	"errors"
	"math"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Counted is a blob that counts, of a release of a channel, and whether it is here.
type Counted struct {
	Release int64
	ID      blobnet.ID
	Here    bool
}

// Binding is the keeping of one channel by one plugin.
type Binding struct {
	Plugin string
	Of     Of
}

// Round begins the next round of a binding, which is made if it is not there.
func (l *Ledger) Round(ctx context.Context, b Binding) (round int64, err error) {
	err = l.write(ctx, func(tx *sql.Tx) error {
		_, bind, err := nums(ctx, tx, b, true)
		if err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, "UPDATE binding SET round = round + 1 WHERE num = ? RETURNING round", bind).Scan(&round)
	})
	return round, err
}

// nums are the numbers of a binding and its plugin; with add they are made.
func nums(ctx context.Context, tx *sql.Tx, b Binding, add bool) (plugin, binding int64, err error) {
	if add {
		_, err = tx.ExecContext(ctx, "INSERT INTO plugin (name) VALUES (?) ON CONFLICT DO NOTHING", b.Plugin)
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT num FROM plugin WHERE name = ?", b.Plugin).Scan(&plugin)
	}
	if err == nil && add {
		_, err = tx.ExecContext(ctx, "INSERT INTO binding (plugin, channel) VALUES (?, ?) ON CONFLICT DO NOTHING", plugin, b.Of[:])
	}
	if err == nil {
		err = tx.QueryRowContext(ctx, "SELECT num FROM binding WHERE plugin = ? AND channel = ?", plugin, b.Of[:]).Scan(&binding)
	}
	return plugin, binding, err
}

// Mark notes that blobs count. What is here is owed from now on unless the plugin has
// it; what waits for another try goes on waiting.
func (l *Ledger) Mark(ctx context.Context, b Binding, round int64, now time.Time, blobs ...Counted) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		plugin, bind, err := nums(ctx, tx, b, true)
		if err != nil {
			return err
		}
		counts, err := tx.PrepareContext(ctx, `INSERT INTO counts (binding, release, id, round) VALUES (?, ?, ?, ?)
			ON CONFLICT DO UPDATE SET round = max(round, excluded.round)`)
		if err != nil {
			return err
		}
		defer counts.Close()
		owes, err := tx.PrepareContext(ctx, `INSERT INTO blob (plugin, id, owes, due) VALUES (?1, ?2, ?3, ?4)
			ON CONFLICT DO UPDATE SET owes = ?3, due = ?4, fails = 0, error = '' WHERE owes <> 0 AND owes <> ?3`)
		if err != nil {
			return err
		}
		defer owes.Close()
		for i := range blobs {
			c, what := &blobs[i], Missing
			if c.Here {
				what = Put
			}
			if _, err := counts.ExecContext(ctx, bind, c.Release, c.ID[:], round); err != nil {
				return err
			}
			if _, err := owes.ExecContext(ctx, plugin, c.ID[:], what, at(now)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Keep has what was marked of releases count in this round as well: it is not known
// now what counts of them.
func (l *Ledger) Keep(ctx context.Context, b Binding, round int64, releases ...int64) error {
	return l.write(ctx, func(tx *sql.Tx) error {
		_, bind, err := nums(ctx, tx, b, true)
		if err != nil {
			return err
		}
		for _, r := range releases {
			if _, err := tx.ExecContext(ctx, "UPDATE counts SET round = ? WHERE binding = ? AND release = ?", round, bind, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// older is how many rows are looked at in one transaction.
const older = 256

// Drop says that all that counts of some releases was marked in a round: what these have
// of an older one counts no more. What no other binding of the plugin counts, and the
// plugin may have, is then to be deleted there. It returns how many blobs these are.
func (l *Ledger) Drop(ctx context.Context, b Binding, round int64, now time.Time, releases ...int64) (gone int, err error) {
	for some := range slices.Chunk(releases, older) {
		n, err := l.dropOlder(ctx, b, round, now, some)
		if gone += n; err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// Finish ends a round. If version is higher than that of all rounds before, releases
// were taken back as such: what has an older round counts no more. Else releases that
// were not told of are only not known now.
func (l *Ledger) Finish(ctx context.Context, b Binding, round, version int64, now time.Time) (gone int, err error) {
	var before int64
	err = l.write(ctx, func(tx *sql.Tx) error {
		_, bind, err := nums(ctx, tx, b, true)
		if err == nil {
			err = tx.QueryRowContext(ctx, "SELECT version FROM binding WHERE num = ?", bind).Scan(&before)
		}
		return err
	})
	if err != nil || version <= before {
		return 0, err
	}
	if gone, err = l.dropOlder(ctx, b, round, now, nil); err != nil {
		return gone, err
	}
	return gone, l.write(ctx, func(tx *sql.Tx) error {
		_, bind, err := nums(ctx, tx, b, true)
		if err == nil {
			_, err = tx.ExecContext(ctx, "UPDATE binding SET version = ? WHERE num = ?", version, bind)
		}
		return err
	})
}

// dropOlder is Drop of all releases if there are none.
func (l *Ledger) dropOlder(ctx context.Context, b Binding, round int64, now time.Time, releases []int64) (gone int, err error) {
	return l.drop(ctx, b, round, releases, func(tx *sql.Tx, plugin int64, id []byte) (bool, error) {
		res, err := tx.ExecContext(ctx, `UPDATE blob SET owes = ?, due = ?, fails = 0, error = ''
			WHERE plugin = ? AND id = ? AND owes <> ? AND (owes = 0 OR tried)`, Delete, at(now), plugin, id, Delete)
		if err != nil {
			return false, err
		}
		changed, err := res.RowsAffected()
		if err == nil && changed == 0 {
			err = forget(ctx, tx, plugin, id)
		}
		return changed > 0, err
	})
}

// forget forgets a blob that nobody has to delete.
func forget(ctx context.Context, tx *sql.Tx, plugin int64, id []byte) error {
	_, err := tx.ExecContext(ctx, "DELETE FROM blob WHERE plugin = ? AND id = ? AND owes <> ?", plugin, id, Delete)
	return err
}

// every is newer than any round.
const every = int64(1) << 62

// End ends a binding. What only that has counted is to be deleted at the plugin, of
// which it returns the number, or, if it is to stay there, is forgotten.
func (l *Ledger) End(ctx context.Context, b Binding, stay bool, now time.Time) (gone int, err error) {
	if stay {
		_, err = l.drop(ctx, b, every, nil, func(tx *sql.Tx, plugin int64, id []byte) (bool, error) { return false, forget(ctx, tx, plugin, id) })
	} else {
		gone, err = l.dropOlder(ctx, b, every, now, nil)
	}
	if err != nil {
		return gone, err
	}
	return gone, l.write(ctx, func(tx *sql.Tx) error {
		_, bind, err := nums(ctx, tx, b, false)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			_, err = tx.ExecContext(ctx, "DELETE FROM binding WHERE num = ?", bind)
		}
		return err
	})
}

// drop forgets what has an older round, of releases, or of all if there are none, and
// has unbound called for what then counts for nobody.
func (l *Ledger) drop(ctx context.Context, b Binding, round int64, releases []int64, unbound func(tx *sql.Tx, plugin int64, id []byte) (bool, error)) (gone int, err error) {
	for after, more := (place{math.MinInt64, []byte{}}), true; more; {
		err = l.write(ctx, func(tx *sql.Tx) error {
			more = false
			plugin, bind, err := nums(ctx, tx, b, false)
			if errors.Is(err, sql.ErrNoRows) {
				return nil
			}
			if err != nil {
				return err
			}
			var found []place
			if releases == nil {
				found, err = olderThan(ctx, tx, bind, round, after)
				more = len(found) == older
			} else {
				found, err = olderOf(ctx, tx, bind, round, releases)
			}
			if err != nil {
				return err
			}
			for _, p := range found {
				n, err := dropOne(ctx, tx, plugin, bind, p, unbound)
				if err != nil {
					return err
				}
				gone += n
			}
			if len(found) > 0 {
				after = found[len(found)-1]
			}
			return nil
		})
		if err != nil {
			return gone, err
		}
	}
	return gone, nil
}

// place is where a row is.
type place struct {
	release int64
	id      []byte
}

func olderThan(ctx context.Context, tx *sql.Tx, bind, round int64, after place) (out []place, err error) {
	rows, err := tx.QueryContext(ctx, `SELECT release, id FROM counts WHERE binding = ? AND (release, id) > (?, ?) AND round < ?
		ORDER BY release, id LIMIT ?`, bind, after.release, after.id, round, older)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.release, &p.id); err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// olderOf is olderThan of some releases, and of all blobs of these.
func olderOf(ctx context.Context, tx *sql.Tx, bind, round int64, releases []int64) (out []place, err error) {
	find, err := tx.PrepareContext(ctx, "SELECT id FROM counts WHERE binding = ? AND release = ? AND round < ?")
	if err != nil {
		return nil, err
	}
	defer find.Close()
	one := func(r int64) error {
		rows, err := find.QueryContext(ctx, bind, r, round)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			p := place{release: r}
			if err := rows.Scan(&p.id); err != nil {
				return err
			}
			out = append(out, p)
		}
		return rows.Err()
	}
	for _, r := range releases {
		if err := one(r); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func dropOne(ctx context.Context, tx *sql.Tx, plugin, bind int64, p place, unbound func(*sql.Tx, int64, []byte) (bool, error)) (int, error) {
	if _, err := tx.ExecContext(ctx, "DELETE FROM counts WHERE binding = ? AND release = ? AND id = ?", bind, p.release, p.id); err != nil {
		return 0, err
	}
	var still bool
	err := tx.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM counts JOIN binding ON binding.num = counts.binding
		WHERE counts.id = ? AND binding.plugin = ?)`, p.id, plugin).Scan(&still)
	if err != nil || still {
		return 0, err
	}
	owed, err := unbound(tx, plugin, p.id)
	if owed {
		return 1, err
	}
	return 0, err
}
