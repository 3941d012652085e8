package gossip

import (
	"context"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// past is a catalogue with a log of many releases.
type past struct {
	t      testing.TB
	ch     *channeltest.Channel
	ledger *catalog.Catalog
	all    [][]byte // manifests, from 1 on
}

func ledgerFor(t testing.TB, id channel.ID) *catalog.Catalog {
	t.Helper()
	return ledgerAt(t, id, filepath.Join(t.TempDir(), "aml.db"))
}

func ledgerAt(t testing.TB, id channel.ID, path string) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(t.Context(), catalog.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.Expect(t.Context(), id, catalog.Followed); err != nil {
		t.Fatal(err)
	}
	return c
}

func newPast(t testing.TB) *past { return pastAt(t, filepath.Join(t.TempDir(), "aml.db")) }

func pastAt(t testing.TB, path string) *past {
	t.Helper()
	p := &past{t: t, ch: channeltest.NewChannel(t, "history")}
	p.ledger = ledgerAt(t, p.ch.ID, path)
	p.offer([][]byte{p.ch.Envelope})
	return p
}

func (p *past) offer(envelopes [][]byte) {
	p.t.Helper()
	out, err := p.ledger.OfferAll(p.t.Context(), envelopes)
	if err != nil {
		p.t.Fatal(err)
	}
	for _, o := range out {
		if o.Verdict != feed.Accepted {
			p.t.Fatalf("%s %d: %s, %v", o.Kind, o.Seq, o.Verdict, o.Err)
		}
	}
}

// release makes n releases of one file each, over and over of so many names.
func (p *past) release(n, names int) {
	p.t.Helper()
	var batch [][]byte
	for i := range n {
		name := fmt.Sprintf("music/%05d.flac", (int(p.ch.Seq))%names)
		batch = append(batch, p.ch.Release(channel.Body{Title: "Release", Entries: []channel.FileEntry{channeltest.Entry(name, 1000)}}))
		if len(batch) == 500 || i == n-1 {
			p.offer(batch)
			p.all = append(p.all, batch...)
			batch = nil
		}
	}
	p.offer([][]byte{p.ch.Head(14 * 24 * time.Hour)})
}

// draw makes the snapshot of the log as it is.
func (p *past) draw() (envelope []byte, pages [][]byte, live []channel.Live) {
	p.t.Helper()
	live, err := p.ledger.Live(p.t.Context(), p.ch.ID, p.ch.Key())
	if err != nil {
		p.t.Fatal(err)
	}
	refs, pages, err := channel.MakePages(p.ch.Seq, live)
	if err != nil {
		p.t.Fatal(err)
	}
	env, err := channel.Snapshot{Format: 1, Channel: p.ch.ID, Root: p.ch.Root.Version, Log: p.ch.Key(), Seq: p.ch.Seq, Hash: p.ch.Hash,
		Issued: channel.TimeOf(p.ch.Now), Pages: refs}.Sign(channeltest.Key(p.ch.Name))
	return encode(p.t, env, err), pages, live
}

// snapshot makes the log's snapshot, and takes it in.
func (p *past) snapshot() (live int) {
	p.t.Helper()
	envelope, pages, all := p.draw()
	if err := p.ledger.AppendSnapshot(p.t.Context(), envelope, pages); err != nil {
		p.t.Fatal(err)
	}
	return len(all)
}

func logAt(t testing.TB, c *catalog.Catalog, ch *channeltest.Channel) catalog.LogInfo {
	t.Helper()
	info, err := c.Channel(t.Context(), ch.ID)
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range info.Logs {
		if l.Log == ch.Key() {
			return l
		}
	}
	return catalog.LogInfo{}
}

// turns counts how often the asking end waits for an answer after it has said
// something: round trips.
type turns struct {
	net.Conn
	mu    sync.Mutex
	wrote bool
	n     int
}

func (c *turns) Write(p []byte) (int, error) {
	c.mu.Lock()
	c.wrote = true
	c.mu.Unlock()
	return c.Conn.Write(p)
}

func (c *turns) Read(p []byte) (int, error) {
	c.mu.Lock()
	if c.wrote {
		c.n++
	}
	c.wrote = false
	c.mu.Unlock()
	return c.Conn.Read(p)
}

// pullFrom brings a catalogue to where another is, and says in how many round trips.
func pullFrom(t testing.TB, to *catalog.Catalog, from Ledger, id channel.ID) (trips int, err error) {
	t.Helper()
	near, far := bufferedPipe()
	var done sync.WaitGroup
	done.Go(func() {
		defer far.Close()
		s := &server{ledger: from, knocked: func(channel.ID) {}, patience: time.Minute, topicOf: func(context.Context, channel.Hash) (string, bool) { return "", false }}
		_ = s.serve(context.Background(), far, func(context.Context, int) error { return nil })
	})
	c := &turns{Conn: near}
	p := newPuller(to, &claims{}, c, time.Minute, func(feed.Outcome) {})
	sections, err := p.heads([]channel.ID{id})
	if err == nil {
		s, ok := sections[id]
		if !ok {
			t.Fatal("the other end does not know the channel")
		}
		_, err = p.channel(t.Context(), id, s)
	}
	_ = near.Close()
	done.Wait()
	return c.n, err
}

// sameView checks that two catalogues show the same files.
func sameView(t testing.TB, a, b *catalog.Catalog, id channel.ID) {
	t.Helper()
	list := func(c *catalog.Catalog) map[string]uint64 {
		out := make(map[string]uint64)
		for e, err := range c.Entries(t.Context(), id, catalog.EntryFilter{Removed: true}) {
			if err != nil {
				t.Fatal(err)
			}
			out[fmt.Sprint(e.Name, e.Removed)] = e.Seq
		}
		return out
	}
	va, vb := list(a), list(b)
	if len(va) != len(vb) {
		t.Fatalf("%d names and %d", len(va), len(vb))
	}
	for name, seq := range va {
		if vb[name] != seq {
			t.Fatalf("%s is of release %d and of %d", name, seq, vb[name])
		}
	}
}

// Whoever joins late is current after three round trips, whether little or all of
// the log still counts.
func TestLateJoinerNeedsThreeRoundTrips(t *testing.T) {
	t.Parallel()
	const releases = 1_500 // BenchmarkLateJoiner has 10,000
	for _, names := range []int{releases / 100, releases} {
		t.Run(fmt.Sprintf("%d live", names), func(t *testing.T) {
			t.Parallel()
			p := newPast(t)
			p.release(releases-10, names)
			live := p.snapshot()
			p.release(10, names)
			late := ledgerFor(t, p.ch.ID)
			trips, err := pullFrom(t, late, p.ledger, p.ch.ID)
			if err != nil || trips > 3 {
				t.Fatalf("%d round trips, %v", trips, err)
			}
			l := logAt(t, late, p.ch)
			if l.Seq != uint64(releases) || l.Owed != 0 || !l.Fresh && l.Head == nil {
				t.Errorf("late joiner: %+v", l)
			}
			if want := min(names, releases-10); live != want {
				t.Errorf("%d of %d releases count, want %d", live, releases, want)
			}
			sameView(t, p.ledger, late, p.ch.ID)
		})
	}
}

// BenchmarkLateJoiner measures how long a node that knows nothing but a channel's
// id takes until it is current with a log of 10,000 releases, over loopback, with
// real hosts: every manifest; the snapshot where all of them count; the snapshot
// where 100 do:
//
//	go test ./channel/gossip -run '^$' -bench LateJoiner -benchtime 3x -timeout 30m
//
// The seconds are those from Follow to the last release and its head; beside them
// (on Unix) are those of processors that both nodes took together, which a busy
// machine changes less.
func BenchmarkLateJoiner(b *testing.B) {
	const releases = 10_000
	for _, c := range []struct {
		name     string
		names    int
		snapshot bool
	}{
		{"manifests", releases, false},
		{"snapshot/all-live", releases, true},
		{"snapshot/1-percent-live", releases / 100, true},
	} {
		b.Run(c.name, func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "aml.db")
			p := pastAt(b, path)
			p.release(releases-10, c.names)
			live := releases
			if c.snapshot {
				live = p.snapshot() + 10
			}
			p.release(10, c.names)
			if err := p.ledger.Close(); err != nil {
				b.Fatal(err)
			}
			patient := func(c *Config) { c.Patience = 15 * time.Second } // the default
			mirror := newNode(b, path, patient)
			if err := mirror.gossip.Follow(p.ch.ID); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			busy := 0.0
			for range b.N {
				b.StopTimer()
				late := newNode(b, "", patient)
				busy -= worked()
				b.StartTimer()
				if err := late.gossip.Follow(p.ch.ID, infoOf(mirror.host)); err != nil {
					b.Fatal(err)
				}
				current := func() bool {
					info, err := late.ledger.Channel(b.Context(), p.ch.ID)
					if err != nil || len(info.Logs) != 1 {
						return false
					}
					l := info.Logs[0]
					return l.Seq == releases && l.Owed == 0 && l.Head != nil && l.Head.Seq == releases
				}
				late.awaitFor(10*time.Minute, "all releases", current)
				b.StopTimer()
				busy += worked()
				sameView(b, mirror.ledger, late.ledger, p.ch.ID)
				late.stop()
				b.StartTimer()
			}
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/join")
			b.ReportMetric(busy/float64(b.N), "cpu-s/join")
			b.ReportMetric(float64(live), "manifests")
		})
	}
}
