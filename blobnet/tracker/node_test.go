package tracker

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
)

// newTestHost listens on loopback. Its settings are those of node/transport as
// far as they matter here, which this floor may not import.
func newTestHost(t testing.TB, options ...libp2p.Option) host.Host {
	t.Helper()
	h, err := libp2p.New(append([]libp2p.Option{
		libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"),
		libp2p.Transport(tcp.NewTCPTransport, tcp.DisableReuseport()),
		libp2p.DisableRelay(), libp2p.DisableMetrics(), libp2p.ForceReachabilityPublic(),
		libp2p.ResourceManager(&network.NullResourceManager{}),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// node is a tracker that runs.
type node struct {
	*Tracker
	t      testing.TB
	host   host.Host
	events chan Event
	stop   func() // and wait; called at the test's end anyway
}

func startNode(t testing.TB, cfg Config, tweak ...func(*Tracker)) *node {
	t.Helper()
	if cfg.Host == nil {
		cfg.Host = newTestHost(t)
	}
	n := &node{t: t, host: cfg.Host, events: make(chan Event, 4096)}
	cfg.OnEvent = func(e Event) { n.events <- e }
	cfg.DHT = true
	var err error
	if n.Tracker, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	n.patience = 300 * time.Millisecond
	for _, f := range tweak {
		f(n.Tracker)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- n.Run(ctx) }()
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("Run: %v", err)
			}
		case <-time.After(20 * time.Second):
			t.Error("Run does not end")
		}
	}
	t.Cleanup(n.stop)
	return n
}

func (n *node) info() peer.AddrInfo { return peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Addrs()} }

// wait waits for an event of that kind.
func (n *node) wait(t testing.TB, kind Kind) Event {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		select {
		case e := <-n.events:
			if e.Kind == kind {
				return e
			}
		case <-timeout:
			t.Fatalf("no event %q", kind)
		}
	}
}

// eventually polls what has no event.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(20 * time.Second)
	for !ok() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("never: %s", what)
		}
	}
}

// find is Find to its end. It fails the test only if there is none.
func (n *node) find(key Key) []peer.ID {
	n.t.Helper()
	found := make(chan []peer.ID, 1)
	go func() {
		var out []peer.ID
		for p := range n.Find(context.Background(), key) {
			out = append(out, p.ID)
		}
		found <- out
	}()
	select {
	case out := <-found:
		return out
	case <-time.After(20 * time.Second):
		n.t.Fatal("Find does not end")
		return nil
	}
}
