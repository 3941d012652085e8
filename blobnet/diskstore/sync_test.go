package diskstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

// recorder notes what is synced, and can make it fail.
type recorder struct {
	mu    sync.Mutex
	paths map[string]int
	fail  func(path string) error
}

func record(s *Store) *recorder {
	r := &recorder{paths: make(map[string]int)}
	s.fsync = func(f *os.File) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.fail != nil {
			if err := r.fail(f.Name()); err != nil {
				return err
			}
		}
		r.paths[f.Name()]++
		return nil
	}
	return r
}

func (r *recorder) take() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	paths := r.paths
	r.paths = make(map[string]int)
	return paths
}

func TestSyncReachesTheFileAndEveryFolderThatNamesIt(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	r := record(s)
	id := put(t, s, 1, 1000)
	r.take() // the marker
	must(t, s.Sync(t.Context()))
	got := r.take()
	leafDir := filepath.Dir(s.tree.blob(id))
	for _, path := range []string{s.tree.blob(id), leafDir, s.cfg.Dir} {
		if got[path] != 1 {
			t.Errorf("%s was synced %d times, want once", path, got[path])
		}
		delete(got, path)
	}
	if len(got) != 0 {
		t.Errorf("also synced: %v", got)
	}
	must(t, s.Sync(t.Context()))
	if got := r.take(); len(got) != 0 {
		t.Errorf("with nothing new, synced: %v", got)
	}
	must(t, s.Delete(t.Context(), id))
	must(t, s.Sync(t.Context()))
	if got := r.take(); len(got) != 1 || got[leafDir] != 1 {
		t.Errorf("after a Delete, synced: %v", got)
	}
	put(t, s, 1, 1000)
	must(t, s.Sync(t.Context()))
	if got := r.take(); len(got) != 2 || got[leafDir] != 1 || got[s.tree.blob(id)] != 1 {
		t.Errorf("in a folder known to be durable, synced: %v", got)
	}
}

func TestAFileThatCannotBeSyncedIsWrittenAgain(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	r := record(s)
	id := put(t, s, 1, 1000)
	before, err := os.Lstat(s.tree.blob(id))
	must(t, err)
	broken := errors.New("medium error")
	r.fail = func(path string) error {
		if path == s.tree.blob(id) {
			return broken
		}
		return nil
	}
	must(t, s.Sync(t.Context()))
	after, err := os.Lstat(s.tree.blob(id))
	must(t, err)
	if os.SameFile(before, after) {
		t.Error("it is the same file")
	}
	wantBlob(t, s, id)
	wantStats(t, s, 1, 1000, 0)
}

func TestASyncThatFailsSaysSoAndIsDoneAgain(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	r := record(s)
	first := put(t, s, 1, 1000)
	broken := errors.New("medium error")
	for _, end := range []string{first.String(), filepath.Base(filepath.Dir(s.tree.blob(first)))} {
		r.fail = func(path string) error {
			if strings.HasSuffix(path, end) || strings.HasSuffix(path, part) {
				return broken
			}
			return nil
		}
		if err := s.Sync(t.Context()); !errors.Is(err, broken) {
			t.Errorf("Sync gives %v, want the error of the disk", err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r.fail = nil
	if err := s.Sync(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Sync gives %v, want context.Canceled", err)
	}
	second := put(t, s, 2, 1000)
	r.take()
	must(t, s.Sync(t.Context()))
	got := r.take()
	for _, id := range []blobnet.ID{first, second} {
		if got[s.tree.blob(id)] != 1 {
			t.Errorf("%s was synced %d times, want once", id.Short(), got[s.tree.blob(id)])
		}
	}
}

func TestAStoreWhoseDiskFailsStaysMarked(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	r := record(s)
	put(t, s, 1, 1000)
	broken := errors.New("medium error")
	r.fail = func(string) error { return broken }
	if err := s.Close(); !errors.Is(err, broken) {
		t.Errorf("Close gives %v, want the error of the disk", err)
	}
	s = open(t, cfg)
	if !s.Recovery().Unclean {
		t.Error("the next start trusts what was not synced")
	}
	wantStats(t, s, 1, 1000, 0)
}

func TestUnsyncedWorkIsBounded(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	record(s)
	// As if most of the bound had been put already.
	s.mu.Lock()
	s.dirt.bytes = syncBytes - 1000
	s.mu.Unlock()
	put(t, s, 1, 500)
	put(t, s, 2, 500) // wakes the worker
	s.mu.Lock()
	s.closing = true // lets nothing in, so that the worker can be waited for
	s.mu.Unlock()
	s.ops.Wait()
	s.mu.Lock()
	s.closing = false
	left := s.dirt.bytes
	s.mu.Unlock()
	if left != 0 {
		t.Errorf("%d bytes are not synced", left)
	}
}

func TestSyncWhilePutsGoOn(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), MaxSize: 400_000})
	record(s)
	t.Run("workers", func(t *testing.T) {
		for w := range 6 {
			t.Run("", func(t *testing.T) {
				t.Parallel()
				for n := range 100 {
					id, blob := storetest.Blob(w<<20|n, 1000)
					if err := s.Put(t.Context(), id, blob); err != nil {
						t.Error(err)
					}
					var err error
					switch n % 25 {
					case 3:
						err = s.Sync(t.Context())
					case 8:
						err = s.Delete(t.Context(), id)
					case 15:
						err = s.Pin(t.Context(), id)
					}
					if err != nil {
						t.Error(err)
					}
				}
			})
		}
	})
	must(t, s.Sync(t.Context()))
	idx := <-s.index
	before := idx.totals
	must(t, idx.recount())
	if before != idx.totals {
		t.Errorf("the sums are %+v, the rows say %+v", before, idx.totals)
	}
	s.index <- idx
}
