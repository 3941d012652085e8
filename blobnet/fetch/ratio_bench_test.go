package fetch_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peerstore"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/limit"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
)

// These benchmarks fetch over real hosts and exchanges on 127.0.0.1. A seeder's
// rate is that of the upload limit that its exchange has, which all its peers share.
const seederRate = 20e6 // bytes/s

// limited is the upload limit of so many bytes per second that a user sets.
func limited(rate float64) *limit.Upload {
	return limit.NewUpload(limit.Config{Total: int64(rate)})
}

// marks is a store of blobs that are all in memory already: it keeps which of
// them were put, so that a benchmark does not measure the kernel's giving of
// fresh memory.
type marks struct {
	all map[blobnet.ID][]byte // never changed

	mu  sync.Mutex
	has map[blobnet.ID]bool
}

func newMarks(blobs [][]byte, ids []blobnet.ID) *marks {
	m := &marks{all: make(map[blobnet.ID][]byte), has: make(map[blobnet.ID]bool)}
	for i, id := range ids {
		m.all[id] = blobs[i]
	}
	return m
}

func (m *marks) Get(_ context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.has[id] {
		return dst, blobnet.ErrNotFound
	}
	return append(dst, m.all[id]...), nil
}

func (m *marks) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	return m.PutVerified(ctx, id, blob)
}

func (m *marks) PutVerified(_ context.Context, id blobnet.ID, _ []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.has[id] = true
	return nil
}

func (m *marks) Has(_ context.Context, ids ...blobnet.ID) ([]bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	has := make([]bool, len(ids))
	for i, id := range ids {
		has[i] = m.has[id]
	}
	return has, nil
}

// node is a host with an exchange that serves a store.
type node struct {
	host  host.Host
	x     *exchange.Exchange
	store blobnet.Store
}

func newNode(b *testing.B, store blobnet.Store, up exchange.Limiter) *node {
	b.Helper()
	h := newHost(b)
	x, err := exchange.New(exchange.Config{Host: h, Store: store, Upload: up})
	if err != nil {
		b.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- x.Run(context.Background()) }()
	for !slices.Contains(h.Mux().Protocols(), exchange.Protocol) {
		runtime.Gosched()
	}
	b.Cleanup(func() {
		x.Close()
		<-ended
	})
	return &node{h, x, store}
}

// swarm is a swarm of n over others.
func (n *node) swarm(b *testing.B, cfg fetch.Config, others ...*node) *fetch.Swarm {
	b.Helper()
	var hosts []host.Host
	for _, o := range others {
		if o != n {
			n.host.Peerstore().AddAddrs(o.host.ID(), o.host.Addrs(), peerstore.PermanentAddrTTL)
			hosts = append(hosts, o.host)
		}
	}
	cfg.Store = n.store
	return newSwarm(b, cfg, n.x, hosts...)
}

// seeders makes a node of each rate that has all blobs, and says how long one
// more needs to get them, and how much of them twice.
func seeders(b *testing.B, store *memstore.Store, ids []blobnet.ID, rates ...float64) (time.Duration, fetch.Counts) {
	var all []*node
	for _, r := range rates {
		all = append(all, newNode(b, store, limited(r)))
	}
	to := newNode(b, nil, nil)
	s := to.swarm(b, fetch.Config{}, all...)
	begun := time.Now()
	if err := fetch.Each(b.Context(), s, sequence(ids), self, nothing); err != nil {
		b.Fatal(err)
	}
	took := time.Since(begun)
	var sum fetch.Counts
	for _, c := range s.Counts() {
		sum.Useful += c.Useful
		sum.Duplicate += c.Duplicate
	}
	return took, sum
}

// BenchmarkFourSeeders reports which share of what four seeders can give
// together is got; the floor is 0.95.
func BenchmarkFourSeeders(b *testing.B) {
	blobs, ids := blobsOf(256, benchSize)
	store := storeWith(b, blobs...)
	var took time.Duration
	for b.Loop() {
		t, _ := seeders(b, store, ids, seederRate, seederRate, seederRate, seederRate)
		took += t
	}
	b.ReportMetric(float64(b.N*len(ids)*benchSize)/took.Seconds()/(4*seederRate), "of-80MB/s")
}

// BenchmarkOneSlowSeeder is BenchmarkFourSeeders with one that is slowed to 100
// KB/s; it reports which share of what the others can give is got, where the
// floor is 0.90, and which share of bytes came twice, at most 0.02.
func BenchmarkOneSlowSeeder(b *testing.B) {
	blobs, ids := blobsOf(256, benchSize)
	store := storeWith(b, blobs...)
	var took time.Duration
	var sum fetch.Counts
	for b.Loop() {
		t, c := seeders(b, store, ids, seederRate, 100e3, seederRate, seederRate)
		took += t
		sum.Useful += c.Useful
		sum.Duplicate += c.Duplicate
	}
	b.ReportMetric(float64(b.N*len(ids)*benchSize)/took.Seconds()/(3*seederRate), "of-60MB/s")
	b.ReportMetric(float64(sum.Duplicate)/float64(sum.Useful), "twice")
}

// BenchmarkEightFetchers reports how many times as long as one fetcher eight
// need that get the same from one seeder at the same time, each serving what it
// has to the others; the ceiling is 2. The fetchers' own uplinks have no limit.
func BenchmarkEightFetchers(b *testing.B) {
	blobs, ids := blobsOf(64, benchSize)
	full := storeWith(b, blobs...)
	run := func(n int) time.Duration {
		seeder := newNode(b, full, limited(seederRate))
		nodes := []*node{seeder}
		for range n {
			nodes = append(nodes, newNode(b, newMarks(blobs, ids), nil))
		}
		swarms := make([]*fetch.Swarm, n)
		for i := range swarms {
			swarms[i] = nodes[1+i].swarm(b, fetch.Config{Seed: uint64(i + 1), Name: nodes[1+i].host.ID().String()}, nodes...)
		}
		var wg sync.WaitGroup
		begun := time.Now()
		for i, s := range swarms {
			wg.Go(func() {
				if err := fetch.Each(b.Context(), s, sequence(ids), self, nothing); err != nil {
					b.Error(fmt.Errorf("fetcher %d: %w", i, err))
				}
			})
		}
		wg.Wait()
		return time.Since(begun)
	}
	var one, eight time.Duration
	for b.Loop() {
		one += run(1)
		eight += run(8)
	}
	b.ReportMetric(float64(eight)/float64(one), "x-one")
	b.ReportMetric(one.Seconds()/float64(b.N), "s-one")
}
