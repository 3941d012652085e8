package catalog

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
)

// session is a connection with its prepared statements. One goroutine at a
// time uses it. Its statements run without the caller's deadline: they are
// short, and a transaction that has begun shall end well-defined.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt // by their text
}

// cacheSize makes a session keep 16 MiB of the file: with SQLite's 2 MB most of what a
// search touches would be read anew each time.
const cacheSize = "PRAGMA cache_size = -16384"

func newSession(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	if _, err := conn.ExecContext(ctx, cacheSize); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return &session{conn: conn, stmts: make(map[string]*sql.Stmt)}, nil
}

func (s *session) close() error {
	var errs []error
	for _, st := range s.stmts {
		errs = append(errs, st.Close())
	}
	return errors.Join(append(errs, s.conn.Close())...)
}

// prepare returns the statement with this text, which must be a constant of
// the program: statements are kept for ever.
func (s *session) prepare(text string) (*sql.Stmt, error) {
	if st, ok := s.stmts[text]; ok {
		return st, nil
	}
	st, err := s.conn.PrepareContext(context.Background(), text)
	if err != nil {
		return nil, err
	}
	s.stmts[text] = st
	return st, nil
}

// exec runs a statement and returns how many rows it changed.
func (s *session) exec(text string, args ...any) (int64, error) {
	st, err := s.prepare(text)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// insert is exec, and returns the new row's number.
func (s *session) insert(text string, args ...any) (int64, error) {
	st, err := s.prepare(text)
	if err != nil {
		return 0, err
	}
	res, err := st.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, err
	}
	return res.LastInsertId()
}

// get reads the one row of a query, or gives sql.ErrNoRows.
func (s *session) get(dest []any, text string, args ...any) error {
	st, err := s.prepare(text)
	if err != nil {
		return err
	}
	return st.QueryRowContext(context.Background(), args...).Scan(dest...)
}

// each calls row for every row of a query, until it returns false or an error.
// row must not use the session.
func (s *session) each(row func(scan func(...any) error) (bool, error), text string, args ...any) (err error) {
	st, err := s.prepare(text)
	if err != nil {
		return err
	}
	rows, err := st.QueryContext(context.Background(), args...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		more, err := row(rows.Scan)
		if err != nil || !more {
			return err
		}
	}
	return rows.Err()
}

// tx is a write transaction.
type tx struct {
	*session
	c       *Catalog
	touched map[*known]bool // checked against the file in this transaction
	changes []change
}

func (t *tx) changed(ch change) {
	if !slices.Contains(t.changes, ch) {
		t.changes = append(t.changes, ch)
	}
}

// update runs fn in a write transaction, which is on disk when update returns
// nil and left no trace when it returns an error. Then watchers are told.
func (c *Catalog) update(ctx context.Context, doing string, fn func(*tx) error) error {
	s, err := c.turn(ctx, c.writer)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	t := &tx{session: s, c: c, touched: make(map[*known]bool)}
	if err := c.commit(ctx, t, fn); err != nil {
		return diagnose(c.cfg.Path, fmt.Errorf("%s: %w", doing, err))
	}
	c.committed.Add(1)
	c.notify(t.changes)
	return nil
}

// commit runs a transaction and gives the session back, also when fn panics.
func (c *Catalog) commit(ctx context.Context, t *tx, fn func(*tx) error) (err error) {
	done := false
	defer func() {
		if !done {
			// What the machines in memory have stepped to is not on disk.
			for k := range t.touched {
				c.cache.drop(k)
			}
			clear(c.words)
			if _, rerr := t.conn.ExecContext(context.Background(), "ROLLBACK"); rerr != nil && err == nil {
				err = rerr
			}
		}
		c.writer <- t.session
	}()
	if _, err := t.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := fn(t); err != nil {
		return err
	}
	if _, err := t.conn.ExecContext(context.Background(), "COMMIT"); err != nil {
		return err
	}
	done = true
	return nil
}

// view runs fn on one unchanging picture of the catalogue.
func (c *Catalog) view(ctx context.Context, doing string, fn func(*session) error) (err error) {
	s, err := c.turn(ctx, c.reading)
	if err != nil {
		return fmt.Errorf("%s: %w", doing, err)
	}
	defer func() {
		if _, rerr := s.conn.ExecContext(context.Background(), "ROLLBACK"); rerr != nil && err == nil {
			err = rerr
		}
		c.reading <- s
		if err != nil {
			err = diagnose(c.cfg.Path, fmt.Errorf("%s: %w", doing, err))
		}
	}()
	if _, err := s.conn.ExecContext(ctx, "BEGIN"); err != nil {
		return err
	}
	return fn(s)
}

// turn waits for a session.
func (c *Catalog) turn(ctx context.Context, from chan *session) (*session, error) {
	select {
	case <-c.closed:
		return nil, ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case s := <-from:
		return s, nil
	case <-c.closed:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// bytes32 scans a stored id, key or hash, so that a damaged row is an error and
// not a panic.
type bytes32 [32]byte

// Scan implements sql.Scanner.
func (b *bytes32) Scan(src any) error {
	data, ok := src.([]byte)
	if !ok || len(data) != len(b) {
		return fmt.Errorf("%w: an id, key or hash is not 32 bytes", errDamaged)
	}
	copy(b[:], data)
	return nil
}
