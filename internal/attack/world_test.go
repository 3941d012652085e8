package attack

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/blobnet/exchange"
	"github.com/anonymous-media-library/aml/blobnet/fetch"
	"github.com/anonymous-media-library/aml/blobnet/memstore"
	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/publisher"
	"github.com/anonymous-media-library/aml/subscriber"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// waitLimit is how long a test waits for what must happen. Only a test that
// fails reaches it.
const waitLimit = 90 * time.Second

// TestMain lets more attacks go on at once than there are processors, unless
// somebody says how many: they wait more than they compute.
func TestMain(m *testing.M) {
	flag.Parse()
	chosen := false
	flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
	if !chosen {
		_ = flag.Set("test.parallel", "6")
	}
	os.Exit(m.Run())
}

// world is one attack's: its time, which only the test moves, and who lives in
// it.
type world struct {
	*testing.T

	mu  sync.Mutex
	now time.Time // guarded by mu
}

// newWorld begins an attack, beside others.
func newWorld(t *testing.T) *world {
	t.Helper()
	t.Parallel()
	return &world{T: t, now: channeltest.Epoch().AddDate(0, 1, 0)}
}

func (w *world) time() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.now
}

// pass lets time pass.
func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// newHost is a libp2p host on loopback.
func newHost(w *world) host.Host {
	w.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.DisableRelay(),
	)
	w.must(err)
	w.Cleanup(func() { _ = h.Close() })
	return h
}

func infoOf(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func connect(w *world, from, to host.Host) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), waitLimit)
	defer cancel()
	w.must(from.Connect(ctx, infoOf(to)))
}

// serves waits until the party answers to a protocol, which it does a moment after it
// has begun to run: who connects sooner is told that it does not speak it.
func (p *party) serves(id protocol.ID) {
	p.w.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	late := time.After(waitLimit)
	for !slices.Contains(p.host.Mux().Protocols(), id) {
		select {
		case <-tick.C:
		case <-late:
			p.w.Fatalf("%s does not speak %s", p.name, id)
		}
	}
}

// party is an honest node, without the parts that have nothing to do with peers.
type party struct {
	w        *world
	name     string
	host     host.Host
	path     string // of the catalogue
	ledger   *catalog.Catalog
	gossip   *gossip.Gossip
	store    *memstore.Store
	exchange *exchange.Exchange
	bans     *fetch.Bans
	out      string        // what it follows is written below
	patience time.Duration // for a blob that nobody gives

	stop func() // ends it; idempotent

	mu     sync.Mutex
	events []gossip.Event // guarded by mu
	kick   chan struct{}  // closed and replaced on every event and every commit; guarded by mu
}

// option changes what a party is made of.
type option func(*party, *catalog.Config, *gossip.Config)

// at makes a party of a catalogue that is there, as after a restart.
func at(path string) option {
	return func(p *party, c *catalog.Config, _ *gossip.Config) { c.Path = path }
}

// newParty starts an honest node.
func newParty(w *world, name string, options ...option) *party {
	w.Helper()
	dir := w.TempDir()
	p := &party{w: w, name: name, host: newHost(w), store: memstore.New(memstore.Config{}), bans: new(fetch.Bans),
		out: filepath.Join(dir, "files"), patience: waitLimit, kick: make(chan struct{})}
	books := catalog.Config{Path: filepath.Join(dir, name+".db"), Now: w.time}
	talk := gossip.Config{Host: p.host, Now: w.time, Patience: 5 * time.Second, OnEvent: p.note}
	for _, o := range options {
		o(p, &books, &talk)
	}
	var err error
	p.path = books.Path
	p.ledger, err = catalog.Open(w.Context(), books)
	w.must(err)
	p.ledger.Watch(func(channel.ID, feed.Kind) { p.note(gossip.Event{}) })
	if talk.Ledger == nil {
		talk.Ledger = p.ledger
	} else if l, ok := talk.Ledger.(interface{ over(*catalog.Catalog) }); ok {
		l.over(p.ledger)
	}
	p.gossip, err = gossip.New(talk)
	w.must(err)
	p.exchange, err = exchange.New(exchange.Config{Host: p.host, Store: p.store, StallTimeout: 3 * time.Second})
	w.must(err)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for what, run := range map[string]func(context.Context) error{"gossip": p.gossip.Run, "exchange": p.exchange.Run} {
		running.Go(func() {
			if err := run(ctx); err != nil {
				w.Errorf("%s of %s: %v", what, name, err)
			}
		})
	}
	p.stop = sync.OnceFunc(func() {
		cancel()
		running.Wait()
		_ = p.host.Close()
		_ = p.ledger.Close()
	})
	w.Cleanup(p.stop)
	p.serves(gossip.SyncProtocol)
	p.serves(exchange.Protocol)
	return p
}

