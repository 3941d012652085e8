package diskstore

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantRecovery(t testing.TB, s *Store, want Recovery) {
	t.Helper()
	if s.Recovery() != want {
		t.Errorf("the start did %+v, want %+v", s.Recovery(), want)
	}
}

func TestWhatTheIndexWasNotToldBeforeACrashIsAdopted(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	var ids []blobnet.ID
	for n := range 20 {
		ids = append(ids, put(t, s, n, 1000))
	}
	crash(t, s)
	s = open(t, cfg)
	wantRecovery(t, s, Recovery{Unclean: true, Adopted: 20, Verified: 20})
	wantStats(t, s, 20, 20_000, 0)
	for _, id := range ids {
		wantBlob(t, s, id)
	}
	// A start has closed the matter only when the store is closed.
	crash(t, s)
	s = open(t, cfg)
	wantRecovery(t, s, Recovery{Unclean: true, Verified: 20})
	closeStore(t, s)
	wantRecovery(t, open(t, cfg), Recovery{})
}

func TestAfterAPowerLossOnlyWhatWasNotSyncedIsRead(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	synced, torn, whole, lost := put(t, s, 1, 1000), put(t, s, 2, 1000), blobnet.ID{}, blobnet.ID{}
	must(t, s.Delete(t.Context(), torn))
	must(t, s.Sync(t.Context()))
	torn, whole, lost = put(t, s, 2, 1000), put(t, s, 3, 1000), put(t, s, 4, 1000)
	wantStats(t, s, 4, 4000, 0) // also tells the index
	unindexed := put(t, s, 5, 1000)
	must(t, s.Pin(t.Context(), torn))
	crash(t, s)
	// What a file system may do to files that were not synced, and to one that
	// was, to show that it is not looked at.
	must(t, os.Truncate(s.tree.blob(synced), 0))
	must(t, os.WriteFile(s.tree.blob(torn), make([]byte, 1000), 0o600))
	must(t, os.Remove(s.tree.blob(lost)))

	s = open(t, cfg)
	wantRecovery(t, s, Recovery{Unclean: true, Verified: 3, Corrupt: 1, Missing: 1})
	wantHas(t, s, torn, false)
	wantHas(t, s, lost, false)
	wantBlob(t, s, whole)
	wantBlob(t, s, unindexed)
	wantStats(t, s, 3, 3000, 0)
	put(t, s, 2, 1000)
	wantStats(t, s, 4, 4000, 1) // the pin held
	if _, err := s.Get(t.Context(), synced, nil); !errors.Is(err, blobnet.ErrCorrupt) {
		t.Errorf("Get gives %v, want ErrCorrupt", err)
	}
}

func TestLeftoversOfPutsAreRemovedAndFilesOfOthersAreNot(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	id := put(t, s, 1, 1000)
	crash(t, s)
	must(t, os.WriteFile(s.tree.blob(id)+part, []byte("half a blob"), 0o600))
	must(t, os.MkdirAll(s.tree.leaf(0xab), 0o700))
	misplaced := filepath.Join(s.tree.leaf(0xab), id.String())
	foreign := filepath.Join(s.tree.leaf(0xab), "notes.txt")
	similar := filepath.Join(s.tree.leaf(0xab), "abcd"+part)
	outside := filepath.Join(cfg.Dir, "ABC")
	for _, path := range []string{misplaced, foreign, similar, outside} {
		must(t, os.WriteFile(path, []byte("somebody's"), 0o600))
	}
	s = open(t, cfg)
	wantStats(t, s, 1, 1000, 0)
	if _, err := os.Lstat(s.tree.blob(id) + part); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the half-written file is there (%v)", err)
	}
	for _, path := range []string{misplaced, foreign, similar, outside} {
		if _, err := os.Lstat(path); err != nil {
			t.Error(err)
		}
	}
}

func TestALostIndexIsMadeAnewFromTheFiles(t *testing.T) {
	for name, lose := range map[string]func(path string) error{
		"removed":       os.Remove,
		"another file":  func(path string) error { return os.WriteFile(path, make([]byte, 10_000), 0o600) },
		"a cut file":    func(path string) error { return os.Truncate(path, 5000) },
		"an empty file": func(path string) error { return os.Truncate(path, 0) },
	} {
		for _, clean := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				cfg := Config{Dir: t.TempDir()}
				s := open(t, cfg)
				var ids []blobnet.ID
				for n := range 200 {
					ids = append(ids, put(t, s, n, 100))
				}
				must(t, s.Pin(t.Context(), ids[0]))
				closeStore(t, s)
				if !clean {
					s = open(t, cfg)
					ids = append(ids, put(t, s, 200, 100))
					crash(t, s)
				}
				must(t, lose(s.tree.index()))
				s = open(t, cfg)
				want := Recovery{Unclean: !clean, Rebuilt: true, Adopted: len(ids)}
				if !clean {
					want.Verified = len(ids)
				}
				wantRecovery(t, s, want)
				wantStats(t, s, int64(len(ids)), int64(len(ids))*100, 0)
				for _, id := range ids {
					wantBlob(t, s, id)
				}
				closeStore(t, s)
				wantRecovery(t, open(t, cfg), Recovery{})
			})
		}
	}
}

func TestACrashWhileTheIndexIsMadeAnewIsNoCleanStart(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	put(t, s, 1, 100)
	closeStore(t, s)
	must(t, os.Remove(s.tree.index()))
	idx, err := openIndex(t.Context(), s.tree.index()) // and no further
	must(t, err)
	must(t, idx.close())
	s = open(t, cfg)
	wantRecovery(t, s, Recovery{Rebuilt: true, Adopted: 1})
	wantStats(t, s, 1, 100, 0)
}

func TestAnIndexOfANewerVersionIsLeftAlone(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	id := put(t, s, 1, 100)
	must(t, s.Pin(t.Context(), id))
	idx := <-s.index
	_, err := idx.conn.ExecContext(t.Context(), "PRAGMA user_version = 4")
	must(t, err)
	s.index <- idx
	closeStore(t, s)
	if _, err := Open(cfg); err == nil {
		t.Fatal("Open gives no error")
	}
	if _, err := os.Lstat(s.tree.index()); err != nil {
		t.Error(err)
	}
}

func TestManyBlobsAreReconciledInBatches(t *testing.T) {
	if testing.Short() {
		t.Skip("makes some thousand files")
	}
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	const count = suspectsAtOnce + 500
	for n := range count {
		put(t, s, n, 8)
	}
	crash(t, s)
	s = open(t, cfg)
	if r := s.Recovery(); r.Verified != count || r.Corrupt+r.Missing != 0 {
		t.Errorf("the start did %+v, want %d verified", r, count)
	}
	wantStats(t, s, count, 8*count, 0)
	s.fsync = func(*os.File) error { return nil } // closing durably is not the point here
}
