package stream_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"sync/atomic"
	"testing"

	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/stream"
)

// TestOverAnExchangeEachByteIsSentOnce reads a file from end to end, and then
// here and there, from a real host.
func TestOverAnExchangeEachByteIsSentOnce(t *testing.T) {
	plain := make([]byte, 20<<20+99)
	rand.NewChaCha8([32]byte{3}).Read(plain)
	store := memstore.New(memstore.Config{})
	f, err := codec.Encode(t.Context(), bytes.NewReader(plain), store, codec.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var sent atomic.Int64
	h := serve(t, store, func(ev exchange.Event) {
		if ev.Kind == exchange.KindUpload {
			sent.Add(ev.Bytes)
		}
	})
	swarm := swarmOf(t, h, h.Addrs()[0], memstore.New(memstore.Config{}))
	r := open(t, stream.Config{Source: swarm}, f)
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("%d bytes: %v", len(got), err)
	}
	// Two chunks begin as parts, whose proofs cost a little; on a busy machine
	// one of those that nobody stores may come twice.
	if n := sent.Load(); n > int64(len(plain))*105/100 {
		t.Errorf("%d bytes were sent for %d", n, len(plain))
	}
	before := sent.Load()
	swarm = swarmOf(t, h, h.Addrs()[0], nil)
	r = open(t, stream.Config{Source: swarm}, f)
	random := rand.New(rand.NewPCG(1, 1))
	buf := make([]byte, 10_000)
	for range 20 {
		off := random.Int64N(int64(len(plain)) - 10_000)
		if _, err := r.ReadAt(buf, off); err != nil || !bytes.Equal(buf, plain[off:][:len(buf)]) {
			t.Fatalf("at %d: %v", off, err)
		}
	}
	if n := sent.Load() - before; n > 20*50_000 {
		t.Errorf("%d bytes were sent for 20 times %d", n, len(buf))
	}
}
