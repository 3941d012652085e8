package client_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/client"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/blobnet/tracker"
	"github.com/anonymous-media-library/aml/codec"
)

func newHost(t *testing.T) host.Host {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableRelay(), libp2p.DisableMetrics())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// board is a tracker for one process: who announced what.
type board struct {
	mu   sync.Mutex
	keys map[tracker.Key]peer.AddrInfo
	told chan struct{} // has a token after each announcement
}

// of is the board as one host sees it.
func (b *board) of(h host.Host) client.Tracker { return &pin{b, *host.InfoFromHost(h)} }

type pin struct {
	*board
	self peer.AddrInfo
}

func (p *pin) Announce(_ context.Context, keys ...tracker.Key) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range keys {
		p.keys[k] = p.self
	}
	p.told <- struct{}{}
	return nil
}

func (p *pin) Unannounce(keys ...tracker.Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range keys {
		delete(p.keys, k)
	}
}

func (p *pin) Find(_ context.Context, key tracker.Key) iter.Seq[peer.AddrInfo] {
	p.mu.Lock()
	info, ok := p.keys[key]
	p.mu.Unlock()
	return func(yield func(peer.AddrInfo) bool) {
		if ok {
			yield(info)
		}
	}
}

// newClient makes a client that serves until the test ends.
func newClient(t *testing.T, cfg client.Config) *client.Client {
	t.Helper()
	c, err := client.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return c
}

func TestAFileIsFoundByTheTrackerAndTheSecondFetchAsksNobody(t *testing.T) {
	b := &board{keys: map[tracker.Key]peer.AddrInfo{}, told: make(chan struct{}, 1)}
	seedHost, fetchHost := newHost(t), newHost(t)
	seeder := newClient(t, client.Config{Host: seedHost, Store: memstore.New(memstore.Config{}), Tracker: b.of(seedHost)})
	content := make([]byte, 5<<20+123)
	rand.Read(content)
	file, err := seeder.Ingest(t.Context(), bytes.NewReader(content), codec.Config{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	seeding := make(chan error, 1)
	go func() { seeding <- seeder.Seed(ctx, file) }()

	var mu sync.Mutex
	kinds := map[client.Kind]int{}
	fetcher := newClient(t, client.Config{Host: fetchHost, Store: memstore.New(memstore.Config{}), Tracker: b.of(fetchHost), OnEvent: func(e client.Event) {
		mu.Lock()
		defer mu.Unlock()
		kinds[e.Kind]++
	}})
	var last client.Progress
	var got bytes.Buffer
	<-b.told
	if err := fetcher.Fetch(t.Context(), file, &got, func(p client.Progress) { last = p }); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), content) {
		t.Fatal("other bytes came than were sealed")
	}
	if want := (client.Progress{Done: int64(len(content)), Total: int64(len(content))}); last != want {
		t.Errorf("the last progress is %+v, want %+v", last, want)
	}
	downloads := kinds[client.KindDownload]
	if downloads != 7 { // 6 chunks, 1 index
		t.Errorf("%d downloads were told, want 7", downloads)
	}
	cancel()
	if err := <-seeding; !errors.Is(err, context.Canceled) {
		t.Errorf("Seed: %v, want that it was cancelled", err)
	}
	if len(b.keys) != 0 {
		t.Error("a file is announced after Seed has ended")
	}
	got.Reset()
	if err := fetcher.Fetch(t.Context(), file, &got, nil); err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Fatalf("the second fetch: %v", err)
	}
	if kinds[client.KindDownload] != downloads {
		t.Error("what was in the store was fetched again")
	}
}

// liar is a peer that gives bytes which nobody asked for, as a Source that does
// not check would.
type liar struct{}

func (liar) Name() string { return "liar" }
func (liar) Get(_ context.Context, _ blobnet.ID, dst []byte) ([]byte, error) {
	return dst, blobnet.ErrCorrupt
}

func TestAPeerThatLiesIsToldOfAndTheFileComesFromAnother(t *testing.T) {
	seedHost := newHost(t)
	seeder := newClient(t, client.Config{Host: seedHost, Store: memstore.New(memstore.Config{})})
	content := make([]byte, 3<<20)
	rand.Read(content)
	file, err := seeder.Ingest(t.Context(), bytes.NewReader(content), codec.Config{})
	if err != nil {
		t.Fatal(err)
	}
	lies := make(chan client.Event, 100)
	fetcher := newClient(t, client.Config{Host: newHost(t), Store: memstore.New(memstore.Config{}), OnEvent: func(e client.Event) {
		if e.Kind == client.KindDropped {
			lies <- e
		}
	}})
	fetcher.AddPeer(liar{})
	fetcher.AddAddr(*host.InfoFromHost(seedHost))
	var got bytes.Buffer
	if err := fetcher.Fetch(t.Context(), file, &got, nil); err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Fatalf("with a liar among the peers: %v", err)
	}
	select {
	case e := <-lies:
		if e.Peer != "liar" || !errors.Is(e.Err, blobnet.ErrCorrupt) {
			t.Errorf("told was %+v", e)
		}
	default:
		t.Error("nobody was told of the liar")
	}
}

func TestWithoutPeersAFetchEndsWithNotFound(t *testing.T) {
	c := newClient(t, client.Config{Host: newHost(t), Store: memstore.New(memstore.Config{}), Patience: time.Millisecond})
	other := memstore.New(memstore.Config{})
	file, err := codec.Encode(t.Context(), bytes.NewReader(make([]byte, 100)), other, codec.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Fetch(t.Context(), file, &bytes.Buffer{}, nil); !errors.Is(err, blobnet.ErrNotFound) {
		t.Errorf("%v, want ErrNotFound", err)
	}
}

func TestAConfigurationWithoutHostOrStoreIsRefused(t *testing.T) {
	for _, cfg := range []client.Config{{}, {Host: newHost(t)}, {Host: newHost(t), Store: memstore.New(memstore.Config{}), Patience: -1}} {
		if _, err := client.New(cfg); err == nil {
			t.Errorf("%+v was taken", cfg)
		}
	}
}
