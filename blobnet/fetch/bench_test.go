package fetch_test

import (
	"context"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
)

// The benchmarks move benchBlobs sealed chunks of 1 MiB per operation between
// two hosts in this process. BenchmarkFetchFloor is the least that does it:
// two streams, written and read in whole blobs, and one SHA-256.
// BenchmarkFetchRatio does both by turns and reports how many times as long
// fetching takes.
const (
	benchBlobs = 64
	benchSize  = 1<<20 + 16

	benchProtocol = "/bench/1"
)

func BenchmarkFetchLoopback(b *testing.B) {
	run := fetchLoopback(b)
	b.SetBytes(benchBlobs * benchSize)
	for b.Loop() {
		run()
	}
}

func BenchmarkFetchFloor(b *testing.B) {
	run := fetchFloor(b)
	b.SetBytes(benchBlobs * benchSize)
	for b.Loop() {
		run()
	}
}

func BenchmarkFetchRatio(b *testing.B) {
	loopback, floor := fetchLoopback(b), fetchFloor(b)
	var took, least time.Duration
	for b.Loop() {
		begun := time.Now()
		floor()
		between := time.Now()
		loopback()
		least += between.Sub(begun)
		took += time.Since(between)
	}
	b.ReportMetric(float64(took)/float64(least), "x-floor")
}

// fetchLoopback returns a function that fetches the blobs.
func fetchLoopback(b *testing.B) func() {
	blobs, ids := blobsOf(benchBlobs, benchSize)
	from := newSeeder(b, storeWith(b, blobs...))
	x := newLeecher(b, from.host)
	s := newSwarm(b, fetch.Config{}, x, from.host)
	return func() {
		if err := fetch.Each(b.Context(), s, sequence(ids), self, nothing); err != nil {
			b.Fatal(err)
		}
	}
}

// fetchFloor returns a function that streams the blobs over two streams.
func fetchFloor(b *testing.B) func() {
	blobs, ids := blobsOf(benchBlobs, benchSize)
	from, to := newHost(b), newHost(b)
	to.Peerstore().AddAddrs(from.ID(), from.Addrs(), peerstore.PermanentAddrTTL)
	from.SetStreamHandler(benchProtocol, func(s network.Stream) {
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
	streams := [2]network.Stream{openStream(b, to, from), openStream(b, to, from)}
	bufs := [2][]byte{make([]byte, benchSize), make([]byte, benchSize)}
	return func() {
		var wg sync.WaitGroup
		for half, s := range streams {
			wg.Go(func() {
				if _, err := s.Write([]byte{byte(half)}); err != nil {
					b.Error(err)
					return
				}
				for i := half; i < len(ids); i += 2 {
					if _, err := io.ReadFull(s, bufs[half]); err != nil || blobnet.Sum(bufs[half]) != ids[i] {
						b.Errorf("blob %d: %v", i, err)
						return
					}
				}
			})
		}
		wg.Wait()
	}
}

func openStream(b *testing.B, from, to host.Host) network.Stream {
	s, err := from.NewStream(context.Background(), to.ID(), benchProtocol)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Reset() })
	return s
}
