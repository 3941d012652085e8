package stream_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/multiformats/go-multiaddr"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/stream"
)

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.Transport(tcp.NewTCPTransport),
		libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.DisableRelay())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// serve serves store from a host of its own.
func serve(t testing.TB, store blobnet.Store, onEvent func(exchange.Event)) host.Host {
	t.Helper()
	h := newHost(t)
	x, err := exchange.New(exchange.Config{Host: h, Store: store, OnEvent: onEvent})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- x.Run(context.Background()) }()
	for !slices.Contains(h.Mux().Protocols(), exchange.Protocol) {
		runtime.Gosched()
	}
	t.Cleanup(func() {
		x.Close()
		<-ended
	})
	return h
}

// swarmOf returns a swarm that asks h alone, at addr.
func swarmOf(t testing.TB, h host.Host, addr multiaddr.Multiaddr, store blobnet.Store) *fetch.Swarm {
	t.Helper()
	own := newHost(t)
	own.Peerstore().AddAddr(h.ID(), addr, peerstore.PermanentAddrTTL)
	x, err := exchange.New(exchange.Config{Host: own})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	s, err := fetch.New(fetch.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	s.Add(x.Peer(h.ID()))
	return s
}

// bigFile puts a pseudo-random file of size bytes into store.
func bigFile(t testing.TB, store codec.Putter, size int64) codec.File {
	t.Helper()
	f, err := codec.Encode(t.Context(), io.LimitReader(rand.NewChaCha8([32]byte{1}), size), store, codec.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// BenchmarkFirstBytes measures how long the first 64 KiB at a random offset of a
// remote file of 1 GiB take over a connection that exists: with nothing known
// of the file ("cold": the index comes first), and with its index here. It
// wants at least 50 iterations, say -benchtime 60x.
func BenchmarkFirstBytes(b *testing.B) {
	const size = 1 << 30
	store := memstore.New(memstore.Config{})
	file := bigFile(b, store, size)
	h := serve(b, store, nil)
	for _, line := range []struct {
		name string
		most time.Duration // that the median may be
		addr func(b *testing.B) multiaddr.Multiaddr
	}{
		{"loopback", 10 * time.Millisecond, func(*testing.B) multiaddr.Multiaddr { return h.Addrs()[0] }},
		{"10Mbit-50ms", 500 * time.Millisecond, func(b *testing.B) multiaddr.Multiaddr {
			_, port, err := multiaddrPort(h.Addrs()[0])
			if err != nil {
				b.Fatal(err)
			}
			l := newLink(b, "127.0.0.1:"+port, 25*time.Millisecond, 10_000_000/8)
			return multiaddr.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", l.port()))
		}},
	} {
		b.Run(line.name, func(b *testing.B) {
			addr := line.addr(b)
			swarm := swarmOf(b, h, addr, nil)
			floor := floorOf(b, h, addr)
			if _, err := swarm.Get(b.Context(), file.Root.ID, nil); err != nil { // connects
				b.Fatal(err)
			}
			b.Run("cold", func(b *testing.B) {
				firstBytes(b, size, line.most, floor, func() (*stream.Reader, error) {
					return stream.Open(b.Context(), stream.Config{Source: swarm}, file)
				})
			})
			b.Run("index-here", func(b *testing.B) {
				shared, err := stream.NewFile(stream.Config{Source: swarm, Cache: 1}, file)
				if err != nil {
					b.Fatal(err)
				}
				defer shared.Close()
				if _, err := shared.NewReader(b.Context()).ReadAt(make([]byte, 1), 0); err != nil {
					b.Fatal(err)
				}
				firstBytes(b, size, line.most, floor, func() (*stream.Reader, error) { return shared.NewReader(b.Context()), nil })
			})
		})
	}
}

// floorOf returns the least that 64 KiB can cost: a byte over an open stream to
// h, which answers with as many, neither sealed nor hashed nor proven.
func floorOf(b *testing.B, h host.Host, addr multiaddr.Multiaddr) func() {
	const floor = "/floor/1"
	h.SetStreamHandler(floor, func(s network.Stream) {
		defer s.Close()
		data, ask := make([]byte, 64<<10), make([]byte, 1)
		for {
			if _, err := io.ReadFull(s, ask); err != nil {
				return
			}
			if _, err := s.Write(data); err != nil {
				return
			}
		}
	})
	own := newHost(b)
	own.Peerstore().AddAddr(h.ID(), addr, peerstore.PermanentAddrTTL)
	s, err := own.NewStream(b.Context(), h.ID(), floor)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Reset() })
	buf := make([]byte, 64<<10)
	return func() {
		if _, err := s.Write(buf[:1]); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(s, buf); err != nil {
			b.Fatal(err)
		}
	}
}

// firstBytes times reads at random offsets in turn with the floor.
func firstBytes(b *testing.B, size int64, most time.Duration, floor func(), open func() (*stream.Reader, error)) {
	random := rand.New(rand.NewPCG(1, 2))
	buf := make([]byte, 64<<10)
	var took, least []time.Duration
	for b.Loop() {
		asked := time.Now()
		floor()
		least = append(least, time.Since(asked))
		begun := time.Now()
		r, err := open()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := r.Seek(random.Int64N(size-int64(len(buf))), io.SeekStart); err != nil {
			b.Fatal(err)
		}
		if _, err := io.ReadFull(r, buf); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(begun))
		r.Close()
	}
	slices.Sort(took)
	slices.Sort(least)
	if m := took[len(took)/2]; m > most {
		b.Errorf("the median is %v, and is to be under %v", m, most)
	}
	b.ReportMetric(float64(took[len(took)/2])/float64(least[len(least)/2]), "x-floor")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "median-ms")
	b.ReportMetric(float64(took[len(took)*9/10].Microseconds())/1000, "p90-ms")
	b.ReportMetric(0, "ns/op")
}

func multiaddrPort(a multiaddr.Multiaddr) (host, port string, err error) {
	if host, err = a.ValueForProtocol(multiaddr.P_IP4); err != nil {
		return "", "", err
	}
	port, err = a.ValueForProtocol(multiaddr.P_TCP)
	return host, port, err
}
