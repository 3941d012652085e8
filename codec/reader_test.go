package codec

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/anonymous-media-library/aml/blobnet"
)

// sourceFunc is a blobnet.Source.
type sourceFunc func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error)

func (f sourceFunc) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	return f(ctx, id, dst)
}

func encodeTest(t *testing.T, plain []byte, maxRefs int) (*blobs, File) {
	t.Helper()
	store := newBlobs()
	f, err := encode(t.Context(), bytes.NewReader(plain), store, Config{ChunkSize: chunk64}, maxRefs)
	if err != nil {
		t.Fatal(err)
	}
	return store, f
}

func TestReadAtLoadsOnlyWhatItMust(t *testing.T) {
	plain := testPlain(27 * chunk64)
	store, f := encodeTest(t, plain, 3)
	if f.Depth != 3 {
		t.Fatal(f.Depth)
	}
	r := newReader(t.Context(), store, f, 3)
	one := make([]byte, 1)
	for _, c := range []struct{ off, gets int }{
		{20 * chunk64, 4}, {20*chunk64 + 5, 4}, {21*chunk64 - 1, 4}, {19 * chunk64, 5}, {0, 8}, {20 * chunk64, 8}, {26 * chunk64, 10},
	} {
		if _, err := r.ReadAt(one, int64(c.off)); err != nil || one[0] != plain[c.off] {
			t.Fatalf("offset %d: %d, %v", c.off, one[0], err)
		}
		if store.gets != c.gets {
			t.Errorf("offset %d: %d gets by now, want %d", c.off, store.gets, c.gets)
		}
	}
}

func TestSequentialReadGetsEveryBlobOnce(t *testing.T) {
	plain := testPlain(20*chunk64 + 1)
	store, f := encodeTest(t, plain, 3)
	for _, size := range []int{1000, chunk64, chunk64 + 1, 3 * chunk64} {
		store.gets = 0
		var got bytes.Buffer
		_, err := io.CopyBuffer(struct{ io.Writer }{&got}, struct{ io.Reader }{newReader(t.Context(), store, f, 3)}, make([]byte, size))
		if err != nil || !bytes.Equal(got.Bytes(), plain) {
			t.Fatal(err)
		}
		if store.gets != len(store.m) {
			t.Errorf("in steps of %d: %d gets of %d blobs", size, store.gets, len(store.m))
		}
	}
	store.gets = 0
	if _, err := newReader(t.Context(), store, f, 3).WriteTo(io.Discard); err != nil || store.gets != len(store.m) {
		t.Errorf("WriteTo: %d gets of %d blobs, %v", store.gets, len(store.m), err)
	}
}

func TestReadAtFromManyGoroutines(t *testing.T) {
	plain := testPlain(12*chunk64 + 500)
	store, f := encodeTest(t, plain, 4)
	r := newReader(t.Context(), store, f, 4)
	var group sync.WaitGroup
	for worker := range 8 {
		group.Go(func() {
			buf := make([]byte, 2*chunk64+100)
			for i := range 60 {
				off := (worker*7919 + i*104729) % len(plain)
				if i%3 == 0 {
					off -= off % chunk64
				}
				n, err := r.ReadAt(buf, int64(off))
				if err != nil && err != io.EOF || !bytes.Equal(buf[:n], plain[off:off+n]) {
					t.Errorf("offset %d: %d bytes, %v", off, n, err)
				}
			}
		})
	}
	group.Go(func() {
		var got bytes.Buffer
		if _, err := io.Copy(&got, r); err != nil || !bytes.Equal(got.Bytes(), plain) {
			t.Error("sequential reader beside them:", err)
		}
	})
	group.Wait()
}

func TestTwoThatWantOneChunkCauseOneGet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, f := encodeTest(t, testPlain(1000), MaxRefs)
		gate := make(chan struct{})
		var gets atomic.Int64
		src := sourceFunc(func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
			gets.Add(1)
			<-gate
			return store.Get(ctx, id, dst)
		})
		r := NewReader(t.Context(), src, f)
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if _, err := r.ReadAt(make([]byte, 10), 5); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(gate)
		group.Wait()
		if gets.Load() != 1 {
			t.Errorf("%d gets", gets.Load())
		}
	})
}

