package diskstore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

// TestMain lets the test binary be the child process that a test kills.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		child(dir)
	}
	if dir := os.Getenv(millionVariable); dir != "" {
		fillMillion(dir)
	}
	os.Exit(m.Run())
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t *testing.T, maxSize int64) blobnet.Store {
		return open(t, Config{Dir: t.TempDir(), MaxSize: maxSize})
	})
}

// open opens a store that is closed when the test ends, unless it was before.
func open(t testing.TB, cfg Config) *Store {
	t.Helper()
	s, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !s.closing {
			closeStore(t, s)
		}
	})
	return s
}

func closeStore(t testing.TB, s *Store) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// crash ends a store as the death of its process would, but leaves this one
// alive: nothing is flushed, and the marker stays.
func crash(t testing.TB, s *Store) {
	t.Helper()
	s.mu.Lock()
	s.closing = true
	s.mu.Unlock()
	s.ops.Wait()
	if err := errors.Join((<-s.index).close(), s.closeDisk(), s.lock.Unlock()); err != nil {
		t.Fatal(err)
	}
}

func put(t testing.TB, s *Store, n, size int) blobnet.ID {
	t.Helper()
	id, blob := storetest.Blob(n, size)
	if err := s.Put(t.Context(), id, blob); err != nil {
		t.Fatal(err)
	}
	return id
}

func wantHas(t testing.TB, s *Store, id blobnet.ID, want bool) {
	t.Helper()
	have, err := s.Has(t.Context(), id)
	if err != nil || have[0] != want {
		t.Errorf("Has(%s) is %v (%v), want %v", id.Short(), have, err, want)
	}
}

func wantBlob(t testing.TB, s *Store, id blobnet.ID) {
	t.Helper()
	if _, err := s.Get(t.Context(), id, nil); err != nil {
		t.Error(err)
	}
}

func wantStats(t testing.TB, s *Store, count, size, pinned int64) {
	t.Helper()
	got, err := s.Stats(t.Context())
	if err != nil || got.BlobCount != count || got.CurrentSize != size || got.Pinned != pinned {
		t.Errorf("stats are %+v (%v), want %d blobs, %d bytes, %d pinned", got, err, count, size, pinned)
	}
}

// files counts the regular files below dir.
func files(t testing.TB, dir string) (n int) {
	t.Helper()
	if err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			n++
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return n
}

// wantNoParts looks for half-written files.
func wantNoParts(t testing.TB, s *Store) {
	t.Helper()
	if left, err := filepath.Glob(filepath.Join(s.cfg.Dir, "*", "*"+part)); err != nil || len(left) != 0 {
		t.Errorf("half-written files are left: %v (%v)", left, err)
	}
}

func TestBlobsPinsAndOrderOfUseSurviveClosing(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), MaxSize: 5000}
	s := open(t, cfg)
	ids := []blobnet.ID{put(t, s, 0, 1000), put(t, s, 1, 1000), put(t, s, 2, 1000), put(t, s, 3, 1000)}
	if err := s.Pin(t.Context(), ids[0]); err != nil {
		t.Fatal(err)
	}
	wantBlob(t, s, ids[1])
	closeStore(t, s)
	if _, err := os.Lstat(s.tree.marker()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the marker of unfinished work is there after Close (%v)", err)
	}

	s = open(t, cfg)
	if s.Recovery() != (Recovery{}) {
		t.Errorf("a clean start did %+v", s.Recovery())
	}
	wantStats(t, s, 4, 4000, 1)
	put(t, s, 4, 1000)
	put(t, s, 5, 1000)
	put(t, s, 6, 1000)
	for i, want := range []bool{true, true, false, false} { // pinned, used last, and the two oldest
		wantHas(t, s, ids[i], want)
	}
}

func TestTheOrderOfUseHoldsWhenTheClockIsSetBack(t *testing.T) {
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	s := open(t, Config{Dir: t.TempDir(), MaxSize: 3000, Now: func() time.Time { now = now.Add(-time.Hour); return now }})
	ids := []blobnet.ID{put(t, s, 0, 1000), put(t, s, 1, 1000), put(t, s, 2, 1000)}
	wantBlob(t, s, ids[0])
	put(t, s, 3, 1000)
	for i, want := range []bool{true, false, true} {
		wantHas(t, s, ids[i], want)
	}
}

func TestASecondOpenerIsRefused(t *testing.T) {
	cfg := Config{Dir: t.TempDir()}
	s := open(t, cfg)
	id := put(t, s, 1, 100)
	_, err := Open(cfg)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), cfg.Dir) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) {
		t.Errorf("got %v, want ErrLocked with the folder and the process id", err)
	}
	wantBlob(t, s, id)
	closeStore(t, s)
	wantBlob(t, open(t, cfg), id)
}

