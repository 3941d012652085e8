package fetch_test

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
)

// These tests fetch over real hosts on 127.0.0.1.

// TestMain fails if a goroutine of this package or of an exchange is left.
func TestMain(m *testing.M) {
	code := m.Run()
	buf := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		for _, f := range []string{"exchange.(*session)", "exchange.(*link)", "exchange.(*client)", "fetch.(*Swarm)"} {
			if strings.Contains(g, f) {
				fmt.Fprintf(os.Stderr, "goroutine is left:\n%s\n", g)
				code = 1
			}
		}
	}
	os.Exit(code)
}

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.DisableRelay(),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// seeder is a host that serves a store.
type seeder struct {
	host    host.Host
	uploads atomic.Int64 // blobs sent whole
	partial atomic.Int64 // blobs that were cancelled or lost
	bytes   atomic.Int64
	once    sync.Once
	stop    func()
}

func newSeeder(t testing.TB, store blobnet.Store) *seeder {
	t.Helper()
	s := &seeder{host: newHost(t)}
	x, err := exchange.New(exchange.Config{Host: s.host, Store: store, OnEvent: func(ev exchange.Event) {
		if ev.Kind != exchange.KindUpload {
			return
		}
		s.bytes.Add(ev.Bytes)
		if ev.Err != nil {
			s.partial.Add(1)
		} else {
			s.uploads.Add(1)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- x.Run(context.Background()) }()
	for !slices.Contains(s.host.Mux().Protocols(), exchange.Protocol) {
		runtime.Gosched()
	}
	s.stop = func() {
		s.once.Do(func() {
			x.Close()
			<-ended
			s.host.Close()
		})
	}
	t.Cleanup(s.stop)
	return s
}

// newLeecher returns an exchange that knows the addresses of hosts.
func newLeecher(t testing.TB, hosts ...host.Host) *exchange.Exchange {
	t.Helper()
	h := newHost(t)
	for _, to := range hosts {
		h.Peerstore().AddAddrs(to.ID(), to.Addrs(), peerstore.PermanentAddrTTL)
	}
	x, err := exchange.New(exchange.Config{Host: h, StallTimeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func storeWith(t testing.TB, blobs ...[]byte) *memstore.Store {
	t.Helper()
	s := memstore.New(memstore.Config{})
	for _, b := range blobs {
		if err := s.Put(t.Context(), blobnet.Sum(b), b); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func blobsOf(n, size int) (blobs [][]byte, ids []blobnet.ID) {
	r := rand.NewChaCha8([32]byte{byte(size), byte(size >> 8)})
	for i := range n {
		blobs = append(blobs, make([]byte, size))
		r.Read(blobs[i])
		ids = append(ids, blobnet.Sum(blobs[i]))
	}
	return blobs, ids
}

func sequence(ids []blobnet.ID) iter.Seq2[blobnet.ID, error] {
	return func(yield func(blobnet.ID, error) bool) {
		for _, id := range ids {
			if !yield(id, nil) {
				return
			}
		}
	}
}

func self(id blobnet.ID) fetch.Want { return fetch.Want{ID: id, Class: blobnet.Foreground} }

func nothing(blobnet.ID, []byte, bool) error { return nil }

func newSwarm(t testing.TB, cfg fetch.Config, x *exchange.Exchange, hosts ...host.Host) *fetch.Swarm {
	t.Helper()
	s, err := fetch.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range hosts {
		s.Add(x.Peer(h.ID()))
	}
	return s
}

func TestFetchFromSeveralPeersAtOnceAndResume(t *testing.T) {
	blobs, ids := blobsOf(60, 300_000)
	a, b, c := newSeeder(t, storeWith(t, blobs[:40]...)), newSeeder(t, storeWith(t, blobs[20:]...)), newSeeder(t, storeWith(t, blobs...))
	x := newLeecher(t, a.host, b.host, c.host)
	store := storeWith(t)
	s := newSwarm(t, fetch.Config{Store: store}, x, a.host, b.host, c.host)

	// The first run is broken off.
	ctx, cancel := context.WithCancel(t.Context())
	var n atomic.Int64
	err := fetch.Each(ctx, s, sequence(ids), self, func(id blobnet.ID, blob []byte, local bool) error {
		if n.Add(1) == 25 {
			cancel()
		}
		return nil
	})
	if err == nil {
		t.Fatal("cancelled Each gave no error")
	}
	has, err := store.Has(t.Context(), ids...)
	if err != nil {
		t.Fatal(err)
	}
	have := int64(0)
	for _, ok := range has {
		if ok {
			have++
		}
	}
	if have < 25 || have == int64(len(ids)) {
		t.Errorf("%d blobs after the first run", have)
	}

	// The second, of another process, asks only for what is missing.
	a.stop()
	b.stop()
	c.stop()
	a, b = newSeeder(t, storeWith(t, blobs[:40]...)), newSeeder(t, storeWith(t, blobs[20:]...))
	x = newLeecher(t, a.host, b.host)
	s = newSwarm(t, fetch.Config{Store: store}, x, a.host, b.host)
	var local, remote atomic.Int64
	err = fetch.Each(t.Context(), s, sequence(ids), self, func(id blobnet.ID, blob []byte, isLocal bool) error {
		if blobnet.Sum(blob) != id {
			t.Error("wrong bytes")
		}
		if isLocal {
			local.Add(1)
		} else {
			remote.Add(1)
		}
		return nil
	})
	if err != nil || local.Load() != have || remote.Load() != int64(len(ids))-have {
		t.Errorf("%d local, %d remote: %v", local.Load(), remote.Load(), err)
	}
	a.stop()
	b.stop()
	if n := a.uploads.Load() + b.uploads.Load(); n < remote.Load() || n > remote.Load()+2 { // the last ones may be raced
		t.Errorf("%d uploads for %d missing blobs", n, remote.Load())
	}
}

// plain is a peer that is not asked what it has.
type plain struct{ fetch.Peer }

// hostile is a host whose protocol handler is the test's.
func hostile(t *testing.T, handler func(network.Stream)) host.Host {
	h := newHost(t)
	h.SetStreamHandler(exchange.Protocol, handler)
	return h
}

func TestFetchAmongHostilePeersGetsEverything(t *testing.T) {
	blobs, ids := blobsOf(30, 200_000)
	over := make(chan struct{})
	t.Cleanup(func() { close(over) })
	ack := []byte{0, 0, 0, 8, 1, 1, 0, 0, 0, 0, 0, 128}
	garbage := hostile(t, func(s network.Stream) {
		s.Write(blobs[0])
		<-over
		s.Reset()
	})
	silent := hostile(t, func(s network.Stream) {
		s.Write(ack)
		<-over
		s.Reset()
	})
	resets := hostile(t, func(s network.Stream) { s.Reset() })
	// One answers the first request on a stream with wrong bytes.
	liar := hostile(t, func(s network.Stream) {
		s.Write(ack)
		s.Write([]byte{0, 0, 0, 18, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 4, 'e', 'v', 'i', 'l'})
		<-over
		s.Reset()
	})
	// One stops in the middle of a blob.
	stops := hostile(t, func(s network.Stream) {
		s.Write(ack)
		s.Write([]byte{0, 0, 0, 18, 3, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 3, 0, 0, 'e', 'v', 'i', 'l'})
		<-over
		s.Reset()
	})
	good := newSeeder(t, storeWith(t, blobs...))
	hosts := []host.Host{garbage, silent, resets, liar, stops, good.host}
	x := newLeecher(t, hosts...)
	var mu sync.Mutex
	dropped, wrong := make(map[string]bool), make(map[string]bool)
	s := newSwarm(t, fetch.Config{Store: storeWith(t), SlowAfter: 200 * time.Millisecond, OnEvent: func(ev fetch.Event) {
		mu.Lock()
		defer mu.Unlock()
		switch ev.Kind {
		case fetch.KindDropped:
			dropped[ev.Peer] = true
		case fetch.KindWrong:
			wrong[ev.Peer] = true
		}
	}}, x)
	for _, h := range hosts {
		s.Add(plain{x.Peer(h.ID())}) // the first request on a stream is for a blob
	}
	var got atomic.Int64
	err := fetch.Each(t.Context(), s, sequence(ids), self, func(id blobnet.ID, blob []byte, _ bool) error {
		got.Add(1)
		if blobnet.Sum(blob) != id {
			t.Error("wrong bytes")
		}
		return nil
	})
	if err != nil || got.Load() != int64(len(ids)) {
		t.Fatalf("%d blobs: %v", got.Load(), err)
	}
	mu.Lock()
	defer mu.Unlock()
	if !dropped[garbage.ID().String()] {
		t.Error("garbage was not dropped")
	}
	if id := liar.ID().String(); !wrong[id] && !dropped[id] { // dropped if it is asked again
		t.Error("wrong bytes were not told")
	}
	for name, h := range map[string]host.Host{"silent": silent, "stops": stops, "resets": resets, "good": good.host} {
		if dropped[h.ID().String()] {
			t.Errorf("%s was dropped", name)
		}
	}
}

func TestFetchGoesOnWhenAPeerDies(t *testing.T) {
	blobs, ids := blobsOf(50, 500_000)
	dies, lives := newSeeder(t, storeWith(t, blobs...)), newSeeder(t, storeWith(t, blobs...))
	x := newLeecher(t, dies.host, lives.host)
	s := newSwarm(t, fetch.Config{}, x, dies.host, lives.host)
	var n atomic.Int64
	err := fetch.Each(t.Context(), s, sequence(ids), self, func(id blobnet.ID, blob []byte, _ bool) error {
		if n.Add(1) == 5 {
			dies.stop()
		}
		if !bytes.Equal(blob, blobs[slices.Index(ids, id)]) {
			t.Error("wrong bytes")
		}
		return nil
	})
	if err != nil || n.Load() != int64(len(ids)) {
		t.Errorf("%d blobs: %v", n.Load(), err)
	}
}

func TestCancelledFetchStopsTheTransfer(t *testing.T) {
	blobs, ids := blobsOf(64, 2<<20)
	from := newSeeder(t, storeWith(t, blobs...))
	x := newLeecher(t, from.host)
	s := newSwarm(t, fetch.Config{}, x, from.host)
	ctx, cancel := context.WithCancel(t.Context())
	err := fetch.Each(ctx, s, sequence(ids), self, func(blobnet.ID, []byte, bool) error {
		cancel()
		return nil
	})
	if err == nil {
		t.Fatal("no error")
	}
	// The stream goes on with another blob, behind what was cancelled.
	if _, err := s.Get(t.Context(), ids[63], nil); err != nil {
		t.Error(err)
	}
	from.stop()
	// Of some twenty blobs asked for, most were not sent.
	if n := from.bytes.Load(); n > 40<<20 {
		t.Errorf("%d MiB were sent after all", n>>20)
	}
}
