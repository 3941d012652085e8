package stream_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/erasure"
	"github.com/anonymous-media-library/aml/codec/stream"
)

// TestMain fails if a goroutine of a File is left.
func TestMain(m *testing.M) {
	code := m.Run()
	buf := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "stream.(*File)") {
			fmt.Fprintf(os.Stderr, "goroutine is left:\n%s\n", g)
			code = 1
		}
	}
	os.Exit(code)
}

func open(t testing.TB, cfg stream.Config, f codec.File) *stream.Reader {
	t.Helper()
	r, err := stream.Open(t.Context(), cfg, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func TestReadingFromTheBeginningGivesTheFileAndChecksItsHash(t *testing.T) {
	for _, size := range []int{0, 1, 511, 16 << 10, 64<<10 + 1, 1 << 20, 5<<20 + 77} {
		src, f, plain := newSource(t, size, 256<<10)
		got, err := io.ReadAll(open(t, stream.Config{Source: src}, f))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%d bytes: got %d: %v", size, len(got), err)
		}
		f.SHA256[0] ^= 1
		if _, err := io.ReadAll(open(t, stream.Config{Source: src}, f)); !errors.Is(err, codec.ErrHash) {
			t.Errorf("%d bytes with another hash: %v", size, err)
		}
	}
}

func TestAnyReadsGiveTheBytesThatAreThere(t *testing.T) {
	src, f, plain := newSource(t, 3<<20+12345, 256<<10)
	rapid.Check(t, func(rt *rapid.T) {
		file, err := stream.NewFile(stream.Config{Source: src, Cache: 300 << 10, MaxAhead: 1 << 20}, f)
		if err != nil {
			rt.Fatal(err)
		}
		defer file.Close()
		readers := []*stream.Reader{file.NewReader(t.Context()), file.NewReader(t.Context())}
		offsets := make([]int64, len(readers))
		for range 30 {
			i := rapid.IntRange(0, 1).Draw(rt, "reader")
			r := readers[i]
			buf := make([]byte, rapid.SampledFrom([]int{1, 1000, 32 << 10, 700_000}).Draw(rt, "n"))
			off := rapid.Int64Range(0, int64(len(plain))).Draw(rt, "off")
			switch rapid.IntRange(0, 3).Draw(rt, "what") {
			case 0:
				if _, err := r.Seek(off, io.SeekStart); err != nil {
					rt.Fatal(err)
				}
				offsets[i] = off
			case 1:
				n, err := r.ReadAt(buf, off)
				want := plain[off:min(off+int64(len(buf)), int64(len(plain)))]
				if !bytes.Equal(buf[:n], want) || (err == nil) != (n == len(buf)) {
					rt.Fatalf("ReadAt %d of %d bytes: %d, %v", off, len(buf), n, err)
				}
			default:
				n, err := r.Read(buf)
				if !bytes.Equal(buf[:n], plain[offsets[i]:offsets[i]+int64(n)]) || err != nil && err != io.EOF || n == 0 && err == nil {
					rt.Fatalf("Read at %d: %d, %v", offsets[i], n, err)
				}
				offsets[i] += int64(n)
			}
		}
	})
}

func TestManyReadAtsAtOnce(t *testing.T) {
	src, f, plain := newSource(t, 4<<20, 1<<20)
	r := open(t, stream.Config{Source: src, Cache: 1 << 20}, f)
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for j := range 30 {
				off := (i*977 + j*7919*131) % len(plain)
				buf := make([]byte, 1+(i*j*1000)%150_000)
				n, err := r.ReadAt(buf, int64(off))
				if !bytes.Equal(buf[:n], plain[off:min(len(plain), off+len(buf))]) || err != nil && err != io.EOF {
					t.Errorf("ReadAt %d: %d, %v", off, n, err)
				}
			}
		})
	}
	all.Wait()
}

func TestTheFirstReadIsOneRequestForLittle(t *testing.T) {
	src, f, plain := newSource(t, 8<<20, 1<<20)
	r := open(t, stream.Config{Source: src}, f)
	buf := make([]byte, 64<<10)
	if _, err := r.Seek(5_000_000, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(r, buf); err != nil || !bytes.Equal(buf, plain[5_000_000:][:len(buf)]) {
		t.Fatal(err)
	}
	calls := src.seen()
	if len(calls) != 2 || calls[0].ID != f.Root.ID {
		t.Fatalf("%d calls, want the index and one", len(calls))
	}
	if c := calls[1]; c.Class != blobnet.Stream || c.Due.IsZero() || c.length > 80<<10 || c.offset%blobnet.RangeAlign != 0 || c.Size != 1<<20+codec.Overhead {
		t.Errorf("asked for %d bytes at %d as %v, due %v", c.length, c.offset, c.Class, c.Due)
	}
}

func TestWhoReadsOnIsGivenWholeBlobsAhead(t *testing.T) {
	src, f, _ := newSource(t, 12<<20, 1<<20)
	r := open(t, stream.Config{Source: src}, f)
	if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
		t.Fatal(err)
	}
	whole, ranges := 0, 0
	seen := map[part]bool{}
	for _, c := range src.seen() {
		p := part{c.ID, c.offset, c.length}
		if seen[p] {
			continue // told that it is needed now
		}
		if seen[p] = true; c.length == 0 {
			whole++
		} else {
			ranges++
		}
	}
	if whole < 10 || ranges > 12 {
		t.Errorf("%d whole blobs, %d ranges", whole, ranges)
	}
	if n := src.given(); n > 12<<20+200_000 {
		t.Errorf("%d bytes for a file of %d", n, 12<<20)
	}
}

