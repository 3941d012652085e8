package inplace_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/diskstore"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
)

// events collects what a Store tells.
type events struct {
	mu  sync.Mutex
	all []inplace.Event
}

func (e *events) add(x inplace.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, x)
}

// take returns what was told since the last take, as kind and base name.
func (e *events) take() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []string
	for _, x := range e.all {
		out = append(out, x.Kind.String()+" "+filepath.Base(x.Path))
	}
	e.all = nil
	return out
}

func open(t *testing.T, inner inplace.Inner, path string) (*inplace.Store, *events) {
	t.Helper()
	told := &events{}
	s, err := inplace.Open(t.Context(), inplace.Config{Inner: inner, Path: path, OnEvent: told.add})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, told
}

func disk(t *testing.T, maxSize int64) *diskstore.Store {
	t.Helper()
	d, err := diskstore.Open(diskstore.Config{Dir: filepath.Join(t.TempDir(), "blobs"), MaxSize: maxSize, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestAStoreBeforeAnotherIsAStore(t *testing.T) {
	for name, inner := range map[string]func(t *testing.T, maxSize int64) inplace.Inner{
		"memory": func(_ *testing.T, maxSize int64) inplace.Inner {
			return memstore.New(memstore.Config{MaxSize: maxSize})
		},
		"disk": func(t *testing.T, maxSize int64) inplace.Inner { return disk(t, maxSize) },
	} {
		for _, full := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, files %v", name, full), func(t *testing.T) {
				storetest.Run(t, func(t *testing.T, maxSize int64) blobnet.Store {
					s, _ := open(t, inner(t, maxSize), filepath.Join(t.TempDir(), "inplace.db"))
					if full && !strings.Contains(t.Name(), "/list") && !strings.Contains(t.Name(), "quota") { // these list what they put
						register(t, s, filepath.Join(t.TempDir(), "f"), content(1000, 1))
					}
					return s
				})
			})
		}
	}
}

func content(n int, seed byte) []byte {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}

// sink registers chunks as a publisher does.
type sink struct {
	blobnet.Store
	f    *inplace.File
	refs *[]codec.Ref
	mu   *sync.Mutex
}

func (s sink) PutChunk(ctx context.Context, ref codec.Ref, offset uint64, blob []byte) error {
	s.f.Add(ctx, ref, offset, blob)
	s.mu.Lock()
	defer s.mu.Unlock()
	*s.refs = append(*s.refs, ref)
	return nil
}

