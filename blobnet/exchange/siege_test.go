package exchange

import (
	"bytes"
	"context"
	"errors"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"github.com/anonymous-media-library/aml/blobnet"
)

// until waits for something to become true that nobody tells of.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(30 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("never: %s", what)
		}
	}
}

// workers counts the goroutines of this package's streams.
func workers() (n int) {
	buf := make([]byte, 8<<20)
	for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		if strings.Contains(g, "exchange.(*session)") || strings.Contains(g, "exchange.(*link)") {
			n++
		}
	}
	return n
}

func TestTwoHundredConnectionsOfOnePeerKeepNobodyOut(t *testing.T) {
	blob := randomBlob(1<<20, 1)
	honest, to := newPair(t)
	ev := newEvents()
	e := start(t, Config{Host: to, Store: newTestStore(blob), OnEvent: ev.add, StallTimeout: time.Second})
	before := workers()

	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var attackers []host.Host
	defer func() {
		for _, h := range attackers {
			h.Close()
		}
	}()
	next := make(chan int)
	var work sync.WaitGroup
	for range 8 {
		work.Go(func() {
			for range next {
				h, err := libp2p.New(libp2p.Identity(key), libp2p.NoListenAddrs, libp2p.Transport(tcp.NewTCPTransport),
					libp2p.Security(libp2ptls.ID, libp2ptls.New), libp2p.DisableRelay())
				if err != nil {
					t.Error(err)
					continue
				}
				mu.Lock()
				attackers = append(attackers, h)
				mu.Unlock()
				if h.Connect(t.Context(), to.Peerstore().PeerInfo(to.ID())) != nil {
					continue // the host has limits of its own
				}
				s, err := h.NewStream(t.Context(), to.ID(), Protocol)
				if err != nil {
					continue
				}
				s.SetDeadline(time.Now().Add(time.Minute))
				out := appendFrame(nil, frame{typ: typeHandshake, version: version})
				for req := uint32(1); req <= 200; req++ {
					out = appendFrame(out, frame{typ: typeRequest, req: req, id: blobnet.Sum(blob)})
				}
				s.Write(out) // and it never reads
			}
		})
	}
	for i := range 200 {
		next <- i
		if i%50 == 25 {
			got, err := start(t, Config{Host: honest}).Peer(to.ID()).Get(t.Context(), blobnet.Sum(blob), nil)
			if err != nil || !bytes.Equal(got, blob) {
				t.Errorf("after %d connections: %v", i, err)
			}
		}
		e.mu.Lock()
		if load := e.served[attackersID(key)]; load != nil && load.streams > 4 {
			t.Errorf("%d streams of one peer are served", load.streams)
		}
		e.mu.Unlock()
	}
	close(next)
	work.Wait()
	for _, h := range attackers {
		h.Close()
	}
	attackers = nil
	until(t, "the attacker's streams end", func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.served[attackersID(key)] == nil
	})
	e.buffers.mu.Lock()
	if e.buffers.lent != 0 {
		t.Errorf("%d buffers are lent", e.buffers.lent)
	}
	e.buffers.mu.Unlock()
	for _, c := range to.Network().ConnsToPeer(honest.ID()) {
		c.Close()
	}
	until(t, "the goroutines are as many as before", func() bool { return workers() <= before })
}

func TestServerThatClaimsEverythingAndGivesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		answer func(*raw, frame)
		want   error
	}{
		"says NOT_FOUND":      {func(r *raw, f frame) { r.send(frame{typ: typeNotFound, req: f.req}) }, blobnet.ErrNotFound},
		"says BUSY for ever":  {func(r *raw, f frame) { r.send(frame{typ: typeBusy, req: f.req, retry: 1 << 30}) }, blobnet.ErrBusy},
		"says nothing":        {func(r *raw, f frame) {}, ErrStalled},
		"announces once more": {func(r *raw, f frame) { r.send(frame{typ: typeHave, ids: []blobnet.ID{f.id}}) }, ErrStalled},
		"gives other bytes":   {func(r *raw, f frame) { r.send(part(f.req, make([]byte, 100), 0, 100)) }, blobnet.ErrCorrupt},
	} {
		t.Run(name, func(t *testing.T) {
			before := workers()
			p, ev := hostileServer(t, Config{Streams: 1}, func(r *raw, f frame) {
				for err := error(nil); err == nil; f, err = r.fr.next() {
					switch f.typ {
					case typeWant:
						r.send(frame{typ: typeHas, req: f.req, has: all(len(f.ids))}, frame{typ: typeHave, ids: f.ids})
					case typeRequest:
						c.answer(r, f)
					}
				}
			})
			ids := make([]blobnet.ID, 2000)
			for i := range ids {
				ids[i] = blobnet.ID{1, byte(i), byte(i >> 8)}
			}
			has, err := p.Have(t.Context(), ids)
			if err != nil {
				t.Fatal(err)
			}
			for i, ok := range has {
				if !ok {
					t.Fatalf("id %d is not claimed", i)
				}
			}
			if _, err := p.Get(t.Context(), ids[0], nil); !errors.Is(err, c.want) {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if n := ev.count(KindMisbehaviour); n != 0 != (c.want == blobnet.ErrCorrupt) {
				t.Errorf("%d times misbehaviour", n)
			}
			p.c.e.Close()
			until(t, "the goroutines are as many as before", func() bool { return workers() <= before })
		})
	}
}

func TestPeersThatNeverCloseLeaveNothingBehind(t *testing.T) {
	blob := randomBlob(1000, 1)
	before := workers()
	from, to := newPair(t)
	e := start(t, Config{Host: to, Store: newTestStore(blob), IdleTimeout: 50 * time.Millisecond})
	var all []*raw
	for range 4 {
		r := dial(t, from, to).hello()
		r.send(frame{typ: typeRequest, req: 1, id: blobnet.Sum(blob)})
		r.next()
		all = append(all, r)
	}
	until(t, "the goroutines are as many as before", func() bool { return workers() <= before })
	e.mu.Lock()
	if len(e.streams) != 0 || len(e.served) != 0 {
		t.Errorf("%d streams of %d peers", len(e.streams), len(e.served))
	}
	e.mu.Unlock()
	for _, r := range all { // their end of it is still open
		r.s.Reset()
	}
}

func TestGarbageFromManyPeersLeavesNothingBehind(t *testing.T) {
	before := workers()
	to := newHost(t)
	ev := newEvents()
	e := start(t, Config{Host: to, Store: newTestStore(), OnEvent: ev.add})
	const peers = 6
	var work sync.WaitGroup
	for i := range peers {
		from := newHost(t)
		from.Connect(t.Context(), to.Peerstore().PeerInfo(to.ID()))
		work.Go(func() {
			s, err := from.NewStream(context.Background(), to.ID(), Protocol)
			if err != nil {
				t.Error(err)
				return
			}
			defer s.Reset()
			s.SetDeadline(time.Now().Add(20 * time.Second))
			s.Write(append(appendFrame(nil, frame{typ: typeHandshake, version: version}), randomBlob(300_000, uint64(i))...))
			for err == nil {
				_, err = s.Read(make([]byte, 1000))
			}
			if err, ok := errors.AsType[*network.StreamError](err); !ok || err.ErrorCode != network.StreamProtocolViolation {
				t.Errorf("the stream ended with %v", err)
			}
		})
	}
	work.Wait()
	until(t, "each is told of", func() bool { return ev.count(KindMisbehaviour) == peers })
	until(t, "the goroutines are as many as before", func() bool { return workers() <= before })
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.served) != 0 {
		t.Errorf("%d peers are served", len(e.served))
	}
}

func attackersID(key crypto.PrivKey) peer.ID {
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		panic(err)
	}
	return id
}

// all is an answer that says of n ids that they are there.
func all(n int) []byte {
	has := make([]byte, (n+7)/8)
	for i := range n {
		has[i/8] |= 0x80 >> (i % 8)
	}
	return has
}
