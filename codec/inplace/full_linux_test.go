package inplace_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/smalldisk"
)

func TestOnAFullDiskFilesComeAndGoAllTheSame(t *testing.T) {
	home := smalldisk.Mount(t, t.TempDir(), "2m")
	dir := t.TempDir()
	s, _ := open(t, memstore.New(memstore.Config{}), filepath.Join(home, "inplace.db"))
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	_, old := register(t, s, a, content(10*codec.MinChunkSize, 1))
	_, other := register(t, s, b, content(10*codec.MinChunkSize, 2))
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	ballast, err := os.Create(filepath.Join(home, "ballast"))
	for err == nil {
		_, err = ballast.Write(make([]byte, 4096))
	}
	if err := ballast.Close(); err != nil {
		t.Fatal(err)
	}
	_, refs := register(t, s, a, content(500*codec.MinChunkSize, 3)) // in its place
	if err := os.Remove(b); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, refs); n != 500 {
		t.Errorf("%d of 500 are served", n)
	}
	if n := count(t, s, append(old, other...)); n != 0 {
		t.Errorf("%d that are gone are served", n)
	}
	if err := s.Sync(t.Context()); !errors.Is(err, blobnet.ErrFull) {
		t.Errorf("a sync gives %v, want ErrFull", err)
	}
	if n := listed(t, s); n < 500 {
		t.Errorf("%d are listed", n)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Blobs < 500 {
		t.Errorf("%+v, %v", u, err)
	}
	if err := os.Remove(ballast.Name()); err != nil {
		t.Fatal(err)
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Error(err)
	}
	if n := count(t, s, append(old, other...)); n != 0 { // what could not be forgotten is
		t.Errorf("%d that are gone are served", n)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Files != 1 || u.Blobs != 500 {
		t.Errorf("%+v, %v", u, err)
	}
	if n := count(t, s, refs); n != 500 {
		t.Errorf("%d of 500 are served", n)
	}
}
