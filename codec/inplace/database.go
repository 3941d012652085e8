package inplace

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/sqlite"
)

// applicationID marks the file as ours: "aml" and a 3.
const applicationID = 0x616d6c03

const schemaVersion = 1

// schema: paths are bytes, since a file system's need not be UTF-8. Nothing is
// said of chunks whose file has no row.
const schema = `
CREATE TABLE file (
	id    INTEGER PRIMARY KEY,
	path  BLOB NOT NULL,
	size  INTEGER NOT NULL, -- bytes, -1: being written
	mtime INTEGER NOT NULL, -- nanoseconds since 1970
	dev   INTEGER NOT NULL,
	ino   INTEGER NOT NULL
);
CREATE INDEX file_path ON file (path);
CREATE TABLE chunk (
	id     BLOB NOT NULL,    -- of the sealed blob
	file   INTEGER NOT NULL,
	offset INTEGER NOT NULL, -- of the plaintext in the file
	size   INTEGER NOT NULL, -- of the plaintext
	key    BLOB NOT NULL,
	tag    BLOB,             -- last bytes of the sealed blob, NULL: not known
	PRIMARY KEY (id, file)
) WITHOUT ROWID;
CREATE INDEX chunk_file ON chunk (file);
CREATE TABLE held ( -- index blobs of files, each pinned once for each file
	file INTEGER NOT NULL,
	id   BLOB NOT NULL,
	PRIMARY KEY (file, id)
) WITHOUT ROWID;
`

// row is a file.
type row struct {
	id    int64
	path  string
	stamp stamp
}

// claim says that a blob lies in a file.
type claim struct {
	file   int64
	offset int64
	size   int64 // of the plaintext
	key    codec.Key
	tag    tag
}

// tag is the authenticator at the end of a sealed blob: if sealing again gives
// the same one, the plaintext is the same. Zero: not known.
type tag [codec.Overhead]byte

func tagOf(blob []byte) (t tag) {
	if len(blob) > len(t) {
		copy(t[:], blob[len(blob)-len(t):])
	}
	return t
}

// column is t as the database has it.
func (t tag) column() []byte {
	if t == (tag{}) {
		return nil
	}
	return t[:]
}

// place is a claim with its file.
type place struct {
	claim
	row row
}

// database is the open database. Reads may come from many goroutines at once;
// writes are in the hands of whoever has the Store's writer token.
type database struct {
	db      *sql.DB
	find    *sql.Stmt
	changed atomic.Bool // since the last sync
}

var errNotOurs = errors.New("file is no list of blobs in files")

// openDatabase opens the database and returns the greatest id of a file. One
// that is damaged, or something else, is moved aside; then damage says why.
func openDatabase(ctx context.Context, path string) (d *database, last int64, damage, err error) {
	d, last, err = loadDatabase(ctx, path)
	if sqlite.IsDamaged(err) || errors.Is(err, errNotOurs) {
		damage = err
		if err = moveAside(path); err == nil {
			d, last, err = loadDatabase(ctx, path)
		}
	}
	return d, last, damage, err
}

func loadDatabase(ctx context.Context, path string) (*database, int64, error) {
	db, err := sqlite.Open(ctx, path, false)
	if err != nil {
		return nil, 0, err
	}
	db.SetMaxOpenConns(4)
	db.SetMaxIdleConns(4)
	d := &database{db: db}
	last, err := d.load(ctx)
	if err != nil {
		return nil, 0, errors.Join(err, d.close())
	}
	return d, last, nil
}

func (d *database) load(ctx context.Context) (last int64, err error) {
	var app, version, tables int
	for query, to := range map[string]*int{
		"PRAGMA application_id": &app, "PRAGMA user_version": &version, "SELECT count(*) FROM sqlite_schema": &tables,
	} {
		if err := d.db.QueryRowContext(ctx, query).Scan(to); err != nil {
			return 0, err
		}
	}
	switch {
	case app == 0 && version == 0 && tables == 0:
		make := fmt.Sprintf("BEGIN IMMEDIATE; %s PRAGMA application_id = %d; PRAGMA user_version = %d; COMMIT", schema, applicationID, schemaVersion)
		if _, err := d.db.ExecContext(ctx, make); err != nil {
			return 0, err
		}
	case app != applicationID:
		return 0, errNotOurs
	case version != schemaVersion:
		return 0, fmt.Errorf("it has version %d, this program knows %d: update aml, or move the file away and register its files again", version, schemaVersion)
	}
	if err := d.db.QueryRowContext(ctx, "SELECT coalesce(max(id), 0) FROM file").Scan(&last); err != nil {
		return 0, err
	}
	d.find, err = d.db.PrepareContext(ctx, `
SELECT c.file, c.offset, c.size, c.key, c.tag, f.path, f.size, f.mtime, f.dev, f.ino
FROM chunk c JOIN file f ON f.id = c.file WHERE c.id = ? ORDER BY c.file DESC LIMIT 8`)
	return last, err
}

func (d *database) close() error {
	var err error
	if d.find != nil {
		err = d.find.Close()
	}
	return errors.Join(err, d.db.Close())
}

// moveAside renames a damaged database, never over another.
func moveAside(path string) error {
	aside := path + ".damaged"
	for n := 1; ; n++ {
		if _, err := os.Lstat(aside); errors.Is(err, fs.ErrNotExist) {
			break
		}
		aside = fmt.Sprintf("%s.damaged-%d", path, n)
	}
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Rename(path+suffix, aside+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("moving a damaged database aside: %w", err)
		}
	}
	return nil
}