func TestErrorIsNotRemembered(t *testing.T) {
	plain := testPlain(5 * chunk64)
	store, f := encodeTest(t, plain, 2)
	fail := 0
	src := sourceFunc(func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
		if fail--; fail == 0 {
			return nil, errTest
		}
		return store.Get(ctx, id, dst)
	})
	for nth := 1; nth <= 4; nth++ { // three indexes and the chunk
		r := newReader(t.Context(), src, f, 2)
		fail = nth
		buf := make([]byte, 10)
		if _, err := r.ReadAt(buf, 7); !errors.Is(err, errTest) {
			t.Errorf("get %d: %v", nth, err)
		}
		if _, err := r.ReadAt(buf, 7); err != nil || !bytes.Equal(buf, plain[7:17]) {
			t.Errorf("get %d, again: %v", nth, err)
		}
	}
}

// TestWriteToEndsAllItStarted fails the source and the writer at every place,
// and cancels; synctest finds goroutines that stay.
func TestWriteToEndsAllItStarted(t *testing.T) {
	plain := testPlain(12 * chunk64)
	store, f := encodeTest(t, plain, 3)
	for nth := range 20 {
		synctest.Test(t, func(t *testing.T) {
			var gets atomic.Int64
			src := sourceFunc(func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
				if gets.Add(1) > int64(nth) {
					return nil, errTest
				}
				return store.Get(ctx, id, dst)
			})
			var got bytes.Buffer
			r := newReader(t.Context(), src, f, 3)
			if n, err := r.WriteTo(&got); !errors.Is(err, errTest) && nth < len(store.m) || n != int64(got.Len()) {
				t.Errorf("get %d fails: %d, %v", nth, n, err)
			}
			if !bytes.HasPrefix(plain, got.Bytes()) {
				t.Errorf("get %d fails: wrong bytes", nth)
			}
			gets.Store(-1 << 40) // it works again, and goes on where it was
			if _, err := r.WriteTo(&got); err != nil || !bytes.Equal(got.Bytes(), plain) {
				t.Errorf("get %d fails, again: %v", nth, err)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			left := nth * chunk64 / 2
			w := writeFunc(func(p []byte) (int, error) {
				n := min(len(p), left)
				if left -= n; n < len(p) {
					return n, errTest
				}
				return n, nil
			})
			if _, err := newReader(t.Context(), store, f, 3).WriteTo(w); !errors.Is(err, errTest) {
				t.Errorf("after %d bytes: %v", nth*chunk64/2, err)
			}
		})
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var gets atomic.Int64
			src := sourceFunc(func(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
				if gets.Add(1) > int64(nth) {
					<-ctx.Done()
				}
				return store.Get(ctx, id, dst)
			})
			go func() {
				synctest.Wait()
				cancel()
			}()
			if _, err := newReader(ctx, src, f, 3).WriteTo(io.Discard); !errors.Is(err, context.Canceled) && nth < len(store.m) {
				t.Errorf("cancelled at get %d: %v", nth, err)
			}
		})
	}
}

type writeFunc func(p []byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

func TestWriterThatWritesShortIsNoticed(t *testing.T) {
	store, f := encodeTest(t, testPlain(100), MaxRefs)
	w := writeFunc(func(p []byte) (int, error) { return len(p) - 1, nil })
	if _, err := NewReader(t.Context(), store, f).WriteTo(w); !errors.Is(err, io.ErrShortWrite) {
		t.Error(err)
	}
}

func TestSeekRefusesWhatAFileRefuses(t *testing.T) {
	store, f := encodeTest(t, testPlain(100), MaxRefs)
	r := NewReader(t.Context(), store, f)
	if _, err := r.Seek(-1, io.SeekStart); err == nil {
		t.Error("negative offset")
	}
	if _, err := r.Seek(0, 9); err == nil {
		t.Error("whence 9")
	}
	if _, err := r.ReadAt(nil, -1); err == nil {
		t.Error("ReadAt -1")
	}
	if n, err := r.Seek(1000, io.SeekStart); n != 1000 || err != nil {
		t.Error("behind the end", n, err)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Error("read behind the end", n, err)
	}
	if store.gets != 0 {
		t.Error("a seek got blobs")
	}
}
