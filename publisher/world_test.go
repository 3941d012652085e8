package publisher_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/publisher"
)

// world is a publisher with a real catalogue and a store in memory, and a note
// of what happened in which order.
type world struct {
	*publisher.Publisher
	t       *testing.T
	dir     string
	store   *memstore.Store
	catalog *catalog.Catalog
	key     channel.PrivateKey
	keyFile string
	clock   *clock

	mu     sync.Mutex // guards order
	order  []string
	onCast func(id channel.ID) error
}

type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func newWorld(t *testing.T, quota int64) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), store: memstore.New(memstore.Config{MaxSize: quota}), clock: &clock{now: time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)}}
	var err error
	if w.catalog, err = catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db"), Now: w.clock.Now}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.catalog.Close() })
	if w.key, err = channel.GenerateKey(); err != nil {
		t.Fatal(err)
	}
	w.keyFile = filepath.Join(t.TempDir(), "publish.pem")
	if err := keyfile.Write(w.keyFile, w.key); err != nil {
		t.Fatal(err)
	}
	w.Publisher, err = publisher.New(publisher.Config{
		Blobs: &noting{w.store, w}, Ledger: &notingLedger{w.catalog, w}, Now: w.clock.Now,
		Broadcast: func(_ context.Context, id channel.ID, envelopes ...[]byte) error {
			w.note("broadcast")
			if w.onCast != nil {
				return w.onCast(id)
			}
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) note(what string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.order = append(w.order, what)
}

func (w *world) noted() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Compact(slices.Clone(w.order))
}

// noting is a store that notes what is done to it.
type noting struct {
	*memstore.Store
	w *world
}

func (n *noting) Put(ctx context.Context, id blobnet.ID, blob []byte) error {
	n.w.note("put")
	return n.Store.Put(ctx, id, blob)
}

func (n *noting) PutVerified(ctx context.Context, id blobnet.ID, blob []byte) error {
	n.w.note("put")
	return n.Store.PutVerified(ctx, id, blob)
}

func (n *noting) Pin(ctx context.Context, ids ...blobnet.ID) error {
	n.w.note("pin")
	return n.Store.Pin(ctx, ids...)
}

func (n *noting) Sync(ctx context.Context) error {
	n.w.note("sync")
	return n.Store.Sync(ctx)
}

type notingLedger struct {
	*catalog.Catalog
	w *world
}

func (n *notingLedger) Append(ctx context.Context, envelopes ...[]byte) error {
	n.w.note("append")
	return n.Catalog.Append(ctx, envelopes...)
}

func (n *notingLedger) AppendRelease(ctx context.Context, a catalog.Addition, envelopes ...[]byte) error {
	n.w.note("append")
	return n.Catalog.AppendRelease(ctx, a, envelopes...)
}

// file writes a file below the world's folder.
func (w *world) file(name string, content []byte) string {
	w.t.Helper()
	path := filepath.Join(w.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		w.t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		w.t.Fatal(err)
	}
	return path
}

func (w *world) create(topics ...string) publisher.Created {
	w.t.Helper()
	c, err := w.Create(w.t.Context(), publisher.CreateSpec{
		Topics: topics, Title: "T", Key: w.key, KeyFile: w.keyFile, KeyDir: filepath.Join(w.dir, ".keys"),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// ingest makes entries of generated files, without pins.
func (w *world) ingest(files map[string][]byte) []channel.FileEntry {
	w.t.Helper()
	dir := w.t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	r, err := w.FromDraft(w.t.Context(), publisher.DraftSpec{
		Draft: channel.Draft{Entries: []channel.DraftEntry{{Path: dir}}}, ChunkSize: codec.MinChunkSize,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Entries
}

func (w *world) stats() blobnet.Stats {
	w.t.Helper()
	s, err := w.store.Stats(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// read opens an entry through the store.
func (w *world) read(e channel.FileEntry) []byte {
	w.t.Helper()
	var b bytes.Buffer
	if _, err := codec.NewReader(w.t.Context(), w.store, e.File()).WriteTo(&b); err != nil {
		w.t.Fatalf("reading %s: %v", e.Name, err)
	}
	return b.Bytes()
}

func pattern(n int, seed byte) []byte {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return b
}