// register writes a file and seals it in place.
func register(t *testing.T, s *inplace.Store, path string, data []byte) (codec.File, []codec.Ref) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := s.Begin(t.Context(), path, false)
	if err != nil {
		t.Fatal(err)
	}
	var refs []codec.Ref
	file, err := codec.Encode(t.Context(), bytes.NewReader(data), sink{s, f, &refs, new(sync.Mutex)}, codec.Config{ChunkSize: codec.MinChunkSize})
	if err == nil {
		err = f.Done(t.Context(), path, false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return file, refs
}

func wantEvents(t *testing.T, told *events, want ...string) {
	t.Helper()
	if got := told.take(); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// count returns how many of the blobs come out right; others must be missing.
func count(t *testing.T, s blobnet.Store, refs []codec.Ref) int {
	t.Helper()
	n := 0
	for i, ref := range refs {
		get := s.Get
		if x, ok := s.(*inplace.Store); ok && i%2 == 0 {
			get = x.GetToSend
		}
		blob, err := get(t.Context(), ref.ID, []byte("x"))
		switch {
		case err == nil && blob[0] == 'x' && blobnet.Sum(blob[1:]) == ref.ID:
			n++
		case !errors.Is(err, blobnet.ErrNotFound):
			t.Fatalf("%d bytes, %v", len(blob), err)
		}
	}
	return n
}

func TestAFileIsServedOutOfItself(t *testing.T) {
	dir := t.TempDir()
	inner := disk(t, 0)
	s, told := open(t, inner, filepath.Join(dir, "inplace.db"))
	data := content(40*codec.MinChunkSize+777, 1)
	file, refs := register(t, s, filepath.Join(dir, "f"), data)
	check := func(s blobnet.Store) {
		t.Helper()
		if n := count(t, s, refs); n != 41 {
			t.Errorf("%d of %d blobs", n, 41)
		}
		r := codec.NewReader(t.Context(), s, file)
		var got bytes.Buffer
		if _, err := r.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), data) {
			t.Errorf("%d bytes, %v", got.Len(), err)
		}
	}
	check(s)                                                                    // before it is written down
	if stats, err := s.Stats(t.Context()); err != nil || stats.BlobCount != 1 { // the index
		t.Errorf("%+v stored, %v", stats, err)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Files != 1 || u.Blobs != 41 || u.Bytes < int64(len(data)) {
		t.Errorf("%+v in place, %v", u, err)
	}
	blobs := 0
	var last blobnet.ID
	if err := s.List(t.Context(), func(i blobnet.Info) error {
		if blobs++; i.ID.Compare(last) <= 0 {
			t.Error("out of order")
		}
		last = i.ID
		return nil
	}); err != nil || blobs != 42 {
		t.Errorf("%d listed, %v", blobs, err)
	}
	blob, err := s.Get(t.Context(), refs[0].ID, nil)
	if err == nil {
		err = s.Put(t.Context(), refs[0].ID, blob)
	}
	if has, _ := inner.Has(t.Context(), refs[0].ID); err != nil || has[0] {
		t.Errorf("a second copy was stored: %v, %v", has, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s, told2 := open(t, inner, filepath.Join(dir, "inplace.db"))
	check(s)
	wantEvents(t, told)
	wantEvents(t, told2)
	if info, err := os.Stat(filepath.Join(dir, "inplace.db")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestAFileThatIsNotWhatItWasIsNoticedAndNeverServedWrong(t *testing.T) {
	for name, test := range map[string]struct {
		change func(path string) error
		left   int
		told   []string
	}{
		"touched": {func(p string) error { return os.Chtimes(p, time.Unix(1, 0), time.Unix(1, 0)) }, 10, nil},
		"one byte": {func(p string) error {
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{'!'}, 3*codec.MinChunkSize)
			return errors.Join(err, f.Close())
		}, 9, []string{"changed f"}},
		"one byte, time set back": {func(p string) error {
			info, err := os.Stat(p)
			if err != nil {
				return err
			}
			f, err := os.OpenFile(p, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{'!'}, 3*codec.MinChunkSize)
			return errors.Join(err, f.Close(), os.Chtimes(p, info.ModTime(), info.ModTime()))
		}, 9, []string{"changed f"}},
		"cut":     {func(p string) error { return os.Truncate(p, 5*codec.MinChunkSize+1) }, 5, []string{"changed f"}},
		"emptied": {func(p string) error { return os.WriteFile(p, nil, 0o644) }, 0, []string{"changed f"}},
		"deleted": {os.Remove, 0, []string{"vanished f"}},
		"moved":   {func(p string) error { return os.Rename(p, p+"2") }, 0, []string{"vanished f"}},
		"copied back": {func(p string) error {
			data, err := os.ReadFile(p)
			return errors.Join(err, os.Remove(p), os.WriteFile(p, data, 0o644))
		}, 10, nil},
		"another in its place": {func(p string) error {
			return errors.Join(os.Remove(p), os.WriteFile(p, content(10*codec.MinChunkSize, 9), 0o644))
		}, 0, []string{"changed f"}},
		"a folder in its place": {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o755)) }, 0, []string{"vanished f"}},
	} {
		for _, warm := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, open %v", name, warm), func(t *testing.T) {
				dir := t.TempDir()
				s, told := open(t, memstore.New(memstore.Config{}), filepath.Join(dir, "db"))
				path := filepath.Join(dir, "f")
				_, refs := register(t, s, path, content(10*codec.MinChunkSize, 1))
				if warm {
					count(t, s, refs[:1])
				}
				if err := test.change(path); err != nil {
					t.Fatal(err)
				}
				for range 2 {
					if n := count(t, s, refs); n != test.left {
						t.Errorf("%d blobs left, want %d", n, test.left)
					}
				}
				wantEvents(t, told, test.told...)
				if u, err := s.Usage(t.Context()); err != nil || u.Blobs != int64(test.left) {
					t.Errorf("%+v, %v", u, err)
				}
				// Fetched again, it is stored.
				id, blob := refs[3].ID, []byte(nil)
				if plain := content(10*codec.MinChunkSize, 1); test.left < 10 {
					var at int
					for at = 0; at < 10; at++ {
						b, err := codec.Seal(nil, plain[at*codec.MinChunkSize:][:codec.MinChunkSize], refs[3].Key)
						if err == nil && blobnet.Sum(b) == id {
							blob = b
						}
					}
					if err := s.Put(t.Context(), id, blob); err != nil || count(t, s, refs[3:4]) != 1 {
						t.Errorf("a blob that was lost cannot be put again: %v", err)
					}
				}
			})
		}
	}
}

