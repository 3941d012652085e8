package exchange

import (
	"context"
	"io"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/anonymous-media-library/aml/blobnet"
)

// The benchmarks move blobs between two hosts in this process, by 64 Gets at
// once. The floor is the least that does it: two streams, written and read blob
// by blob, and one SHA-256. Both are done by turns; x-floor is how many times as
// long the exchange takes.

func BenchmarkLargeBlobs(b *testing.B) { benchRatio(b, 64, 1<<20+16) }

func BenchmarkSmallBlobs(b *testing.B) { benchRatio(b, 4000, 16<<10+16) }

// BenchmarkRanges gets blobs of 1 MiB in ranges of 64 KiB.
func BenchmarkRanges(b *testing.B) {
	blobs, ids := benchBlobs(16, 1<<20)
	p := benchPeer(b, blobs)
	b.SetBytes(16 << 20)
	for b.Loop() {
		bench64(b, 16*16, func(i int, buf []byte) ([]byte, error) {
			r := rangeOf(blobs[i/16], i%16<<16, 1<<16)
			return p.GetRange(b.Context(), ids[i/16], r, buf)
		})
	}
}

func benchRatio(b *testing.B, count, size int) {
	blobs, ids := benchBlobs(count, size)
	p, floor := benchPeer(b, blobs), benchFloor(b, blobs, ids)
	b.SetBytes(int64(count * size))
	var took, least time.Duration
	for b.Loop() {
		begun := time.Now()
		floor()
		between := time.Now()
		bench64(b, count, func(i int, buf []byte) ([]byte, error) { return p.Get(b.Context(), ids[i], buf) })
		least += between.Sub(begun)
		took += time.Since(between)
	}
	b.ReportMetric(float64(took)/float64(least), "x-floor")
	b.ReportMetric(float64(count)*float64(b.N)/took.Seconds(), "blobs/s")
	runtime.KeepAlive(blobs)
}

func benchBlobs(count, size int) (blobs [][]byte, ids []blobnet.ID) {
	for i := range count {
		blobs = append(blobs, randomBlob(size, uint64(i)))
		ids = append(ids, blobnet.Sum(blobs[i]))
	}
	return blobs, ids
}

func benchPeer(b *testing.B, blobs [][]byte) *Peer {
	from, to := newPair(b)
	start(b, Config{Host: to, Store: newTestStore(blobs...)})
	return start(b, Config{Host: from}).Peer(to.ID())
}

// bench64 does get for 0 to count-1, 64 at once.
func bench64(b *testing.B, count int, get func(i int, buf []byte) ([]byte, error)) {
	next := make(chan int)
	var work sync.WaitGroup
	for range 64 {
		work.Go(func() {
			var buf []byte
			for i := range next {
				got, err := get(i, buf[:0])
				if err != nil {
					b.Error(err)
				}
				buf = got
			}
		})
	}
	for i := range count {
		next <- i
	}
	close(next)
	work.Wait()
}

func benchFloor(b *testing.B, blobs [][]byte, ids []blobnet.ID) func() {
	from, to := newPair(b)
	to.SetStreamHandler("/bench/1", func(s network.Stream) {
		defer s.Close()
		var half [1]byte
		for {
			if _, err := io.ReadFull(s, half[:]); err != nil {
				return
			}
			for i := int(half[0]); i < len(blobs); i += 2 {
				if _, err := s.Write(blobs[i]); err != nil {
					return
				}
			}
		}
	})
	var streams [2]network.Stream
	for i := range streams {
		s, err := from.NewStream(context.Background(), to.ID(), "/bench/1")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { s.Reset() })
		streams[i] = s
	}
	buf := [2][]byte{make([]byte, len(blobs[0])), make([]byte, len(blobs[0]))}
	return func() {
		var work sync.WaitGroup
		for half, s := range streams {
			work.Go(func() {
				s.Write([]byte{byte(half)})
				for i := half; i < len(ids); i += 2 {
					if _, err := io.ReadFull(s, buf[half]); err != nil || blobnet.Sum(buf[half]) != ids[i] {
						b.Errorf("blob %d: %v", i, err)
						return
					}
				}
			})
		}
		work.Wait()
	}
}
