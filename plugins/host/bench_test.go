//go:build unix

package host

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
)

// BenchmarkFilter: manifests per second through one plugin, one at a time, by 16
// askers, and 64 at a time; and what one costs at the median.
func BenchmarkFilter(b *testing.B) {
	x, ctx := run(b, options{kind: "good"}), context.Background()
	r := release("news", channel.Media)
	r.Body.Entries = nil
	for i := range 10 {
		r.Body.Entries = append(r.Body.Entries, channel.FileEntry{Name: fmt.Sprintf("file-%d.flac", i), Size: 1 << 20, MediaType: "audio/flac"})
	}
	if _, err := x.Filter(ctx, r); err != nil { // it starts
		b.Fatal(err)
	}
	b.Run("one", func(b *testing.B) {
		took := make([]time.Duration, 0, b.N)
		for b.Loop() {
			began := time.Now()
			if _, err := x.Filter(ctx, r); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(began))
		}
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2])/1e6, "p50-ms")
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "manifests/s")
	})
	b.Run("16 askers", func(b *testing.B) {
		var group sync.WaitGroup
		b.ResetTimer()
		for i := range 16 {
			group.Go(func() {
				for n := i; n < b.N; n += 16 {
					if _, err := x.Filter(ctx, r); err != nil {
						b.Error(err)
					}
				}
			})
		}
		group.Wait()
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "manifests/s")
	})
	b.Run("64 at once", func(b *testing.B) {
		batch := slices.Repeat([]Release{r}, 64)
		for b.Loop() {
			if _, err := x.Filter(ctx, batch...); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.N)*64/b.Elapsed().Seconds(), "manifests/s")
	})
}

// zeros is a file of a size.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

// BenchmarkScan: 64 MiB hashed here, and hashed by a plugin that is shown them.
func BenchmarkScan(b *testing.B) {
	const size = 64 << 20
	x, ctx := run(b, options{kind: "acting"}), context.Background()
	open := func() (io.ReadCloser, error) { return io.NopCloser(io.LimitReader(zeros{}, size)), nil }
	e := channel.FileEntry{Name: "f", Size: size}
	h := sha256.New()
	r, _ := open()
	_, _ = io.Copy(h, r)
	copy(e.SHA256[:], h.Sum(nil))
	b.Run("hashed here", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			r, _ := open()
			_, _ = io.Copy(sha256.New(), r)
		}
	})
	b.Run("hashed by a plugin", func(b *testing.B) {
		b.SetBytes(size)
		for b.Loop() {
			if v, err := x.Scan(ctx, Content{Entry: e, Open: open}); err != nil || v.Decision != 0 {
				b.Fatal(v, err)
			}
		}
	})
}
