package exchange

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
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
	"github.com/anonymous-media-library/aml/blobnet/memstore"
)

// testStore is a store whose Gets can be counted and held up.
type testStore struct {
	*memstore.Store
	gets  atomic.Int64
	block chan struct{} // if not nil, Get waits until it is closed
}

func newTestStore(blobs ...[]byte) *testStore {
	s := &testStore{Store: memstore.New(memstore.Config{})}
	for _, b := range blobs {
		if err := s.Put(context.Background(), blobnet.Sum(b), b); err != nil {
			panic(err)
		}
	}
	return s
}

func (s *testStore) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	s.gets.Add(1)
	if s.block != nil {
		select {
		case <-s.block:
		case <-ctx.Done():
			return dst, ctx.Err()
		}
	}
	return s.Store.Get(ctx, id, dst)
}

// randomBlob returns size bytes that differ by seed.
func randomBlob(size int, seed uint64) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, size)
	rand.NewChaCha8(key).Read(b)
	return b
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

// newPair returns two hosts, the first of which knows the second's address.
func newPair(t testing.TB) (from, to host.Host) {
	from, to = newHost(t), newHost(t)
	from.Peerstore().AddAddrs(to.ID(), to.Addrs(), peerstore.PermanentAddrTTL)
	return from, to
}

// events collects what an exchange tells.
type events struct {
	mu   sync.Mutex
	list []Event
	more chan struct{}
}

func newEvents() *events { return &events{more: make(chan struct{}, 1)} }

func (e *events) add(ev Event) {
	e.mu.Lock()
	e.list = append(e.list, ev)
	e.mu.Unlock()
	notify(e.more)
}

func (e *events) count(kind Kind) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	n := 0
	for _, ev := range e.list {
		if ev.Kind == kind {
			n++
		}
	}
	return n
}

// wait returns the first event of a kind, for which it waits.
func (e *events) wait(t *testing.T, kind Kind) Event {
	t.Helper()
	timeout := time.After(10 * time.Second)
	for {
		e.mu.Lock()
		for _, ev := range e.list {
			if ev.Kind == kind {
				e.mu.Unlock()
				return ev
			}
		}
		e.mu.Unlock()
		select {
		case <-e.more:
		case <-timeout:
			t.Fatalf("no %v event", kind)
		}
	}
}

// start makes an exchange that serves until the test ends. TestMain checks
// that none leaves a goroutine behind.
func start(t testing.TB, cfg Config) *Exchange {
	t.Helper()
	e, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	ready := make(chan struct{})
	go func() {
		close(ready)
		ended <- e.Run(ctx)
	}()
	<-ready
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Error(err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end")
		}
	})
	waitForHandler(t, cfg.Host)
	return e
}

func waitForHandler(t testing.TB, h host.Host) {
	t.Helper()
	for range 1 << 20 {
		for _, p := range h.Mux().Protocols() {
			if p == Protocol {
				return
			}
		}
		runtime.Gosched()
	}
	t.Fatal("exchange does not serve")
}

// TestMain fails if a goroutine of an exchange is left when all have ended.
func TestMain(m *testing.M) {
	code := m.Run()
	buf := make([]byte, 1<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		for _, f := range []string{"(*session)", "(*link)", "(*client)"} {
			if strings.Contains(g, "exchange."+f) {
				fmt.Fprintf(os.Stderr, "goroutine is left:\n%s\n", g)
				code = 1
			}
		}
	}
	os.Exit(code)
}

// raw is a stream on which a test speaks frames by hand.
type raw struct {
	t  *testing.T
	s  network.Stream
	fr *frameReader
}

func newRaw(t *testing.T, s network.Stream) *raw {
	s.SetDeadline(time.Now().Add(10 * time.Second))
	return &raw{t, s, newFrameReader(s, func() {})}
}

// dial opens a raw stream from one host to another.
func dial(t *testing.T, from, to host.Host) *raw {
	t.Helper()
	s, err := from.NewStream(context.Background(), to.ID(), Protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Reset() })
	return newRaw(t, s)
}

func (r *raw) send(frames ...frame) error {
	var b []byte
	for _, f := range frames {
		b = appendFrame(b, f)
	}
	_, err := r.s.Write(b)
	return err
}

// hello does the handshake of the requesting side.
func (r *raw) hello() *raw {
	r.t.Helper()
	if err := r.send(frame{typ: typeHandshake, version: version}); err != nil {
		r.t.Fatal(err)
	}
	if f := r.next(); f.typ != typeHandshakeAck {
		r.t.Fatalf("got %v for a handshake", f.typ)
	}
	return r
}

func (r *raw) next() frame {
	r.t.Helper()
	f, err := r.fr.next()
	if err != nil {
		r.t.Fatal(err)
	}
	return f
}

// ended reads until the stream ends and returns why.
func (r *raw) ended() error {
	for {
		if _, err := r.fr.next(); err != nil {
			return err
		}
	}
}