// TestASlowReaderIsFetchedForInSecondsNotToTheEnd plays 100 KB/s out of a file
// of 64 MiB.
func TestASlowReaderIsFetchedForInSecondsNotToTheEnd(t *testing.T) {
	src, f, _ := newSource(t, 64<<20, 256<<10)
	synctest.Test(t, func(t *testing.T) {
		r, err := stream.Open(t.Context(), stream.Config{Source: src}, f)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		buf := make([]byte, 10_000)
		read := 0
		for range 600 { // a minute
			n, err := io.ReadFull(r, buf)
			if err != nil {
				t.Fatal(err)
			}
			read += n
			<-time.After(100 * time.Millisecond)
		}
		synctest.Wait()
		if ahead := src.given() - read; ahead < 1<<20 || ahead > 2<<20 {
			t.Errorf("%d bytes ahead of one who read %d", ahead, read)
		}
		for _, c := range src.seen()[10:] {
			if c.Class == blobnet.Prefetch && c.Due.Before(time.Now().Add(-2*time.Minute)) {
				t.Errorf("prefetch due %v", c.Due)
			}
		}
	})
}

func TestAReadElsewhereCancelsWhatIsNoLongerNeeded(t *testing.T) {
	src, f, plain := newSource(t, 32<<20, 256<<10)
	synctest.Test(t, func(t *testing.T) {
		src.before = func(c call) error {
			if c.Class == blobnet.Prefetch {
				<-c.ctx.Done()
				return c.ctx.Err()
			}
			return nil
		}
		r, err := stream.Open(t.Context(), stream.Config{Source: src}, f)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		buf := make([]byte, 600<<10)
		if _, err := io.ReadFull(r, buf); err != nil || !bytes.Equal(buf, plain[:len(buf)]) {
			t.Fatal(err) // what was fetched ahead is hurried when it is read
		}
		synctest.Wait()
		pending := func() (n int) {
			for _, c := range src.seen() {
				if c.Class == blobnet.Prefetch && c.ctx.Err() == nil {
					n++
				}
			}
			return n
		}
		if pending() == 0 {
			t.Fatal("nothing is fetched ahead")
		}
		if _, err := r.Seek(20<<20, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(r, buf[:1000]); err != nil || !bytes.Equal(buf[:1000], plain[20<<20:][:1000]) {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := pending(); n != 0 {
			t.Errorf("%d requests for the old place are still under way", n)
		}
	})
}

func TestCloseEndsReadsAndLeavesNothing(t *testing.T) {
	src, f, _ := newSource(t, 4<<20, 256<<10)
	synctest.Test(t, func(t *testing.T) {
		src.before = func(c call) error {
			if c.ID == f.Root.ID {
				return nil
			}
			<-c.ctx.Done()
			return c.ctx.Err()
		}
		r, err := stream.Open(t.Context(), stream.Config{Source: src}, f)
		if err != nil {
			t.Fatal(err)
		}
		errs := make(chan error)
		go func() { _, err := r.Read(make([]byte, 1)); errs <- err }()
		go func() { _, err := r.ReadAt(make([]byte, 1<<20), 1<<20); errs <- err }()
		synctest.Wait()
		r.Close() // synctest finds what does not end
		for range 2 {
			if err := <-errs; !errors.Is(err, blobnet.ErrClosed) {
				t.Errorf("a read gave %v", err)
			}
		}
		if _, err := r.ReadAt(make([]byte, 1), 0); !errors.Is(err, blobnet.ErrClosed) {
			t.Errorf("a read after it gave %v", err)
		}
	})
}

func TestAReadersContextEndsItsReadsAlone(t *testing.T) {
	src, f, _ := newSource(t, 4<<20, 256<<10)
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		src.before = func(c call) error {
			select {
			case <-release:
				return nil
			case <-c.ctx.Done():
				return c.ctx.Err()
			}
		}
		file, err := stream.NewFile(stream.Config{Source: src}, f)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error)
		go func() { _, err := file.NewReader(ctx).Read(make([]byte, 1)); errs <- err }()
		other := file.NewReader(t.Context())
		ok := make(chan error)
		go func() { _, err := other.Read(make([]byte, 1)); ok <- err }()
		synctest.Wait()
		cancel()
		if err := <-errs; !errors.Is(err, context.Canceled) {
			t.Errorf("the read gave %v", err)
		}
		close(release)
		if err := <-ok; err != nil {
			t.Errorf("the other's read gave %v", err)
		}
	})
}

