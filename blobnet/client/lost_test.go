package client_test

import (
	"bytes"
	"crypto/rand"
	"io"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/host"

	"github.com/anonymous-media-library/aml/blobnet/client"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/erasure"
)

// lossy returns a seeder of a file with parity that has lost two of its chunks,
// the file and its content.
func lossy(t *testing.T) (host.Host, codec.File, []byte) {
	t.Helper()
	code, err := erasure.New(codec.Coding{Data: 4, Parity: 2})
	if err != nil {
		t.Fatal(err)
	}
	h, store := newHost(t), memstore.New(memstore.Config{})
	seeder := newClient(t, client.Config{Host: h, Store: store})
	content := make([]byte, 1<<20)
	rand.Read(content)
	file, err := seeder.Ingest(t.Context(), bytes.NewReader(content), codec.Config{ChunkSize: 64 << 10, Erasure: code})
	if err != nil {
		t.Fatal(err)
	}
	for chunk, err := range codec.Chunks(t.Context(), store, file) {
		if err != nil {
			t.Fatal(err)
		}
		if chunk.Index == 1 || chunk.Index == 2 {
			if err := store.Delete(t.Context(), chunk.Ref.ID); err != nil {
				t.Fatal(err)
			}
		}
	}
	return h, file, content
}

func TestWhatEverybodyLostIsMadeOutOfParity(t *testing.T) {
	h, file, content := lossy(t)
	store := memstore.New(memstore.Config{})
	fetcher := newClient(t, client.Config{Host: newHost(t), Store: store})
	client.Hasten(fetcher)
	fetcher.AddAddr(*host.InfoFromHost(h))

	opened, err := fetcher.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	part := make([]byte, 100)
	if _, err := opened.ReadAt(part, 70<<10); err != nil || !bytes.Equal(part, content[70<<10:][:100]) {
		t.Errorf("reading in a lost chunk: %v", err)
	}
	if err := opened.Close(); err != nil {
		t.Error(err)
	}
	var got bytes.Buffer
	if err := fetcher.Fetch(t.Context(), file, &got, nil); err != nil || !bytes.Equal(got.Bytes(), content) {
		t.Fatalf("fetching a file with lost chunks: %v", err)
	}
	for chunk := range codec.Chunks(t.Context(), store, file) {
		if has, err := store.Has(t.Context(), chunk.Ref.ID); err != nil || !has[0] {
			t.Errorf("chunk %d is not stored: %v", chunk.Index, err)
		}
	}
}

func TestAllThatOpenOneFileShareWhatComes(t *testing.T) {
	seedHost := newHost(t)
	seeder := newClient(t, client.Config{Host: seedHost, Store: memstore.New(memstore.Config{})})
	content := make([]byte, 3<<20)
	rand.Read(content)
	file, err := seeder.Ingest(t.Context(), bytes.NewReader(content), codec.Config{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	came := int64(0)
	fetcher := newClient(t, client.Config{Host: newHost(t), Store: memstore.New(memstore.Config{}), OnEvent: func(e client.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Kind == client.KindDownload {
			came += e.Bytes
		}
	}})
	fetcher.AddAddr(*host.InfoFromHost(seedHost))
	one, err := fetcher.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	two, err := fetcher.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for _, f := range []io.ReadCloser{one, two} {
		group.Go(func() {
			defer f.Close()
			if got, err := io.ReadAll(f); err != nil || !bytes.Equal(got, content) {
				t.Errorf("other bytes came: %v", err)
			}
		})
	}
	group.Wait()
	mu.Lock()
	defer mu.Unlock()
	if most := int64(len(content)) + 2<<20; came > most {
		t.Errorf("%d bytes came for a file of %d that two read", came, len(content))
	}
	if _, err := one.Read(make([]byte, 1)); err == nil {
		t.Error("a closed file can be read")
	}
}

// A liar is remembered from one fetch to the next.
func TestALiarIsNotAskedAgainByTheNextFetch(t *testing.T) {
	seedHost := newHost(t)
	seeder := newClient(t, client.Config{Host: seedHost, Store: memstore.New(memstore.Config{})})
	bans := new(fetch.Bans)
	fetcher := newClient(t, client.Config{Host: newHost(t), Store: memstore.New(memstore.Config{}), Bans: bans})
	fetcher.AddPeer(liar{})
	fetcher.AddAddr(*host.InfoFromHost(seedHost))
	for range 4 {
		content := make([]byte, 1<<20)
		rand.Read(content)
		file, err := seeder.Ingest(t.Context(), bytes.NewReader(content), codec.Config{ChunkSize: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		if err := fetcher.Fetch(t.Context(), file, io.Discard, nil); err != nil {
			t.Fatal(err)
		}
	}
	if !bans.Banned("liar") {
		t.Error("a peer that lied in four fetches is not banned")
	}
}
