package inplace_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

func TestAFileThatComesBackIsServedAgain(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	db, path := filepath.Join(dir, "db"), filepath.Join(folder, "f")
	s, told := open(t, memstore.New(memstore.Config{}), db)
	_, refs := register(t, s, path, content(3*codec.MinChunkSize, 1))
	gone := func(s *inplace.Store) {
		t.Helper()
		if n := count(t, s, refs); n != 0 {
			t.Errorf("%d blobs of a file that is not there", n)
		}
		if has, err := s.Has(t.Context(), refs[0].ID, refs[1].ID); err != nil || has[0] || has[1] {
			t.Errorf("%v, %v", has, err)
		}
	}
	for range 2 {
		if err := os.Rename(folder, folder+"2"); err != nil {
			t.Fatal(err)
		}
		gone(s)
		gone(s)
		wantEvents(t, told, "vanished f")
		if err := os.Rename(folder+"2", folder); err != nil {
			t.Fatal(err)
		}
		if n := count(t, s, refs); n != 3 {
			t.Errorf("%d blobs of a file that is back", n)
		}
	}
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	gone(s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, _ = open(t, memstore.New(memstore.Config{}), db)
	gone(s)
	if err := os.Rename(path+"2", path); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, refs); n != 3 {
		t.Errorf("%d blobs after a restart", n)
	}
	// Another content there is noticed and forgotten.
	if err := errors.Join(os.Rename(path, path+"2"), os.WriteFile(path, content(3*codec.MinChunkSize, 2), 0o644)); err != nil {
		t.Fatal(err)
	}
	count(t, s, refs)
	if err := os.Rename(path+"2", path); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, refs); n != 0 {
		t.Errorf("%d blobs that were forgotten", n)
	}
}
