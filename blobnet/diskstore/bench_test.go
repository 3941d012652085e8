package diskstore

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/storetest"
)

// What the store costs: compare Put with Write, which makes the same files
// with nothing but system calls and a hash. Run with
//
//	go test -bench . -benchtime 1000x ./blobnet/diskstore

var benchSizes = []int{4 << 10, 1 << 20}

func bySize(b *testing.B, fn func(b *testing.B, size int)) {
	for _, size := range benchSizes {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			b.SetBytes(int64(size))
			b.ReportAllocs()
			fn(b, size)
		})
	}
}

// BenchmarkWrite is the bare minimum that Put is measured against.
func BenchmarkWrite(b *testing.B) {
	bySize(b, func(b *testing.B, size int) {
		dir := b.TempDir()
		var next atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			_, blob := storetest.Blob(0, size)
			for pb.Next() {
				n := next.Add(1)
				blob = append(strconv.AppendInt(blob[:0], 1e7+n, 10), blob[8:]...)
				id := blobnet.Sum(blob)
				temp := filepath.Join(dir, strconv.FormatInt(n, 10))
				if err := os.WriteFile(temp, blob, 0o600); err != nil {
					b.Fatal(err)
				}
				if err := os.Rename(temp, filepath.Join(dir, id.String())); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}

// BenchmarkPut hashes each blob once, as BenchmarkWrite does.
func BenchmarkPut(b *testing.B) {
	bySize(b, func(b *testing.B, size int) {
		s := open(b, Config{Dir: b.TempDir()})
		var next atomic.Int64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			_, blob := storetest.Blob(0, size)
			for pb.Next() {
				blob = append(strconv.AppendInt(blob[:0], 1e7+next.Add(1), 10), blob[8:]...)
				if err := s.PutVerified(b.Context(), blobnet.Sum(blob), blob); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.StopTimer()
	})
}

// BenchmarkSync is the time of one Sync after 256 blobs, for each of them.
func BenchmarkSync(b *testing.B) {
	bySize(b, func(b *testing.B, size int) {
		s := open(b, Config{Dir: b.TempDir()})
		b.ResetTimer()
		for n := 0; n < b.N; {
			b.StopTimer()
			for range min(256, b.N-n) {
				id, blob := storetest.Blob(n, size)
				if err := s.Put(b.Context(), id, blob); err != nil {
					b.Fatal(err)
				}
				n++
			}
			b.StartTimer()
			if err := s.Sync(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
	})
}

func BenchmarkGet(b *testing.B) { benchmarkGet(b, (*Store).Get) }

// BenchmarkGetToSend compares checksums where BenchmarkGet hashes.
func BenchmarkGetToSend(b *testing.B) { benchmarkGet(b, (*Store).GetToSend) }

func benchmarkGet(b *testing.B, get func(*Store, context.Context, blobnet.ID, []byte) ([]byte, error)) {
	bySize(b, func(b *testing.B, size int) {
		s, ids := filled(b, 256, size)
		var next atomic.Int64
		b.ResetTimer()
		b.RunParallel(func(pb *testing.PB) {
			var buf []byte
			for pb.Next() {
				var err error
				if buf, err = get(s, b.Context(), ids[int(next.Add(1))%len(ids)], buf[:0]); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.StopTimer()
	})
}

// BenchmarkHas is the time of asking for 1,024 blobs, every other of which is
// there.
func BenchmarkHas(b *testing.B) {
	s, ids := filled(b, 1024, 64)
	for n := range ids {
		if n%2 == 1 {
			ids[n], _ = storetest.Blob(1<<20+n, 64)
		}
	}
	b.ResetTimer()
	for range b.N {
		if _, err := s.Has(b.Context(), ids...); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
}

func filled(b *testing.B, count, size int) (*Store, []blobnet.ID) {
	b.Helper()
	s := open(b, Config{Dir: b.TempDir()})
	var ids []blobnet.ID
	for n := range count {
		id, blob := storetest.Blob(n, size)
		if err := s.Put(b.Context(), id, blob); err != nil {
			b.Fatal(err)
		}
		ids = append(ids, id)
	}
	return s, ids
}
