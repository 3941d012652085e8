package diskstore

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

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

func TestManyBlobsAreSyncedWithTheirDiskAndOneByOneIfThatFails(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	if s.syncDisk == nil {
		t.Skip("this disk cannot be synced as a whole")
	}
	r := record(s)
	syncs := 0
	broken := errors.New("medium error")
	for round, fails := range []error{nil, broken} {
		s.syncDisk = func() error { syncs++; return fails }
		for n := range manyBlobs {
			put(t, s, round*manyBlobs+n, 8)
		}
		r.take()
		must(t, s.Sync(t.Context()))
		if syncs != round+1 {
			t.Errorf("round %d: the disk was synced %d times in all", round, syncs)
		}
		want := 0
		if fails != nil {
			want = manyBlobs + leaves // their names were durable, their new content is not
		}
		if got := len(r.take()); got != want {
			t.Errorf("round %d: %d files and folders were synced, want %d", round, got, want)
		}
	}
	put(t, s, -1, 8)
	must(t, s.Sync(t.Context()))
	if syncs != 2 {
		t.Error("a single blob has the whole disk synced")
	}
}

func TestPutsWaitForASyncThatDoesNotKeepUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, err := Open(Config{Dir: t.TempDir()})
		must(t, err)
		release := make(chan struct{})
		s.fsync = func(*os.File) error { <-release; return nil }
		s.unclean.Store(true) // needs no marker
		put(t, s, 0, 8)
		synced := make(chan error)
		go func() { synced <- s.Sync(context.Background()) }()
		synctest.Wait()
		s.mu.Lock()
		s.dirt.bytes = syncBytes // as if that much had been put since
		s.mu.Unlock()
		id, blob := storetest.Blob(1, 8)
		stored := make(chan error)
		go func() { stored <- s.Put(context.Background(), id, blob) }()
		synctest.Wait()
		select {
		case err := <-stored:
			t.Errorf("Put did not wait (%v)", err)
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		other, blob := storetest.Blob(2, 8)
		if err := s.Put(ctx, other, blob); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Put gives %v, want the end of its context", err)
		}
		close(release)
		must(t, <-synced)
		must(t, <-stored)
		s.unclean.Store(false)
		closeStore(t, s)
	})
}
