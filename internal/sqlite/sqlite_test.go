package sqlite

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"
)

func open(t *testing.T, path string, durable bool) *sql.DB {
	t.Helper()
	db, err := Open(t.Context(), path, durable)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

func TestEveryConnectionOfThePoolHasTheSamePragmas(t *testing.T) {
	for _, durable := range []bool{false, true} {
		db := open(t, filepath.Join(t.TempDir(), "x.db"), durable)
		want := map[string]string{"journal_mode": "wal", "synchronous": "1", "foreign_keys": "1", "busy_timeout": "10000"}
		if durable {
			want["synchronous"] = "2"
		}
		var conns []*sql.Conn
		for range 3 {
			c, err := db.Conn(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			for pragma, value := range want {
				var got string
				if err := c.QueryRowContext(t.Context(), "PRAGMA "+pragma).Scan(&got); err != nil {
					t.Fatal(err)
				}
				if got != value {
					t.Errorf("durable %v: %s is %s, want %s", durable, pragma, got, value)
				}
			}
		}
		for _, c := range conns {
			c.Close()
		}
	}
}

func TestFilesAreReadableByTheirOwnerAlone(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no file modes on Windows")
	}
	dir := t.TempDir()
	db := open(t, filepath.Join(dir, "x.db"), true)
	if _, err := db.Exec("CREATE TABLE t (a)"); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 2 {
		t.Errorf("%d files, want the database and its WAL", len(entries))
	}
	for _, e := range entries {
		if fi, err := e.Info(); err != nil || fi.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v), want 0600", e.Name(), fi.Mode(), err)
		}
	}
}

func TestPathsWithCharactersOfURIsAreTakenAsTheyAre(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b%41?mode=memory#x")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(dir, "x?.db")
	db := open(t, path, true)
	if _, err := db.Exec("CREATE TABLE t (a)"); err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(path + "-wal"); err != nil || fi.Size() == 0 {
		t.Errorf("the database was written somewhere else: %v", err)
	}
}

func TestAFileThatIsNoDatabaseIsToldApart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	if err := os.WriteFile(path, []byte("this is a text, and it is long enough to hold what SQLite would have as a header: 100 bytes, and a bit more"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(t.Context(), path, true)
	if !IsDamaged(err) || IsFull(err) {
		t.Errorf("got %v, want an error of a damaged file", err)
	}
	if _, err := Open(t.Context(), filepath.Join(t.TempDir(), "no", "folder"), true); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want a missing folder", err)
	}
}

func TestAFullDatabaseIsToldApart(t *testing.T) {
	db := open(t, filepath.Join(t.TempDir(), "x.db"), false)
	db.SetMaxOpenConns(1)
	if _, err := db.Exec("CREATE TABLE t (a); PRAGMA max_page_count = 10"); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO t VALUES (zeroblob(1000000))"); !IsFull(err) {
		t.Errorf("got %v, want an error of a full file", err)
	}
}

func TestTheFileOfAnotherProgramIsLeftAsItIs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "db")
	db := open(t, path, false)
	if err := Prepare(t.Context(), db, 1, "CREATE TABLE IF NOT EXISTS a (x);"); err != nil {
		t.Fatal(err)
	}
	if err := Prepare(t.Context(), db, 1, "CREATE TABLE IF NOT EXISTS a (x);"); err != nil {
		t.Errorf("again: %v", err)
	}
	if err := Prepare(t.Context(), db, 2, "CREATE TABLE b (x);"); !errors.Is(err, ErrForeign) {
		t.Errorf("another's: %v", err)
	}
	var tables int
	if err := db.QueryRow("SELECT count(*) FROM sqlite_schema").Scan(&tables); err != nil || tables != 1 {
		t.Errorf("%d tables, %v", tables, err)
	}
}
