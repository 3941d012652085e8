package subscriber_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/codec/inplace"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
)

// world is a publisher and a subscriber with a catalogue and a store each.
// Envelopes are carried over by sync, blobs by the subscriber's swarm, whose
// one peer is the publisher's store.
type world struct {
	t   *testing.T
	out string

	pub       *publisher.Publisher
	pubStore  *memstore.Store
	pubLedger *catalog.Catalog
	key       channel.PrivateKey
	id        channel.ID
	readKey   channel.ReadKey   // of a private channel
	member    channel.MemberKey // of the subscriber

	store  *memstore.Store
	ledger *catalog.Catalog
	swarm  *fetch.Swarm
	peer   *peer
	sub    catalog.Subscription
	place  *inplace.Sieve // nil but where a test sets it

	mu     sync.Mutex // guards events
	events []subscriber.Event
}

// peer serves a store and counts what was asked of it.
type peer struct {
	blobnet.Source
	mu    sync.Mutex // guards what follows
	asked map[blobnet.ID]int
	order []blobnet.ID
	onGet func(id blobnet.ID) error // may be nil
}

func (p *peer) Name() string { return "publisher" }

func (p *peer) Get(ctx context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	p.mu.Lock()
	p.asked[id]++
	p.order = append(p.order, id)
	hook := p.onGet
	p.mu.Unlock()
	if hook != nil {
		if err := hook(id); err != nil {
			return dst, err
		}
	}
	return p.Source.Get(ctx, id, dst)
}

func (p *peer) reset() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.order)
	p.order, p.asked = nil, map[blobnet.ID]int{}
	return n
}

func openCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldOf(t, channel.Public)
}