func (p *party) id() peer.ID { return p.host.ID() }

func (p *party) note(e gossip.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if e.Kind != "" {
		p.events = append(p.events, e)
	}
	close(p.kick)
	p.kick = make(chan struct{})
}

// await waits until ok holds. It looks again after every event and commit, and,
// for what is told by neither, now and then.
func (p *party) await(what string, ok func() bool) {
	p.w.Helper()
	deadline := time.After(waitLimit)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		p.mu.Lock()
		kick := p.kick
		p.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-kick:
		case <-tick.C:
		case <-deadline:
			p.mu.Lock()
			defer p.mu.Unlock()
			p.w.Fatalf("%s waited in vain for %s; its last events: %+v", p.name, what, p.events[max(0, len(p.events)-20):])
		}
	}
}

// count is how many events match.
func (p *party) count(match func(gossip.Event) bool) (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if match(e) {
			n++
		}
	}
	return n
}

// awaitEvent waits for an event, also one that has been.
func (p *party) awaitEvent(what string, match func(gossip.Event) bool) {
	p.w.Helper()
	p.await(what, func() bool { return p.count(match) > 0 })
}

// awaitCaught waits until the party has found out that the peer misbehaves, in
// sync or in gossip.
func (p *party) awaitCaught(id peer.ID) {
	p.w.Helper()
	p.awaitEvent("the liar to be caught", func(e gossip.Event) bool {
		return e.Peer == id && (e.Kind == gossip.EventMisbehaved || e.Kind == gossip.EventRejected)
	})
}

// trusts fails the test if the party has found fault with the peer.
func (p *party) trusts(other *party) {
	p.w.Helper()
	if n := p.count(func(e gossip.Event) bool {
		return e.Peer == other.id() && (e.Kind == gossip.EventMisbehaved || e.Kind == gossip.EventRejected)
	}); n > 0 {
		p.w.Errorf("%s found fault with %s, who is honest, %d times", p.name, other.name, n)
	}
}

// follow follows a channel, with those as first addresses, which it asks at
// once and connects to.
func (p *party) follow(ch *channeltest.Channel, from ...host.Host) {
	p.w.Helper()
	var hints []peer.AddrInfo
	for _, h := range from {
		hints = append(hints, infoOf(h))
	}
	p.w.must(p.gossip.Follow(ch.ID, hints...))
}

// info is what the party knows of a channel, empty where it knows nothing.
func (p *party) info(ch *channeltest.Channel) catalog.Info {
	info, err := p.ledger.Channel(context.Background(), ch.ID)
	if err != nil {
		return catalog.Info{}
	}
	return info
}

// log is what the party knows of the log of a key.
func (p *party) log(ch *channeltest.Channel, key channel.PublicKey) catalog.LogInfo {
	logs := p.info(ch).Logs
	if i := slices.IndexFunc(logs, func(l catalog.LogInfo) bool { return l.Log == key }); i >= 0 {
		return logs[i]
	}
	return catalog.LogInfo{}
}

// has reports whether the party has all that the channel's own key has released,
// and knows that it is the newest.
func (p *party) has(ch *channeltest.Channel) bool {
	l := p.log(ch, ch.Key())
	return l.Seq == ch.Seq && l.Hash == ch.Hash && l.Head != nil && l.Head.Seq == ch.Seq
}

// awaitAll waits for all of the channel's own releases and the head that names
// the newest.
func (p *party) awaitAll(ch *channeltest.Channel) {
	p.w.Helper()
	p.await("all releases of "+ch.Name, func() bool { return p.has(ch) })
}

// awaitFollower waits until the party has seen the other one in the room of the
// channel.
func (p *party) awaitFollower(ch *channeltest.Channel, other peer.ID) {
	p.w.Helper()
	p.awaitEvent("a follower", func(e gossip.Event) bool {
		return e.Kind == gossip.EventFollower && e.Channel == ch.ID && e.Peer == other
	})
}

