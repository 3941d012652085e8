package host

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

const (
	journalBuffer = 1 << 14         // events that wait to be written
	journalKeeps  = 100_000         // events on disk
	journalBatch  = 1024            // events of one transaction
	maxEvent      = 64 << 10        // bytes of one event's JSON
	pruneEvery    = 1024            // events
	roomCheck     = 5 * time.Second // while the disk has none
)

const journalSchema = `
CREATE TABLE IF NOT EXISTS events (
	cursor INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
	time   INTEGER NOT NULL,                  -- seconds since 1970
	event  TEXT NOT NULL,
	json   TEXT NOT NULL
);`

// Journal keeps the newest events on disk for those who observe, so that who was
// away gets them later. Adding to it never blocks.
type Journal struct {
	path   string
	check  time.Duration
	in     chan record
	missed atomic.Int64 // events that are not kept, and of which that is not written yet

	mu   sync.Mutex    // guards what follows
	db   *sql.DB       // nil while the disk has no room to make it
	full error         // why events are not kept now
	news chan struct{} // closed when there is more
}

type record struct {
	at    time.Time
	event string
	json  string
}

// OpenJournal opens the journal at path. One that is damaged is begun anew: it
// holds nothing but news. One that cannot be made since the disk is full is made by
// Run, when there is room.
func OpenJournal(ctx context.Context, path string) (*Journal, error) {
	j := &Journal{path: path, check: roomCheck, in: make(chan record, journalBuffer), news: make(chan struct{})}
	db, err := openJournal(ctx, path)
	switch {
	case isFull(err):
		j.full = err
	case err != nil:
		return nil, err
	}
	j.db = db
	return j, nil
}

func isFull(err error) bool { return err != nil && (sqlite.IsFull(err) || disk.IsFull(err)) }

func openJournal(ctx context.Context, path string) (*sql.DB, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("opening the journal of events: %w", err)
	}
	db, err := openEvents(ctx, path)
	if sqlite.IsDamaged(err) {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("opening the journal of events: %w", err)
			}
		}
		db, err = openEvents(ctx, path)
	}
	if err != nil {
		return nil, fmt.Errorf("opening the journal of events: %w", err)
	}
	return db, nil
}

// Full is why events are not kept, nil while they are: the disk has no room.
func (j *Journal) Full() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.full
}

func (j *Journal) opened() *sql.DB {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.db
}

// begin makes the file of a journal that has none, as soon as there is room. What is
// added meanwhile waits, as far as there is place.
func (j *Journal) begin(ctx context.Context) error {
	tick := time.NewTicker(j.check)
	defer tick.Stop()
	for j.opened() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
		db, err := openJournal(ctx, j.path)
		switch {
		case isFull(err):
			continue
		case err != nil && ctx.Err() == nil:
			return err
		case err != nil:
			return nil
		}
		j.mu.Lock()
		j.db = db
		j.mu.Unlock()
		j.room(nil)
	}
	return nil
}

// room takes note of whether the disk has room for events, and wakes those who wait
// for some.
func (j *Journal) room(full error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.full = full; full == nil {
		close(j.news)
		j.news = make(chan struct{})
	}
}

func openEvents(ctx context.Context, path string) (*sql.DB, error) {
	db, err := sqlite.Open(ctx, path, false)
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, journalSchema); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// Add takes an event, which is encoded as JSON.
func (j *Journal) Add(name string, event any) {
	text, err := json.Marshal(event)
	if err != nil || len(text) > maxEvent {
		j.missed.Add(1)
		return
	}
	select {
	case j.in <- record{time.Now(), name, string(text)}:
	default:
		j.missed.Add(1)
	}
}

// Run writes what is added until ctx ends. While the disk has no room it looks every
// now and then whether there is some, also if nothing is added.
func (j *Journal) Run(ctx context.Context) error {
	if err := j.begin(ctx); err != nil {
		return err
	}
	if j.opened() == nil {
		return nil
	}
	tick := time.NewTicker(j.check)
	defer tick.Stop()
	for {
		select {
		case r := <-j.in:
			if err := j.write(context.WithoutCancel(ctx), j.batch(r)); err != nil {
				return err
			}
		case <-tick.C:
			if j.Full() == nil {
				continue
			}
			if err := j.write(context.WithoutCancel(ctx), nil); err != nil {
				return err
			}
		case <-ctx.Done():
			for len(j.in) > 0 { // what was told is kept
				if err := j.write(context.WithoutCancel(ctx), j.batch(<-j.in)); err != nil {
					return err
				}
			}
			return nil
		}
	}
}

// batch is the first event with those that wait behind it.
func (j *Journal) batch(first record) []record {
	out := []record{first}
	for len(out) < journalBatch {
		select {
		case r := <-j.in:
			out = append(out, r)
		default:
			return out
		}
	}
	return out
}

// write writes how many events were missed, then a batch, both or neither: what finds
// no room is counted with what was missed before.
func (j *Journal) write(ctx context.Context, batch []record) error {
	missed := j.missed.Load()
	err := j.put(ctx, missed, batch)
	switch {
	case isFull(err):
		j.missed.Add(int64(len(batch)))
		j.room(err)
		return nil // observers miss events; the node goes on
	case err != nil:
		return fmt.Errorf("journal of events: %w", err)
	}
	j.missed.Add(-missed)
	j.room(nil)
	return nil
}

func (j *Journal) put(ctx context.Context, missed int64, batch []record) error {
	if missed > 0 {
		told := record{time.Now(), "missed", fmt.Sprintf(`{"event":"missed","events":%d}`, missed)}
		batch = append([]record{told}, batch...)
	}
	tx, err := j.opened().BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // after a commit it does nothing
	var last int64
	for _, r := range batch {
		res, err := tx.ExecContext(ctx, `INSERT INTO events (time, event, json) VALUES (?, ?, ?)`, r.at.Unix(), r.event, r.json)
		if err != nil {
			return err
		}
		if last, err = res.LastInsertId(); err != nil {
			return err
		}
	}
	if last%pruneEvery < journalBatch {
		if _, err := tx.ExecContext(ctx, `DELETE FROM events WHERE cursor <= ?`, last-journalKeeps); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// more is closed when something has been written since it was asked for.
func (j *Journal) more() <-chan struct{} {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.news
}

// Stored is an event of the journal.
type Stored struct {
	Cursor uint64
	Time   int64
	Event  string
	JSON   string
}

// After returns events after a cursor, at most limit of them.
func (j *Journal) After(ctx context.Context, cursor uint64, limit int) (out []Stored, err error) {
	db := j.opened()
	if db == nil {
		return nil, nil
	}
	rows, err := db.QueryContext(ctx, `SELECT cursor, time, event, json FROM events WHERE cursor > ? ORDER BY cursor LIMIT ?`, int64(cursor), limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var s Stored
		if err := rows.Scan(&s.Cursor, &s.Time, &s.Event, &s.JSON); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

// Last is the cursor of the newest event, 0 for none.
func (j *Journal) Last(ctx context.Context) (cursor uint64, err error) {
	db := j.opened()
	if db == nil {
		return 0, nil
	}
	err = db.QueryRowContext(ctx, `SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)`).Scan(&cursor)
	return cursor, err
}

// Close closes the file. Call it after Run has returned.
func (j *Journal) Close() error {
	db := j.opened()
	if db == nil {
		return nil
	}
	return db.Close()
}
