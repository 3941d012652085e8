package codec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"testing/synctest"

	"github.com/anonymous-media-library/aml/blobnet"
)

// putFunc is a Putter.
type putFunc func(ctx context.Context, id blobnet.ID, blob []byte) error

func (f putFunc) Put(ctx context.Context, id blobnet.ID, blob []byte) error { return f(ctx, id, blob) }

// readFunc is an io.Reader.
type readFunc func(p []byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// endless reads zeros and counts them.
type endless struct{ n atomic.Int64 }

func (e *endless) Read(p []byte) (int, error) {
	clear(p)
	e.n.Add(int64(len(p)))
	return len(p), nil
}

var errTest = errors.New("test error")

func TestSameKeysGiveSameBlobsWithAnyNumberOfWorkers(t *testing.T) {
	plain := testPlain(37*MinChunkSize + 3)
	var want File
	for workers := range 9 {
		store := newBlobs()
		f, err := encode(t.Context(), iotest.OneByteReader(iotest.DataErrReader(bytes.NewReader(plain[:70000]))), store,
			Config{ChunkSize: MinChunkSize, Workers: workers, Rand: testKeys()}, 3)
		if err != nil || f.Size != 70000 {
			t.Fatal(err)
		}
		f, err = encode(t.Context(), bytes.NewReader(plain), store, Config{ChunkSize: MinChunkSize, Workers: workers, Rand: testKeys()}, 4)
		if err != nil {
			t.Fatal(err)
		}
		if workers > 0 && f != want {
			t.Errorf("%d workers: another root", workers)
		}
		want = f
	}
}

func TestEqualChunksGiveDifferentBlobs(t *testing.T) {
	store := newBlobs()
	zeros := bytes.NewReader(make([]byte, 8*MinChunkSize))
	if _, err := Encode(t.Context(), zeros, store, Config{ChunkSize: MinChunkSize}); err != nil {
		t.Fatal(err)
	}
	if len(store.m) != 9 {
		t.Errorf("%d blobs, want 8 chunks and an index", len(store.m))
	}
}

func TestBlobsHaveOnlyPaddedLengths(t *testing.T) {
	for _, size := range []int{0, 5, 100_000, 5*MinChunkSize + 70} {
		store := newBlobs()
		if _, err := Encode(t.Context(), bytes.NewReader(testPlain(size)), store, Config{ChunkSize: MinChunkSize}); err != nil {
			t.Fatal(err)
		}
		for id, blob := range store.m {
			if n := len(blob) - Overhead; n < MinPadded || Padme(n) != n {
				t.Errorf("blob %s has %d padded bytes", id.Short(), n)
			}
		}
	}
}

func TestBadConfigIsRefused(t *testing.T) {
	for _, cfg := range []Config{{ChunkSize: 1}, {ChunkSize: -1}, {ChunkSize: MinChunkSize / 2}, {ChunkSize: 100_000},
		{ChunkSize: 2 * MaxChunkSize}, {Workers: -1}} {
		if _, err := Encode(t.Context(), strings.NewReader("x"), nowhere{}, cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

// TestInputErrorIsNotTakenForItsEnd attacks with inputs that fail at every
// interesting place; an input cut short must never become a shorter file.
func TestInputErrorIsNotTakenForItsEnd(t *testing.T) {
	for _, after := range []int{0, 1, MinChunkSize - 1, MinChunkSize, MinChunkSize + 1, 3 * MinChunkSize, 5*MinChunkSize + 1} {
		for _, bad := range []error{errTest, io.ErrUnexpectedEOF, io.ErrClosedPipe} {
			synctest.Test(t, func(t *testing.T) {
				r := io.MultiReader(bytes.NewReader(testPlain(after)), iotest.ErrReader(bad))
				if _, err := Encode(t.Context(), r, nowhere{}, Config{ChunkSize: MinChunkSize}); !errors.Is(err, bad) {
					t.Errorf("after %d bytes: got %v, want %v", after, err, bad)
				}
			})
		}
	}
}

func TestInputThatMisbehavesIsRefused(t *testing.T) {
	for what, r := range map[string]io.Reader{
		"never reads":       readFunc(func([]byte) (int, error) { return 0, nil }),
		"negative count":    readFunc(func([]byte) (int, error) { return -1, nil }),
		"count over length": readFunc(func(p []byte) (int, error) { return len(p) + 1, nil }),
	} {
		if _, err := Encode(t.Context(), r, nowhere{}, Config{}); err == nil {
			t.Errorf("%s: no error", what)
		}
	}
}

// TestErrorEndsEverything promises that whatever fails, Encode returns that
// error and every goroutine has ended: synctest fails the test otherwise.
func TestErrorEndsEverything(t *testing.T) {
	for failing := range 12 {
		synctest.Test(t, func(t *testing.T) {
			var puts atomic.Int64
			dst := putFunc(func(context.Context, blobnet.ID, []byte) error {
				if puts.Add(1) > int64(failing) {
					return errTest
				}
				return nil
			})
			_, err := encode(t.Context(), new(endless), dst, Config{ChunkSize: MinChunkSize, Workers: 3}, 3)
			if !errors.Is(err, errTest) {
				t.Errorf("failing put %d: %v", failing, err)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			keys := io.LimitReader(testKeys(), int64(failing)*32+5)
			_, err := encode(t.Context(), new(endless), nowhere{}, Config{ChunkSize: MinChunkSize, Workers: 3, Rand: keys}, 3)
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("keys end after %d: %v", failing, err)
			}
		})
	}
}

func TestErrorOfTheLastIndexIsNotLost(t *testing.T) {
	dst := putFunc(func(_ context.Context, _ blobnet.ID, blob []byte) error {
		if len(blob) < 2000 { // the index
			return errTest
		}
		return nil
	})
	if _, err := Encode(t.Context(), bytes.NewReader(make([]byte, 3*MinChunkSize)), dst, Config{ChunkSize: MinChunkSize}); !errors.Is(err, errTest) {
		t.Error(err)
	}
}

func TestCancelEndsEverything(t *testing.T) {
	t.Run("before", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		in := new(endless)
		if _, err := Encode(ctx, in, nowhere{}, Config{}); !errors.Is(err, context.Canceled) || in.n.Load() > 0 {
			t.Error(err, in.n.Load())
		}
	})
	t.Run("while putting", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			dst := putFunc(func(ctx context.Context, _ blobnet.ID, _ []byte) error {
				<-ctx.Done()
				return ctx.Err()
			})
			go func() {
				synctest.Wait()
				cancel()
			}()
			if _, err := Encode(ctx, new(endless), dst, Config{ChunkSize: MinChunkSize}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	})
	t.Run("while reading", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			in := new(endless)
			r := readFunc(func(p []byte) (int, error) {
				if in.n.Load() > 10*MinChunkSize {
					cancel()
				}
				return in.Read(p)
			})
			if _, err := Encode(ctx, r, nowhere{}, Config{ChunkSize: MinChunkSize}); !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
		})
	})
	t.Run("deadline", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 1)
			defer cancel()
			dst := putFunc(func(ctx context.Context, _ blobnet.ID, _ []byte) error {
				<-ctx.Done()
				return ctx.Err()
			})
			if _, err := Encode(ctx, new(endless), dst, Config{}); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	})
}

