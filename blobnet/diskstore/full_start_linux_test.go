package diskstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
	"github.com/anonymous-media-library/aml/internal/disk"
)

// fillUp leaves no byte free on the disk of dir.
func fillUp(t *testing.T, dir string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	must(t, err)
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	if !disk.IsFull(err) {
		t.Fatal(err)
	}
	must(t, f.Close())
}

// wantUsable fails unless the store of blobs 0 to count-1, of 100,000 bytes
// each, serves them all on its full disk, says that it is full, and makes room.
func wantUsable(t *testing.T, s *Store, count int) {
	t.Helper()
	seen := 0
	must(t, s.List(t.Context(), func(blobnet.Info) error { seen++; return nil }))
	if seen > count {
		t.Errorf("%d blobs are listed, want %d at most", seen, count)
	}
	for n := range count {
		id, _ := storetest.Blob(n, 100_000)
		wantBlob(t, s, id)
	}
	id, blob := storetest.Blob(count, 100_000)
	if err := s.Put(t.Context(), id, blob); !errors.Is(err, blobnet.ErrFull) {
		t.Errorf("a Put gives %v, want ErrFull", err)
	}
	if !s.ServeOnly() {
		t.Error("the store does not say that it is serve-only")
	}
	res, err := s.GC(t.Context(), GCConfig{})
	if err != nil || res.Blobs == 0 {
		t.Errorf("a GC made %+v (%v)", res, err)
	}
	must(t, s.Put(t.Context(), id, blob))
	wantBlob(t, s, id)
}

func TestAStoreOpensOnADiskWithoutAByteOfRoom(t *testing.T) {
	small := smallDisk(t, "8m")
	cfg := Config{Dir: filepath.Join(small, "blobs"), MinFree: -1}
	s, err := Open(cfg)
	must(t, err)
	for n := range 20 {
		put(t, s, n, 100_000)
	}
	must(t, s.Close())
	fillUp(t, small)

	var events []EventKind
	cfg.OnEvent = func(e Event) { events = append(events, e.Kind) }
	s = open(t, cfg)
	if len(events) != 1 || events[0] != EventServeOnly {
		t.Errorf("Open told of %v, want that the store is serve-only", events)
	}
	if !s.ServeOnly() {
		t.Error("the store is not serve-only from the start")
	}
	wantStats(t, s, 20, 20*100_000, 0)
	wantUsable(t, s, 20)
}

// A process is killed when the disk is full, and cannot write down at the next
// start what the last one left behind.
func TestAStoreThatWasKilledOpensOnADiskWithoutAByteOfRoom(t *testing.T) {
	small := smallDisk(t, "8m")
	old := open(t, Config{Dir: t.TempDir(), MinFree: -1})
	for n := range 10 {
		put(t, old, n, 100_000)
	}
	must(t, old.Sync(t.Context()))
	for n := 10; n < 20; n++ {
		put(t, old, n, 100_000) // the index does not know them
	}
	gone, _ := storetest.Blob(3, 100_000)
	cfg := Config{Dir: filepath.Join(small, "blobs"), MinFree: -1}
	must(t, os.CopyFS(cfg.Dir, os.DirFS(old.cfg.Dir)))
	must(t, os.WriteFile(filepath.Join(cfg.Dir, "lock"), nil, 0o600))
	must(t, os.Remove(tree{root: cfg.Dir}.blob(gone)))
	fillUp(t, small)

	s, err := Open(cfg)
	must(t, err)
	wantHas(t, s, gone, false)
	if err := s.Close(); err != nil && !isFull(err) && !disk.IsFull(err) {
		t.Fatal(err)
	}
	// As often as need be: nothing is forgotten until it is written down.
	s = open(t, cfg)
	if r := s.Recovery(); !r.Unclean || r.Adopted != 10 || r.Missing != 1 || r.Corrupt != 0 {
		t.Errorf("recovery is %+v", r)
	}
	wantHas(t, s, gone, false)
	id, blob := storetest.Blob(3, 100_000)
	if err := s.Put(t.Context(), id, blob); !errors.Is(err, blobnet.ErrFull) {
		t.Errorf("a Put gives %v, want ErrFull", err)
	}
	must(t, os.Remove(filepath.Join(small, "ballast")))
	must(t, s.SetLimits(t.Context(), s.Limits())) // the disk is tried again at once
	must(t, s.Put(t.Context(), id, blob))
	wantStats(t, s, 20, 20*100_000, 0)
	fillUp(t, small)
	wantUsable(t, s, 20)
}
