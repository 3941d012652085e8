package inplace_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
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

func TestWhatIsGoneIsForgottenUnlessItIsPinned(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	s, _ := open(t, memstore.New(memstore.Config{}), filepath.Join(dir, "db"))
	_, refs := register(t, s, path, content(3*codec.MinChunkSize, 1))
	last, is := refs[2].ID, true
	pinned := func(_ context.Context, ids ...blobnet.ID) ([]bool, error) {
		out := make([]bool, len(ids))
		for i, id := range ids {
			out[i] = is && id == last
		}
		return out, nil
	}
	forgets := func(dry bool, want int64) {
		t.Helper()
		if n, err := s.ForgetGone(t.Context(), dry, pinned); err != nil || n != want {
			t.Errorf("%d files, %v; want %d", n, err, want)
		}
	}
	if paths, err := s.Paths(t.Context(), last); err != nil || len(paths) != 1 || paths[0] != path {
		t.Errorf("it lies in %v, %v", paths, err)
	}
	is = false
	forgets(false, 0) // it is there
	if err := os.Rename(path, path+"2"); err != nil {
		t.Fatal(err)
	}
	is = true
	forgets(false, 0)
	is = false
	forgets(true, 1)
	forgets(false, 1)
	forgets(false, 0)
	if err := os.Rename(path+"2", path); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, refs); n != 0 {
		t.Errorf("%d blobs that were forgotten", n)
	}
}