func TestReadersShareTheIndexAndChunks(t *testing.T) {
	src, f, _ := newSource(t, 2<<20, 256<<10)
	file, err := stream.NewFile(stream.Config{Source: src}, f)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for range 5 {
		r := file.NewReader(t.Context())
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{r}); err != nil {
			t.Fatal(err)
		}
		r.Close()
	}
	indexes := 0
	for _, c := range src.seen() {
		if c.ID == f.Root.ID {
			indexes++
		}
	}
	if n := src.given(); indexes != 1 || n > 2<<20+10_000 {
		t.Errorf("%d index blobs and %d bytes", indexes, n)
	}
}

func TestAWrongTreeIsNoMoreThanAWholeBlob(t *testing.T) {
	src, f, plain := newSource(t, 4<<20, 1<<20)
	src.before = func(c call) error {
		if c.length > 0 {
			return fmt.Errorf("proof: %w", blobnet.ErrCorrupt)
		}
		return nil
	}
	r := open(t, stream.Config{Source: src}, f)
	buf := make([]byte, 100_000)
	if _, err := r.ReadAt(buf, 2_000_000); err != nil || !bytes.Equal(buf, plain[2_000_000:][:len(buf)]) {
		t.Error(err)
	}
}

func TestWhatCannotBeHadAheadIsAnErrorOnlyForWhoReadsIt(t *testing.T) {
	src, f, plain := newSource(t, 4<<20, 256<<10)
	last, err := codec.NewLocator(src, f).At(t.Context(), uint64(len(plain)-1))
	if err != nil {
		t.Fatal(err)
	}
	src.before = func(c call) error {
		if c.ID == last.Ref.ID {
			return fmt.Errorf("nobody: %w", blobnet.ErrNotFound)
		}
		return nil
	}
	got, err := io.ReadAll(open(t, stream.Config{Source: src}, f))
	if !errors.Is(err, blobnet.ErrNotFound) || !bytes.Equal(got, plain[:last.Offset]) {
		t.Errorf("%d bytes, want %d: %v", len(got), last.Offset, err)
	}
	// Whoever can rebuild it is asked, for a part of it too.
	r := open(t, stream.Config{Source: src, Rebuild: src.Source}, f)
	buf := make([]byte, 1000)
	if _, err := r.ReadAt(buf, int64(last.Offset)); err != nil || !bytes.Equal(buf, plain[last.Offset:][:1000]) {
		t.Error(err)
	}
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}

func TestAHostileFileIsRefused(t *testing.T) {
	src, f, _ := newSource(t, 4<<20, 256<<10)
	f.Size++
	if _, err := stream.Open(t.Context(), stream.Config{Source: src}, f); !errors.Is(err, codec.ErrIndex) {
		t.Errorf("sizes that differ: %v", err)
	}
	f.Root.Size++
	if _, err := open(t, stream.Config{Source: src}, f).Read(make([]byte, 1)); !errors.Is(err, codec.ErrIndex) {
		t.Errorf("an index of another size: %v", err)
	}
}

func TestLostBlobsOfACodedFileAreReadOutOfTheirStripe(t *testing.T) {
	code, err := erasure.New(codec.Coding{Data: 4, Parity: 2})
	if err != nil {
		t.Fatal(err)
	}
	plain := make([]byte, 3<<20+5)
	rand.NewChaCha8([32]byte{7}).Read(plain)
	store := memstore.New(memstore.Config{})
	f, err := codec.Encode(t.Context(), bytes.NewReader(plain), store, codec.Config{ChunkSize: 128 << 10, Erasure: code})
	if err != nil {
		t.Fatal(err)
	}
	for s, err := range codec.Stripes(t.Context(), store, f) {
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Delete(t.Context(), s.Data[0].ID, s.Parity[1].ID); err != nil {
			t.Fatal(err)
		}
	}
	rebuild, err := erasure.NewSource(erasure.Config{Source: store, File: f})
	if err != nil {
		t.Fatal(err)
	}
	src := &source{Source: store, twice: make(map[part]bool)}
	got, err := io.ReadAll(open(t, stream.Config{Source: src, Rebuild: rebuild}, f))
	if err != nil || !bytes.Equal(got, plain) {
		t.Errorf("%d bytes: %v", len(got), err)
	}
}