// A folder of another disk that a link leads to stands for a disk that is
// mounted.
func TestAFileOnADiskThatIsNotThereIsNotForgotten(t *testing.T) {
	dir := t.TempDir()
	other, err := os.MkdirTemp("/dev/shm", "inplace")
	if err != nil {
		t.Skip("no second disk:", err)
	}
	defer os.RemoveAll(other)
	if err := os.Mkdir(filepath.Join(other, "below"), 0o755); err != nil {
		t.Fatal(err)
	}
	mount := filepath.Join(dir, "mount")
	for _, name := range []string{"f", "below/f"} {
		s, told := open(t, memstore.New(memstore.Config{}), filepath.Join(t.TempDir(), "db"))
		if err := os.Symlink(other, mount); err != nil {
			t.Fatal(err)
		}
		_, refs := register(t, s, filepath.Join(mount, name), content(3*codec.MinChunkSize, 1))
		if err := errors.Join(os.Remove(mount), os.Mkdir(mount, 0o755)); err != nil {
			t.Fatal(err)
		}
		if n := count(t, s, refs); n != 0 {
			t.Errorf("%s: %d blobs of a file that is not there", name, n)
		}
		wantEvents(t, told, "unreadable f")
		if err := errors.Join(os.Remove(mount), os.Symlink(other, mount)); err != nil {
			t.Fatal(err)
		}
		if n := count(t, s, refs); n != 3 {
			t.Errorf("%s: %d blobs of 3 when it is there again", name, n)
		}
		if err := os.Remove(filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
		count(t, s, refs)
		wantEvents(t, told, "vanished f")
		if err := os.Remove(mount); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAFileIsServedWhileItGrowsAndAfterItsRename(t *testing.T) {
	dir := t.TempDir()
	s, told := open(t, memstore.New(memstore.Config{}), filepath.Join(dir, "db"))
	data := content(4*codec.MinChunkSize, 1)
	_, refs := register(t, s, filepath.Join(dir, "elsewhere"), data)
	var order []codec.Ref // by offset
	for at := 0; at < len(data); at += codec.MinChunkSize {
		for _, r := range refs {
			if b, err := codec.Seal(nil, data[at:][:codec.MinChunkSize], r.Key); err == nil && blobnet.Sum(b) == r.ID {
				order = append(order, r)
			}
		}
	}
	if err := s.Forget(t.Context(), filepath.Join(dir, "elsewhere")); err != nil || count(t, s, refs) != 0 {
		t.Fatal("not forgotten", err)
	}
	part, final := filepath.Join(dir, "part"), filepath.Join(dir, "final")
	out, err := os.Create(part)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	f, err := s.Begin(t.Context(), part, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range []int{2, 0, 3, 1} {
		if _, err := out.WriteAt(data[at*codec.MinChunkSize:][:codec.MinChunkSize], int64(at*codec.MinChunkSize)); err != nil {
			t.Fatal(err)
		}
		f.Add(t.Context(), order[at], uint64(at*codec.MinChunkSize), nil)
		if n := count(t, s, refs); n != i+1 {
			t.Errorf("%d of %d", n, i+1)
		}
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	old, oldRefs := register(t, s, final, content(2*codec.MinChunkSize, 7))
	if err := os.Rename(part, final); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, refs); n != 0 { // between two steps
		t.Error(n)
	}
	if err := f.Done(t.Context(), final, false); err != nil {
		t.Fatal(err)
	}
	if n := count(t, s, refs); n != 4 {
		t.Errorf("%d of 4 after the rename", n)
	}
	if n := count(t, s, oldRefs); n != 0 {
		t.Errorf("%d blobs of what was replaced (%v)", n, old.Size)
	}
	wantEvents(t, told)
	if err := s.Forget(t.Context(), final); err != nil || count(t, s, refs) != 0 {
		t.Error("not forgotten", err)
	}
	if u, err := s.Usage(t.Context()); err != nil || u != (inplace.Usage{}) {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestTwoFilesStandInForEachOther(t *testing.T) {
	dir := t.TempDir()
	s, told := open(t, memstore.New(memstore.Config{}), filepath.Join(dir, "db"))
	data := content(1000, 1)
	_, refs := register(t, s, filepath.Join(dir, "a"), data)
	for _, name := range []string{"b", "c"} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := s.Begin(t.Context(), filepath.Join(dir, name), false)
		if err != nil {
			t.Fatal(err)
		}
		f.Add(t.Context(), refs[0], 0, nil)
		if err := f.Done(t.Context(), filepath.Join(dir, name), false); err != nil {
			t.Fatal(err)
		}
		if err := s.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"c", "a", "b"} {
		if n := count(t, s, refs); n != 1 {
			t.Error("lost after", i)
		}
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, s, refs); n != 0 {
		t.Error(n)
	}
	if len(told.take()) != 3 {
		t.Error("not all were told")
	}
}

func TestADamagedDatabaseIsToldAndBegunAnew(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "inplace.db")
	for name, damage := range map[string][]byte{"nonsense": bytes.Repeat([]byte("nonsense"), 2000), "empty": nil} {
		s, _ := open(t, memstore.New(memstore.Config{}), path)
		file := filepath.Join(dir, "f")
		data := content(5*codec.MinChunkSize, 1)
		_, refs := register(t, s, file, data)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, damage, 0o600); err != nil {
			t.Fatal(err)
		}
		s, told := open(t, memstore.New(memstore.Config{}), path)
		if damage != nil {
			wantEvents(t, told, "database damaged inplace.db")
		}
		if n := count(t, s, refs); n != 0 {
			t.Errorf("%s: %d", name, n)
		}
		if _, refs := register(t, s, file, data); count(t, s, refs) != 5 {
			t.Errorf("%s: not registered anew", name)
		}
		s.Close()
	}
}

func TestASieveKeepsWhatIsNotExpected(t *testing.T) {
	inner := memstore.New(memstore.Config{})
	s, _ := open(t, inner, filepath.Join(t.TempDir(), "db"))
	v := s.Sieve()
	id, blob := storetest.Blob(1, 100)
	v.Expect(id)
	for _, put := range []func(context.Context, blobnet.ID, []byte) error{v.Put, v.PutVerified} {
		if err := put(t.Context(), id, blob); err != nil {
			t.Fatal(err)
		}
	}
	if has, _ := v.Has(t.Context(), id); has[0] {
		t.Error("kept")
	}
	v.Arrived(id)
	if err := v.Put(t.Context(), id, blob); err != nil {
		t.Fatal(err)
	}
	if has, _ := v.Has(t.Context(), id); !has[0] {
		t.Error("not kept")
	}
}

// written returns how many bytes of a database were ever written, or its log's
// length: any transaction makes that grow.
func written(t *testing.T, path string) (n int64) {
	t.Helper()
	for _, suffix := range []string{"", "-wal"} {
		if info, err := os.Stat(path + suffix); err == nil {
			n += info.Size()
		}
	}
	return n
}

func TestAThousandChunksAreOneTransactionAndReadsWriteNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "inplace.db")
	s, _ := open(t, memstore.New(memstore.Config{}), path)
	file := filepath.Join(dir, "f")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := s.Begin(t.Context(), file, false)
	if err != nil {
		t.Fatal(err)
	}
	before := written(t, path)
	for n := range 1000 {
		f.Add(t.Context(), codec.Ref{ID: blobnet.Sum([]byte(fmt.Sprint(n))), Size: 1 << 20}, uint64(n)<<20, nil)
	}
	if got := written(t, path); got != before {
		t.Errorf("%d bytes were written for chunks that wait", got-before)
	}
	if err := f.Done(t.Context(), file, false); err != nil {
		t.Fatal(err)
	}
	_, refs := register(t, s, filepath.Join(dir, "g"), content(20*codec.MinChunkSize, 1))
	if err := s.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	if u, err := s.Usage(t.Context()); err != nil || u.Files != 2 || u.Blobs != 1020 {
		t.Errorf("%+v, %v", u, err)
	}
	before = written(t, path)
	if err := os.Chtimes(filepath.Join(dir, "g"), time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if n := count(t, s, refs); n != 20 {
			t.Error(n)
		}
	}
	if got := written(t, path); got != before {
		t.Errorf("%d bytes were written by reads", got-before)
	}
}

func TestNoKeyIsInAnEvent(t *testing.T) {
	dir := t.TempDir()
	s, told := open(t, memstore.New(memstore.Config{}), filepath.Join(dir, "db"))
	path := filepath.Join(dir, "f")
	_, refs := register(t, s, path, content(3*codec.MinChunkSize, 1))
	if err := os.WriteFile(path, content(3*codec.MinChunkSize, 2), 0o644); err != nil {
		t.Fatal(err)
	}
	count(t, s, refs)
	for _, e := range told.all {
		for _, ref := range refs {
			key, err := ref.Key.MarshalText()
			if text := fmt.Sprintf("%v %+v %#v %v", e, e, e, e.Err); err != nil || strings.Contains(text, string(key)) || strings.Contains(text, string(ref.Key[:])) {
				t.Error(text)
			}
		}
	}
	if len(told.all) == 0 {
		t.Error("nothing was told")
	}
}

func TestManyFilesAreServedAtOnceWithFewOpen(t *testing.T) {
	dir := t.TempDir()
	s, err := inplace.Open(t.Context(), inplace.Config{Inner: memstore.New(memstore.Config{}), Path: filepath.Join(dir, "db"), OpenFiles: 3})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var refs []codec.Ref
	for n := range 30 {
		_, r := register(t, s, filepath.Join(dir, fmt.Sprint(n)), content(5000, byte(n)))
		refs = append(refs, r...)
	}
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 300 {
				ref := refs[i*7%len(refs)]
				if blob, err := s.Get(t.Context(), ref.ID, nil); err != nil || blobnet.Sum(blob) != ref.ID {
					t.Errorf("%d bytes, %v", len(blob), err)
					return
				}
			}
		})
	}
	group.Go(func() {
		for n := 30; n < 60; n++ {
			register(t, s, filepath.Join(dir, fmt.Sprint(n)), content(5000, byte(n)))
			if err := s.Sync(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	group.Wait()
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		open := 0
		for _, fd := range fds {
			if to, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && filepath.Dir(to) == dir && !strings.HasPrefix(filepath.Base(to), "db") {
				open++
			}
		}
		if open > 3 {
			t.Errorf("%d files are open", open)
		}
	}
}
