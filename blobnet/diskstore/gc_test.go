package diskstore

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

func TestGCDeletesWhatWasUsedLongestAgoDownToItsTarget(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	var ids []blobnet.ID
	for n := range 10 {
		ids = append(ids, put(t, s, n, 1000))
	}
	must(t, s.Pin(t.Context(), ids[0], ids[1]))
	wantBlob(t, s, ids[2])
	for _, dry := range []bool{true, false} {
		res, err := s.GC(t.Context(), GCConfig{DryRun: dry, Target: 5500})
		if err != nil || res.Blobs != 5 || res.Bytes != 5000 || res.Left != 5 || res.LeftBytes != 5000 {
			t.Errorf("GC (dry run %v) did %+v (%v), want 5 blobs", dry, res, err)
		}
		for i, id := range ids {
			wantHas(t, s, id, dry || i <= 2 || i >= 8)
		}
	}
	res, err := s.GC(t.Context(), GCConfig{})
	if err != nil || res.Blobs != 3 || res.Left != 2 {
		t.Errorf("GC of everything did %+v (%v)", res, err)
	}
	wantStats(t, s, 2, 2000, 2)
	put(t, s, 5, 1000)
	must(t, s.Sync(t.Context()))
	wantBlob(t, s, ids[5])
	if res, err := s.GC(t.Context(), GCConfig{Target: -1}); err != nil || res.Blobs != 0 {
		t.Errorf("GC of leftovers did %+v (%v)", res, err)
	}
}

func TestGCRemovesLeftoversAndNothingOfOthers(t *testing.T) {
	now := time.Now()
	s := open(t, Config{Dir: t.TempDir(), Now: func() time.Time { return now }})
	kept, bad, gone := put(t, s, 1, 1000), put(t, s, 2, 1000), put(t, s, 3, 1000)
	flip(t, s, bad)
	_, err := s.Get(t.Context(), bad, nil)
	if err == nil {
		t.Fatal("Get of a rotten blob gives no error")
	}
	leftover := s.tree.blob(kept) + part
	must(t, os.WriteFile(leftover, []byte("half"), 0o600))
	busy := s.tree.blob(gone) + part
	must(t, os.WriteFile(busy, []byte("half"), 0o600))
	must(t, s.claims.take(t.Context(), gone))
	foreign := filepath.Join(s.tree.leaf(leaf(kept)), "notes.part")
	must(t, os.WriteFile(foreign, []byte("somebody's"), 0o600))

	before := files(t, s.cfg.Dir)
	want := GCResult{Leftovers: 2, Left: 2, LeftBytes: 2000} // a file, and the folder of the rotten blob
	for _, cfg := range []GCConfig{{DryRun: true, Target: -1}, {Target: -1}} {
		res, err := s.GC(t.Context(), cfg)
		res.IndexBefore, res.IndexSize = 0, 0
		if err != nil || res != want {
			t.Errorf("GC did %+v (%v), want %+v", res, err, want)
		}
	}
	if after := files(t, s.cfg.Dir); after != before-1 {
		t.Errorf("%d files before, %d after, want one less", before, after)
	}
	s.claims.drop(gone)
	must(t, os.Remove(busy))
	now = now.Add(8 * 24 * time.Hour)
	res, err := s.GC(t.Context(), GCConfig{Target: -1})
	if err != nil || res.Quarantined != 1 || res.BadBytes != 1000 || files(t, s.tree.quarantine()) != 0 {
		t.Errorf("GC did %+v (%v), want the file in quarantine gone", res, err)
	}
	wantBlob(t, s, kept)
	if _, err := os.Lstat(foreign); err != nil {
		t.Error(err)
	}
}

func TestGCMakesTheIndexSmall(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	s.fsync = func(*os.File) error { return nil }
	for n := range 3000 {
		put(t, s, n, 8)
	}
	res, err := s.GC(t.Context(), GCConfig{})
	if err != nil || res.Blobs != 3000 || res.IndexSize*4 > res.IndexBefore {
		t.Errorf("GC did %+v (%v), want a small index", res, err)
	}
	put(t, s, 1, 1000)
	wantStats(t, s, 1, 1000, 0)
}