func TestAfterCloseEverythingIsRefused(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	id := put(t, s, 1, 100)
	_, blob := storetest.Blob(1, 100)
	closeStore(t, s)
	ctx := t.Context()
	for name, fn := range map[string]func() error{
		"Put":    func() error { return s.Put(ctx, id, blob) },
		"Get":    func() error { _, err := s.Get(ctx, id, nil); return err },
		"Has":    func() error { _, err := s.Has(ctx, id); return err },
		"Delete": func() error { return s.Delete(ctx, id) },
		"List":   func() error { return s.List(ctx, func(blobnet.Info) error { return nil }) },
		"Pin":    func() error { return s.Pin(ctx, id) },
		"Unpin":  func() error { return s.Unpin(ctx, id) },
		"Stats":  func() error { _, err := s.Stats(ctx); return err },
		"Sync":   func() error { return s.Sync(ctx) },
		"Close":  s.Close,
	} {
		if err := fn(); !errors.Is(err, blobnet.ErrClosed) {
			t.Errorf("%s gives %v, want ErrClosed", name, err)
		}
	}
}

func TestBadConfigsAreRefused(t *testing.T) {
	for _, cfg := range []Config{{}, {Dir: t.TempDir(), MaxSize: -1}, {Dir: filepath.Join(os.DevNull, "x")}} {
		if s, err := Open(cfg); err == nil {
			t.Errorf("Open(%+v) gives no error", cfg)
			closeStore(t, s)
		}
	}
}

func TestNothingIsReadableByOthers(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	s := open(t, Config{Dir: dir})
	put(t, s, 1, 100)
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if fi, err := d.Info(); err != nil || fi.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v (%v)", path, fi.Mode(), err)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestBytesThatChangeAtRestAreFoundAndCanBePutAgain(t *testing.T) {
	for name, damage := range map[string]func(path string) error{
		"a flipped bit": func(path string) error {
			blob, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			blob[len(blob)/2] ^= 1
			return os.WriteFile(path, blob, 0o600)
		},
		"cut":      func(path string) error { return os.Truncate(path, 999) },
		"emptied":  func(path string) error { return os.Truncate(path, 0) },
		"extended": func(path string) error { return os.Truncate(path, 1001) },
		"huge":     func(path string) error { return os.Truncate(path, 1<<40) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, Config{Dir: t.TempDir()})
			id, other := put(t, s, 1, 1000), put(t, s, 2, 1000)
			if err := s.Pin(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			if err := damage(s.tree.blob(id)); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Get(t.Context(), id, nil); !errors.Is(err, blobnet.ErrCorrupt) {
				t.Errorf("Get gives %v, want ErrCorrupt", err)
			}
			wantHas(t, s, id, false)
			if _, err := s.Get(t.Context(), id, nil); !errors.Is(err, blobnet.ErrNotFound) {
				t.Errorf("the second Get gives %v, want ErrNotFound", err)
			}
			if n := files(t, s.tree.quarantine()); n != 1 {
				t.Errorf("%d files in quarantine, want 1", n)
			}
			wantStats(t, s, 1, 1000, 0)
			put(t, s, 1, 1000)
			wantBlob(t, s, id)
			wantBlob(t, s, other)
			wantStats(t, s, 2, 2000, 1) // the pin held
		})
	}
}

func TestPutReplacesATornFileWithoutBeingAskedTo(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	id := put(t, s, 1, 1000)
	if err := os.Truncate(s.tree.blob(id), 10); err != nil {
		t.Fatal(err)
	}
	put(t, s, 1, 1000)
	wantBlob(t, s, id)
	wantStats(t, s, 1, 1000, 0)
}

func TestQuarantineDoesNotFillTheDisk(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	for n := range 2 * quarantineFiles {
		id := put(t, s, n, 100)
		if err := os.Truncate(s.tree.blob(id), 1); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Get(t.Context(), id, nil); !errors.Is(err, blobnet.ErrCorrupt) {
			t.Errorf("Get gives %v, want ErrCorrupt", err)
		}
	}
	if n := files(t, s.tree.quarantine()); n != quarantineFiles {
		t.Errorf("%d files in quarantine, want %d", n, quarantineFiles)
	}
	wantStats(t, s, 0, 0, 0)
}

func TestReadersOfARottenFileNeverTakeAwayItsReplacement(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir()})
	id, blob := storetest.Blob(1, 10_000)
	for range 20 {
		if err := s.Put(t.Context(), id, blob); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.tree.blob(id), make([]byte, 10_000), 0o600); err != nil {
			t.Fatal(err)
		}
		done := make(chan error)
		for range 8 {
			go func() {
				_, err := s.Get(context.Background(), id, nil)
				if errors.Is(err, blobnet.ErrCorrupt) || errors.Is(err, blobnet.ErrNotFound) {
					err = s.Put(context.Background(), id, blob)
				}
				done <- err
			}()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		wantBlob(t, s, id)
		wantStats(t, s, 1, 10_000, 0)
	}
}

func TestABlobTakenAwayByHandIsMissingAndDoesNoHarm(t *testing.T) {
	s := open(t, Config{Dir: t.TempDir(), MaxSize: 3000})
	id := put(t, s, 1, 1000)
	if err := os.Remove(s.tree.blob(id)); err != nil {
		t.Fatal(err)
	}
	wantHas(t, s, id, false)
	for n := range 5 {
		put(t, s, 10+n, 1000)
	}
	wantStats(t, s, 3, 3000, 0)
}