// newChannel founds a channel whose time is the world's. Nobody knows it yet.
func newChannel(w *world, name string, topics ...string) *channeltest.Channel {
	w.Helper()
	ch := channeltest.NewChannel(w.T, name, topics...)
	ch.Now = w.time().Add(-time.Hour)
	return ch
}

// headLife is how long heads live here.
const headLife = 24 * time.Hour

// take makes envelopes durable with the party, as if it had signed them.
func (p *party) take(envelopes ...[]byte) {
	p.w.Helper()
	p.w.must(p.ledger.Append(p.w.Context(), envelopes...))
}

// tell gossips what the party has taken.
func (p *party) tell(ch *channeltest.Channel, envelopes ...[]byte) {
	p.w.Helper()
	ctx, cancel := context.WithTimeout(p.w.Context(), waitLimit)
	defer cancel()
	p.w.must(p.gossip.Publish(ctx, ch.ID, envelopes...))
}

// publish makes the channel's next release on the party, the founding root
// before the first one, and tells everybody.
func (p *party) publish(ch *channeltest.Channel, names ...string) {
	p.w.Helper()
	p.release(ch, ch.Files(names...))
}

// release is publish for a manifest that is signed already.
func (p *party) release(ch *channeltest.Channel, manifest []byte) {
	p.w.Helper()
	var all [][]byte
	if ch.Seq == 1 {
		all = append(all, ch.Envelope)
	}
	all = append(all, manifest, ch.Head(headLife))
	p.take(all...)
	p.tell(ch, all...)
}

// ingest seals files into the party's store and returns the body that names
// them.
func (p *party) ingest(files map[string]string) channel.Body {
	p.w.Helper()
	dir := p.w.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		p.w.must(os.MkdirAll(filepath.Dir(path), 0o755))
		p.w.must(os.WriteFile(path, []byte(content), 0o644))
	}
	pub, err := publisher.New(publisher.Config{Blobs: p.store, Ledger: p.ledger, Now: p.w.time})
	p.w.must(err)
	r, err := pub.FromDraft(p.w.Context(), publisher.DraftSpec{
		Draft: channel.Draft{Entries: []channel.DraftEntry{{Path: dir}}}, ChunkSize: 64 << 10,
	})
	p.w.must(err)
	body := channel.Body{Entries: r.Entries}
	body.Sort()
	return body
}

// write has the party write out all of the channel that it knows, with blobs
// from those hosts, and returns the folder. The error is the subscriber's.
func (p *party) write(ch *channeltest.Channel, member channel.MemberKey, from ...host.Host) (string, error) {
	p.w.Helper()
	swarm, err := fetch.New(fetch.Config{Store: p.store, Bans: p.bans, NotFoundRetry: 100 * time.Millisecond,
		StallTimeout: p.patience, SlowAfter: 500 * time.Millisecond})
	p.w.must(err)
	for _, h := range from {
		connect(p.w, p.host, h)
		swarm.Add(p.exchange.Peer(h.ID()))
	}
	out := filepath.Join(p.out, ch.Name)
	sub, err := p.ledger.Subscribe(p.w.Context(), catalog.Subscription{Channel: ch.ID, Output: out})
	p.w.must(err)
	s, err := subscriber.New(subscriber.Config{Ledger: p.ledger, Blobs: p.store, Swarm: swarm, Now: p.w.time,
		Member: func() (channel.MemberKey, error) { return member, nil }})
	p.w.must(err)
	ctx, cancel := context.WithTimeout(p.w.Context(), waitLimit)
	defer cancel()
	return out, s.Follow(ctx, subscriber.Follow{Subscription: sub.ID, Channel: ch.ID, Output: out, Once: true, Blind: true},
		func(subscriber.Event) {})
}

// wantFiles checks what is in a folder, byte for byte, and that there is nothing
// else.
func (w *world) wantFiles(dir string, want map[string]string) {
	w.Helper()
	got := make(map[string]string)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		w.must(err)
		data, err := os.ReadFile(path)
		got[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil && !os.IsNotExist(err) {
		w.Fatal(err)
	}
	for name, content := range want {
		if data, ok := got[name]; !ok || data != content {
			w.Errorf("%s: there %v, right %v", name, ok, data == content)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			w.Errorf("%s is there and should not be", name)
		}
	}
}

// pattern is n bytes of which no two parts are the same.
func pattern(n int, seed uint32) string {
	b := make([]byte, n)
	x := seed + 1
	for i := range b {
		x = x*1664525 + 1013904223
		b[i] = byte(x >> 24)
	}
	return string(b)
}
