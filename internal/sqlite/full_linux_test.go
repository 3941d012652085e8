package sqlite

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/internal/smalldisk"
)

func TestADatabaseOnADiskWithoutAByteOfRoomCanBeRead(t *testing.T) {
	dir := smalldisk.Mount(t, t.TempDir(), "2m")
	path := filepath.Join(dir, "x.db")
	db, err := Open(t.Context(), path, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("CREATE TABLE t (a); INSERT INTO t VALUES (7)"); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}

	db = open(t, path, true)
	for range 3 { // connections at a time
		c, err := db.Conn(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		var got int
		if err := c.QueryRowContext(t.Context(), "SELECT a FROM t").Scan(&got); err != nil || got != 7 {
			t.Errorf("read %d (%v), want 7", got, err)
		}
	}
	large := bytes.Repeat([]byte("x"), 1<<20)
	if _, err := db.Exec("INSERT INTO t VALUES (?)", large); !IsFull(err) {
		t.Errorf("a write gives %v, want an error of a full disk", err)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("INSERT INTO t VALUES (?)", large[:1<<18]); err != nil {
		t.Errorf("with room made a write gives %v", err)
	}
}