func newWorldOf(t *testing.T, class channel.Class) *world {
	t.Helper()
	w := &world{t: t, out: filepath.Join(t.TempDir(), "out"), pubStore: memstore.New(memstore.Config{}), store: memstore.New(memstore.Config{})}
	w.pubLedger, w.ledger = openCatalog(t), openCatalog(t)
	var err error
	w.pub, err = publisher.New(publisher.Config{Blobs: w.pubStore, Ledger: w.pubLedger})
	if err == nil {
		w.key, err = channel.GenerateKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	created, err := w.pub.Create(t.Context(), publisher.CreateSpec{Topics: []string{"t"}, Title: "Title of the channel", Class: class, Key: w.key, KeyDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	w.id, w.readKey = created.Channel, created.ReadKey
	w.peer = &peer{Source: w.pubStore, asked: map[blobnet.ID]int{}}
	w.swarm = newSwarm(t, w.store, w.peer)
	w.subscribe()
	return w
}

func newSwarm(t *testing.T, store blobnet.Store, peers ...fetch.Peer) *fetch.Swarm {
	t.Helper()
	s, err := fetch.New(fetch.Config{Store: store, StallTimeout: 50 * time.Millisecond, NotFoundRetry: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range peers {
		s.Add(p)
	}
	return s
}

func (w *world) subscribe() {
	w.t.Helper()
	var err error
	if w.sub, err = w.ledger.Subscribe(w.t.Context(), catalog.Subscription{Channel: w.id, Output: w.out}); err != nil {
		w.t.Fatal(err)
	}
}

// loseCursor makes the subscriber forget all that it knew.
func (w *world) loseCursor() {
	w.t.Helper()
	w.ledger = openCatalog(w.t)
	w.subscribe()
}

type files map[string]string

// ingest seals files into the publisher's store.
func (w *world) ingest(f files) []channel.FileEntry {
	w.t.Helper()
	if len(f) == 0 {
		return nil
	}
	dir := w.t.TempDir()
	for name, content := range f {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			w.t.Fatal(err)
		}
	}
	r, err := w.pub.FromDraft(w.t.Context(), publisher.DraftSpec{
		Draft: channel.Draft{Entries: []channel.DraftEntry{{Path: dir}}}, ChunkSize: codec.MinChunkSize,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r.Entries
}

func (w *world) publish(title string, f files, remove ...string) publisher.Published {
	w.t.Helper()
	return w.release(publisher.Release{Title: title, Entries: w.ingest(f), Remove: remove})
}

func (w *world) release(r publisher.Release) publisher.Published {
	w.t.Helper()
	r.Channel, r.Key = w.id, w.key
	p, err := w.pub.Publish(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// sign publishes a body that no honest publisher would, past the publisher.
func (w *world) sign(m channel.Manifest) {
	w.t.Helper()
	info, err := w.pubLedger.Channel(w.t.Context(), w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	m.Format, m.Channel, m.Root, m.Log, m.Issued = 1, w.id, 1, w.key.Public(), channel.TimeOf(time.Now())
	m.Seq = 1
	if len(info.Logs) > 0 && info.Logs[0].Seq > 0 {
		m.Seq, m.Prev, m.Issued = info.Logs[0].Seq+1, &info.Logs[0].Hash, max(m.Issued, info.Logs[0].Issued)
	}
	env, err := m.Sign(w.key)
	if err != nil {
		w.t.Fatal(err)
	}
	data, err := channel.EncodeEnvelope(env)
	if err == nil {
		err = w.pubLedger.Append(w.t.Context(), data)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// sync carries the envelopes over.
func (w *world) sync() {
	w.t.Helper()
	ctx := w.t.Context()
	roots, err := w.pubLedger.Roots(ctx, w.id, 1, 100, 1<<20)
	if err != nil {
		w.t.Fatal(err)
	}
	all := roots
	for from := uint64(1); ; {
		m, err := w.pubLedger.Manifests(ctx, w.id, w.key.Public(), from, 1<<40, 100, 1<<20)
		if err != nil {
			w.t.Fatal(err)
		}
		if len(m) == 0 {
			break
		}
		all = append(all, m...)
		from += uint64(len(m))
	}
	heads, err := w.pubLedger.Heads(ctx, w.id)
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.ledger.OfferAll(ctx, append(all, heads...)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) emit(e subscriber.Event) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.events = append(w.events, e)
}

// take returns the events since the last take.
func (w *world) take() []subscriber.Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	e := w.events
	w.events = nil
	return e
}

func (w *world) subscriber() *subscriber.Subscriber {
	w.t.Helper()
	cfg := subscriber.Config{Ledger: w.ledger, Blobs: w.store, Swarm: w.swarm, Member: func() (channel.MemberKey, error) { return w.member, nil }, ProbeTimeout: 100 * time.Millisecond, MissPause: 10 * time.Millisecond}
	if w.place != nil {
		cfg.Blobs, cfg.Place = w.place, w.place
	}
	s, err := subscriber.New(cfg)
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

func (w *world) order() subscriber.Follow {
	return subscriber.Follow{Subscription: w.sub.ID, Channel: w.id, Output: w.out, Once: true, Blind: true}
}

// follow catches up once.
func (w *world) follow() error {
	w.t.Helper()
	return w.subscriber().Follow(w.t.Context(), w.order(), w.emit)
}

// update syncs and catches up, and fails the test if that fails.
func (w *world) update() {
	w.t.Helper()
	w.sync()
	if err := w.follow(); err != nil {
		w.t.Fatal(err)
	}
}

// tree reads all below a folder; a folder has the content "/".
func tree(t *testing.T, dir string) files {
	t.Helper()
	got := files{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || d.IsDir() {
			if entries, _ := os.ReadDir(path); len(entries) == 0 {
				got[filepath.ToSlash(rel)] = "/"
			}
			return err
		}
		data, err := os.ReadFile(path)
		got[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	return got
}

func (w *world) wantTree(want files) {
	w.t.Helper()
	wantTree(w.t, w.out, want)
}

// wantFinished is wantTree where something unfinished waits for the next run.
func wantFinished(t *testing.T, dir string, want files) {
	t.Helper()
	got, unfinished := tree(t, dir), 0
	for name := range got {
		if strings.HasPrefix(name, channel.PartialFolder+"/") && strings.HasSuffix(name, ".part") {
			delete(got, name)
			unfinished++
		}
	}
	if unfinished == 0 {
		t.Error("nothing unfinished is left")
	}
	compare(t, got, want)
}

func wantTree(t *testing.T, dir string, want files) {
	t.Helper()
	compare(t, tree(t, dir), want)
}

func compare(t *testing.T, got, want files) {
	t.Helper()
	for name, content := range want {
		if data, ok := got[name]; !ok || data != content {
			t.Errorf("%s: there %v, %d bytes; want %d", name, ok, len(data), len(content))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is there and should not", name)
		}
	}
}

// told writes events as short lines.
func told(events []subscriber.Event) []string {
	var out []string
	for _, e := range events {
		switch e := e.(type) {
		case subscriber.ManifestEvent:
			out = append(out, fmt.Sprintf("manifest %d %s", e.Seq, e.Title))
		case subscriber.FileEvent:
			out = append(out, fmt.Sprintf("file %s", e.Name))
		case subscriber.RemovedEvent:
			out = append(out, fmt.Sprintf("removed %s", e.Name))
		case subscriber.KeptEvent:
			out = append(out, fmt.Sprintf("kept %s %s", e.Name, filepath.Base(e.Path)))
		case subscriber.MirroredEvent:
			out = append(out, fmt.Sprintf("mirrored %d", e.Seq))
		case subscriber.PassedEvent:
			if e.Reason == "missing" || e.Reason == "underway" {
				out = append(out, strings.TrimSpace(e.Reason+" "+e.Name))
			}
		case subscriber.ErrorEvent:
			out = append(out, fmt.Sprintf("error %s", e.Name))
		}
	}
	return out
}

func (w *world) wantTold(want ...string) {
	w.t.Helper()
	if got := told(w.take()); !slices.Equal(got, want) {
		w.t.Errorf("told %q, want %q", got, want)
	}
}

func pattern(n int, seed byte) string {
	b := make([]byte, n)
	x := uint32(seed) + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}

func downloadFile(ctx context.Context, swarm *fetch.Swarm, e channel.FileEntry, out string, onProgress func(subscriber.Progress)) (subscriber.Fetched, error) {
	return subscriber.Download{Swarm: swarm, OnProgress: onProgress}.File(ctx, e, out)
}

func downloadFolder(ctx context.Context, swarm *fetch.Swarm, entries []channel.FileEntry, dir string, onProgress func(subscriber.Progress)) ([]subscriber.Fetched, error) {
	return subscriber.Download{Swarm: swarm, OnProgress: onProgress}.Folder(ctx, entries, dir)
}

func publisherRelease(entries []channel.FileEntry, remove ...string) publisher.Release {
	return publisher.Release{Title: "release", Entries: entries, Remove: remove}
}
