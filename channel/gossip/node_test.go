package gossip

import (
	"context"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// waitLimit is how long a test waits for what must happen. It is reached only
// by a failing test.
const waitLimit = 90 * time.Second

func newHost(t testing.TB) host.Host {
	t.Helper()
	h, err := libp2p.New(
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.Security(libp2ptls.ID, libp2ptls.New),
		libp2p.DisableRelay(),
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return h
}

// firstRoot is the hash of a channel's root of version 1.
func firstRoot(id channel.ID) *channel.Hash {
	h := channel.Hash(id)
	return &h
}

func infoOf(h host.Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func connect(t testing.TB, a, b host.Host) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
	defer cancel()
	if err := a.Connect(ctx, infoOf(b)); err != nil {
		t.Fatal(err)
	}
}

// node is a real host with a real catalogue and a running Gossip.
type node struct {
	t      testing.TB
	host   host.Host
	ledger *catalog.Catalog
	gossip *Gossip

	stop func() // ends Run and closes the host and the catalogue; idempotent

	mu     sync.Mutex
	events []Event
	kick   chan struct{} // closed and replaced on every event and every commit
}

// newNode starts a node. path is its catalogue; if empty, a new one.
func newNode(t testing.TB, path string, adjust ...func(*Config)) *node {
	t.Helper()
	if path == "" {
		path = filepath.Join(t.TempDir(), "aml.db")
	}
	ledger, err := catalog.Open(t.Context(), catalog.Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, host: newHost(t), ledger: ledger, kick: make(chan struct{})}
	ledger.Watch(func(channel.ID, feed.Kind) { n.note(Event{}) })
	cfg := Config{Host: n.host, Ledger: ledger, Patience: 2 * time.Second, OnEvent: n.note}
	for _, f := range adjust {
		f(&cfg)
	}
	if n.gossip, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.gossip.Run(ctx) }()
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		_ = n.host.Close()
		_ = ledger.Close()
	})
	t.Cleanup(n.stop)
	return n
}

func (n *node) note(e Event) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e.Kind != "" {
		n.events = append(n.events, e)
	}
	close(n.kick)
	n.kick = make(chan struct{})
}

// await waits until ok holds, looking again after every event and commit.
func (n *node) await(what string, ok func() bool) {
	n.t.Helper()
	n.awaitFor(waitLimit, what, ok)
}

func (n *node) awaitFor(limit time.Duration, what string, ok func() bool) {
	n.t.Helper()
	deadline := time.After(limit)
	for {
		n.mu.Lock()
		kick := n.kick
		n.mu.Unlock()
		if ok() {
			return
		}
		select {
		case <-kick:
		case <-deadline:
			n.mu.Lock()
			defer n.mu.Unlock()
			n.t.Fatalf("waited in vain for %s; events: %+v", what, n.events)
		}
	}
}

// poll is await for what is told by no event.
func (n *node) poll(what string, ok func() bool) {
	n.t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(waitLimit)
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			n.t.Fatalf("waited in vain for %s", what)
		}
	}
}

// awaitEvent waits for an event, also one that has been.
func (n *node) awaitEvent(what string, match func(Event) bool) {
	n.t.Helper()
	n.await(what, func() bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return slices.ContainsFunc(n.events, match)
	})
}

// awaitFollower waits until other is known to be in the gossip of the channel.
func (n *node) awaitFollower(id channel.ID, other *node) {
	n.t.Helper()
	n.awaitEvent("a follower", func(e Event) bool {
		return e.Kind == EventFollower && e.Channel == id && e.Peer == other.host.ID()
	})
}

// awaitSeq waits until the log of the author is complete up to its newest
// release.
func (n *node) awaitAll(a *author) {
	n.t.Helper()
	n.await("all releases", func() bool { return n.seq(a) >= a.seq })
	if n.seq(a) != a.seq {
		n.t.Fatalf("have %d releases, want %d", n.seq(a), a.seq)
	}
}

func (n *node) seq(a *author) uint64 {
	info, err := n.ledger.Channel(context.Background(), a.id)
	if err != nil {
		return 0
	}
	for _, l := range info.Logs {
		if l.Log == a.key.Public() {
			return l.Seq
		}
	}
	return 0
}

func (n *node) follow(a *author, hints ...*node) {
	n.t.Helper()
	var infos []peer.AddrInfo
	for _, h := range hints {
		infos = append(infos, infoOf(h.host))
	}
	if err := n.gossip.Follow(a.id, infos...); err != nil {
		n.t.Fatal(err)
	}
}

func (n *node) count(match func(Event) bool) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	c := 0
	for _, e := range n.events {
		if match(e) {
			c++
		}
	}
	return c
}
