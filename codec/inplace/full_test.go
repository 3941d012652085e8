package inplace_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

// fullInner is a store on a disk that may be full.
type fullInner struct {
	inplace.Inner
	full atomic.Bool
}

func (f *fullInner) Pin(ctx context.Context, ids ...blobnet.ID) error {
	if f.full.Load() {
		return fmt.Errorf("pinning blobs: %w", blobnet.ErrFull)
	}
	return f.Inner.Pin(ctx, ids...)
}

func listed(t *testing.T, s *inplace.Store) int {
	t.Helper()
	n := 0
	var last blobnet.ID
	if err := s.List(t.Context(), func(i blobnet.Info) error {
		if n++; i.ID.Compare(last) <= 0 || i.Size == 0 {
			t.Errorf("%s with %d bytes after %s", i.ID.Short(), i.Size, last.Short())
		}
		last = i.ID
		return nil
	}); err != nil {
		t.Error(err)
	}
	return n
}

func TestOnAFullDiskWhatLiesInFilesIsCountedAndListedAllTheSame(t *testing.T) {
	dir := t.TempDir()
	inner := &fullInner{Inner: memstore.New(memstore.Config{})}
	s, _ := open(t, inner, filepath.Join(dir, "inplace.db"))
	check := func(files, blobs, list int) {
		t.Helper()
		if u, err := s.Usage(t.Context()); err != nil || u.Files != int64(files) || u.Blobs != int64(blobs) {
			t.Errorf("%+v, %v; want %d files, %d blobs", u, err, files, blobs)
		}
		if n := listed(t, s); n != list {
			t.Errorf("%d are listed, want %d", n, list)
		}
	}
	hold := func(name string, index blobnet.ID) {
		t.Helper()
		path := filepath.Join(dir, name)
		f, err := s.Begin(t.Context(), path, false)
		if err != nil {
			t.Fatal(err)
		}
		f.Hold(index)
		if err := f.Done(t.Context(), path, false); err != nil {
			t.Fatal(err)
		}
	}
	register(t, s, filepath.Join(dir, "a"), content(1500*codec.MinChunkSize, 1)) // more than a page
	check(1, 1500, 1503)

	inner.full.Store(true)
	file, refs := register(t, s, filepath.Join(dir, "b"), content(10*codec.MinChunkSize, 2))
	hold("b", file.Root.ID)
	hold("a", file.Root.ID) // known already
	check(2, 1510, 1514)
	if n := count(t, s, refs); n != 10 {
		t.Errorf("%d of 10 are served", n)
	}
	if err := s.Sync(t.Context()); !errors.Is(err, blobnet.ErrFull) {
		t.Errorf("a sync gives %v, want ErrFull", err)
	}

	inner.full.Store(false)
	if err := s.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	check(2, 1510, 1514)
}
