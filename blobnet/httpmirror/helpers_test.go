package httpmirror

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
)

const helloHex = "b94d27b9934d3e08a52e52d7da7dabfac484efe37a5380ee9088f7ace2efcde9"
const helloCID = "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"

var hello = blobnet.Sum([]byte("hello world"))

func newStore(blobs ...[]byte) *memstore.Store {
	s := memstore.New(memstore.Config{})
	for _, b := range blobs {
		if err := s.Put(context.Background(), blobnet.Sum(b), b); err != nil {
			panic(err)
		}
	}
	return s
}

// randomBlob returns size bytes that differ by seed.
func randomBlob(size int, seed uint64) []byte {
	var key [32]byte
	key[0], key[1] = byte(seed), byte(seed>>8)
	b := make([]byte, size)
	rand.NewChaCha8(key).Read(b)
	return b
}

// events collects what is told.
type events struct {
	mu   sync.Mutex
	list []Event
}

func (e *events) add(ev Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, ev)
}

func (e *events) find(kind Kind) (Event, bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.list {
		if ev.Kind == kind {
			return ev, true
		}
	}
	return Event{}, false
}

// start runs a server until the test ends, and returns its URL.
func start(t testing.TB, cfg ServerConfig) string {
	t.Helper()
	cfg.Addr = "127.0.0.1:0"
	s, err := NewServer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
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
	return "http://" + s.Addr().String()
}

func peerOf(t testing.TB, cfg PeerConfig) *Peer {
	t.Helper()
	p, err := NewPeer(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// TestMain fails if a goroutine of the package is left when all have ended.
func TestMain(m *testing.M) {
	code := m.Run()
	for try := 0; ; try++ {
		left := ""
		buf := make([]byte, 4<<20)
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if !strings.Contains(g, "httpmirror.TestMain") && strings.Contains(g, "aml/blobnet/httpmirror.") {
				left += g + "\n\n"
			}
		}
		if left == "" {
			break
		}
		if try == 1000 { // what has returned may take a moment to be gone
			fmt.Fprintf(os.Stderr, "goroutines are left:\n%s", left)
			code = 1
			break
		}
		runtime.Gosched()
	}
	os.Exit(code)
}