// TestOneSlowPutDoesNotMakeTheRestPileUp holds back the first blob: reading
// goes on, but no further than the window.
func TestOneSlowPutDoesNotMakeTheRestPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers, chunks = 3, 3 * window
		release := make(chan struct{})
		var first sync.Once
		store := newBlobs()
		dst := putFunc(func(ctx context.Context, id blobnet.ID, blob []byte) error {
			slow := false
			first.Do(func() { slow = true })
			if slow {
				<-release
			}
			return store.Put(ctx, id, blob)
		})
		in := new(endless)
		var f File
		var err error
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			r := io.LimitReader(in, chunks*MinChunkSize)
			f, err = Encode(t.Context(), r, dst, Config{ChunkSize: MinChunkSize, Workers: workers})
		}()
		synctest.Wait()
		if read := in.n.Load() / MinChunkSize; read < 10 || read > window+workers+1 {
			t.Errorf("%d chunks read while the first was held back, window %d", read, window)
		}
		close(release)
		<-ended
		if err != nil || f.Size != chunks*MinChunkSize {
			t.Fatal(f.Size, err)
		}
		if _, err := NewReader(t.Context(), store, f).WriteTo(io.Discard); err != nil {
			t.Error(err)
		}
	})
}

func TestPutsOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const workers = 5
		var inPut, most atomic.Int64
		gate := make(chan struct{})
		dst := putFunc(func(context.Context, blobnet.ID, []byte) error {
			inPut.Add(1)
			defer inPut.Add(-1)
			<-gate
			return nil
		})
		go func() {
			synctest.Wait() // all that can be in Put are
			most.Store(inPut.Load())
			close(gate)
		}()
		r := bytes.NewReader(make([]byte, 20*MinChunkSize))
		if _, err := Encode(t.Context(), r, dst, Config{ChunkSize: MinChunkSize, Workers: workers}); err != nil {
			t.Fatal(err)
		}
		if most.Load() != workers {
			t.Errorf("%d puts at once, want %d", most.Load(), workers)
		}
	})
}

func TestMemoryDoesNotGrowWithTheFile(t *testing.T) {
	measure := func(size int64) uint64 {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		if _, err := Encode(t.Context(), io.LimitReader(new(endless), size), nowhere{}, Config{Workers: 2}); err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc // garbage counts as well
	}
	small, large := measure(16<<20), measure(256<<20)
	// How many of the six buffers are made depends on how fast the steps are.
	if large > small+6<<20 {
		t.Errorf("16 MiB take %d bytes, 256 MiB take %d", small, large)
	}
}
