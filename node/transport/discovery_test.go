package transport

import (
	"context"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/anonymous-media-library/aml/blobnet/tracker"
)

// Hosts as New makes them, and trackers on top as node does: two strangers
// that know a third node find each other, although the third one lies about
// where else they could go.
func TestDiscoveryWorksOnPrivateHosts(t *testing.T) {
	start := func(cfg Config, static ...peer.AddrInfo) (*tracker.Tracker, peer.AddrInfo, chan tracker.Event) {
		cfg.Reach = new(Reach)
		h := newHost(t, cfg)
		events := make(chan tracker.Event, 100)
		tr, err := tracker.New(tracker.Config{Host: h, DHT: true, Static: static, Dialable: cfg.Reach.Allows,
			OnEvent: func(e tracker.Event) { events <- e }})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- tr.Run(ctx) }()
		t.Cleanup(func() {
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
		return tr, info(h), events
	}
	key := tracker.Key{1}
	_, hub, _ := start(Config{})
	a, aInfo, events := start(Config{Announce: []ma.Multiaddr{ma.StringCast("/ip4/8.8.8.8/tcp/1")}}, hub)
	if err := a.Announce(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	for timeout := time.After(20 * time.Second); ; {
		select {
		case e := <-events:
			if e.Kind != tracker.Announced {
				continue
			}
		case <-timeout:
			t.Fatal("not announced")
		}
		break
	}
	b, _, _ := start(Config{}, hub)
	var got []peer.AddrInfo
	for p := range b.Find(t.Context(), key) {
		got = append(got, p)
	}
	if len(got) != 2 || got[0].ID != hub.ID || got[1].ID != aInfo.ID {
		t.Fatalf("found %v", got)
	}
	for _, addr := range got[1].Addrs {
		if isPublic(addr) {
			t.Errorf("found %s", addr)
		}
	}
}