// places returns where a blob lies, the newest file first.
func (d *database) places(ctx context.Context, id blobnet.ID) (found []place, err error) {
	rows, err := d.find.QueryContext(ctx, id[:])
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var p place
		var key, last, path []byte
		var device, inode int64
		st := &p.row.stamp
		if err := rows.Scan(&p.file, &p.offset, &p.size, &key, &last, &path, &st.size, &st.mtime, &device, &inode); err != nil {
			return nil, err
		}
		if copy(p.key[:], key) != len(p.key) || p.size < 0 || p.size > codec.MaxChunkSize || p.offset < 0 {
			continue // nobody of ours wrote that
		}
		copy(p.tag[:], last)
		p.row.id, p.row.path, st.device, st.inode = p.file, string(path), uint64(device), uint64(inode)
		found = append(found, p)
	}
	return found, rows.Err()
}

// fileAt returns the file at a path; there is none if id is 0.
func (d *database) fileAt(ctx context.Context, path string) (r row, err error) {
	var device, inode int64
	err = d.db.QueryRowContext(ctx, "SELECT id, size, mtime, dev, ino FROM file WHERE path = ? ORDER BY id DESC LIMIT 1", []byte(path)).
		Scan(&r.id, &r.stamp.size, &r.stamp.mtime, &device, &inode)
	if errors.Is(err, sql.ErrNoRows) {
		return row{}, nil
	}
	r.path, r.stamp.device, r.stamp.inode = path, uint64(device), uint64(inode)
	return r, err
}

// file returns a file by its id; there is none if the path is empty.
func (d *database) file(ctx context.Context, id int64) (row, error) {
	var path []byte
	err := d.db.QueryRowContext(ctx, "SELECT path FROM file WHERE id = ?", id).Scan(&path)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return row{id: id, path: string(path)}, err
}

// filesAfter returns the next files by id.
func (d *database) filesAfter(ctx context.Context, after int64) (files []row, err error) {
	rows, err := d.db.QueryContext(ctx, "SELECT id, path, size, mtime, dev, ino FROM file WHERE id > ? ORDER BY id LIMIT ?", after, listPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r row
		var path []byte
		var device, inode int64
		if err := rows.Scan(&r.id, &path, &r.stamp.size, &r.stamp.mtime, &device, &inode); err != nil {
			return nil, err
		}
		r.path, r.stamp.device, r.stamp.inode = string(path), uint64(device), uint64(inode)
		files = append(files, r)
	}
	return files, rows.Err()
}

// chunksOf returns the next blobs, by id, that lie in a file.
func (d *database) chunksOf(ctx context.Context, file int64, after []byte) (ids []blobnet.ID, err error) {
	rows, err := d.db.QueryContext(ctx, "SELECT id FROM chunk WHERE file = ? AND id > ? ORDER BY id LIMIT ?", file, after, listPage)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		if len(id) == len(blobnet.ID{}) {
			ids = append(ids, blobnet.ID(id))
		}
	}
	return ids, rows.Err()
}

// heldFor returns the index blobs that are pinned for the files of a query.
func heldFor(ctx context.Context, tx *sql.Tx, files string, args ...any) (ids []blobnet.ID, err error) {
	rows, err := tx.QueryContext(ctx, "SELECT id FROM held WHERE file IN ("+files+")", args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var id []byte
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		if len(id) == len(blobnet.ID{}) {
			ids = append(ids, blobnet.ID(id))
		}
	}
	return ids, rows.Err()
}

// usage counts all but what lies in the files of gone, a JSON array of ids.
func (d *database) usage(ctx context.Context, gone string) (u Usage, err error) {
	if err := d.db.QueryRowContext(ctx, "SELECT count(*) FROM file WHERE id NOT IN (SELECT value FROM json_each(?))", gone).Scan(&u.Files); err != nil {
		return u, err
	}
	rows, err := d.db.QueryContext(ctx, `
SELECT c.size, count(*) FROM chunk c JOIN file f ON f.id = c.file
WHERE f.id NOT IN (SELECT value FROM json_each(?)) GROUP BY c.size`, gone)
	if err != nil {
		return u, err
	}
	defer rows.Close()
	for rows.Next() {
		var size, count int64
		if err := rows.Scan(&size, &count); err != nil {
			return u, err
		}
		u.Blobs += count
		u.Bytes += count * sealedSize(size)
	}
	return u, rows.Err()
}

func sealedSize(plain int64) int64 { return int64(codec.PaddedSize(int(plain)) + codec.Overhead) }

// write does fn in one transaction.
func (d *database) write(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := d.db.BeginTx(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	if err := tx.Commit(); err != nil {
		return err
	}
	d.changed.Store(true) // not before: a sync meanwhile would take it back
	return nil
}

// sync makes what was written survive a power loss.
func (d *database) sync(ctx context.Context) error {
	if !d.changed.Swap(false) {
		return nil
	}
	var busy, log, done int
	err := d.db.QueryRowContext(ctx, "PRAGMA wal_checkpoint(FULL)").Scan(&busy, &log, &done)
	if err == nil && busy != 0 {
		err = errors.New("somebody else reads or writes it for too long")
	}
	if err != nil {
		d.changed.Store(true)
		return fmt.Errorf("syncing the list of blobs in files: %w", err)
	}
	return nil
}
