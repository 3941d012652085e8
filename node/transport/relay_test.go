package transport

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

const testProtocol = "/test/bulk"

// behind starts a relay and a host that has a place with it, and returns how
// the latter is reached.
func behind(t *testing.T, cfg Relay) (relay, hidden *Host, through peer.AddrInfo) {
	t.Helper()
	relay = newHost(t, Config{Relay: cfg})
	hidden = newHost(t, Config{Punch: true, Relays: []peer.AddrInfo{info(relay)}})
	hidden.SetStreamHandler(testProtocol, func(s network.Stream) {
		io.Copy(s, s)
		s.Close()
	})
	parsed, err := ParsePeers([]string{Addrs(relay)[0].String() + "/p2p-circuit/p2p/" + hidden.ID().String()})
	if err != nil {
		t.Fatal(err)
	}
	return relay, hidden, parsed[0]
}

// reach connects, as soon as the hidden host has its place with the relay.
func reach(t *testing.T, h *Host, p peer.AddrInfo) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for ctx := soon(t); ; {
		err := h.Connect(network.WithAllowLimitedConn(ctx, "test"), p)
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatal(err)
		}
	}
}

func TestBlobsGoOverARelayForBulkAndAreMetered(t *testing.T) {
	relay, hidden, through := behind(t, Relay{Bulk: RelayBulk{BytesPerSecond: 1 << 30}})
	c := newHost(t, Config{Punch: true})
	c.punchTime = 10 * time.Millisecond
	reach(t, c, through)
	s, err := c.Blobs().NewStream(soon(t), hidden.ID(), testProtocol)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Reset()
	sent := bytes.Repeat([]byte("blob"), 1<<18) // 1 MiB: eight times what a coordinating relay carries
	go func() {
		s.Write(sent)
		s.CloseWrite()
	}()
	got, err := io.ReadAll(s)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("got %d bytes back: %v", len(got), err)
	}
	stats := relay.RelayStats()
	if stats.Circuits != 1 || stats.Bytes < 2<<20 || stats.BytesPerSecond == 0 || len(stats.Peers) != 2 {
		t.Fatalf("relay says %+v", stats)
	}
	for _, p := range stats.Peers {
		if p.Bytes < 1<<20 || p.Peer != c.ID() && p.Peer != hidden.ID() {
			t.Errorf("relay says of %s: %+v", p.Peer, p)
		}
	}
	if _, err := c.NewStream(network.WithDialPeerTimeout(soon(t), time.Millisecond), hidden.ID(), testProtocol); err == nil {
		t.Error("another protocol went over the relay unasked")
	}
}

func TestBlobsNeverGoOverACoordinatingRelay(t *testing.T) {
	t.Parallel() // it mostly waits
	_, hidden, through := behind(t, Relay{Coordinate: true})
	c := newHost(t, Config{Punch: true})
	reach(t, c, through)
	ctx := network.WithDialPeerTimeout(soon(t), 10*time.Millisecond) // how long the swarm waits for a hole
	if s, err := c.Blobs().NewStream(ctx, hidden.ID(), testProtocol); err == nil {
		t.Fatalf("a stream through %s", s.Conn().RemoteMultiaddr())
	}
}

func TestRelayRefusesCircuitsBeyondItsNumber(t *testing.T) {
	relay, hidden, through := behind(t, Relay{Bulk: RelayBulk{BytesPerSecond: 1 << 30, MaxCircuits: 1}})
	first, second := newHost(t, Config{Punch: true}), newHost(t, Config{Punch: true})
	reach(t, first, through)
	if err := second.Connect(soon(t), through); err == nil {
		t.Fatal("a second circuit was opened")
	}
	if n := relay.RelayStats().Circuits; n != 1 {
		t.Errorf("%d circuits", n)
	}
	if err := first.Network().ClosePeer(hidden.ID()); err != nil {
		t.Fatal(err)
	}
	reach(t, newHost(t, Config{Punch: true}), through) // a third one has the place that was left
}

func TestHostThatIsNoRelayRefusesCircuits(t *testing.T) {
	h := newHost(t, Config{})
	if h.RelayStats().Circuits != 0 {
		t.Error("circuits without a relay")
	}
	_, _, through := behind(t, Relay{})
	if err := newHost(t, Config{Punch: true}).Connect(soon(t), through); err == nil {
		t.Fatal("reached through a host that is no relay")
	}
}

func TestRelayLimitsThatMakeNoSenseAreRefused(t *testing.T) {
	for _, b := range []RelayBulk{
		{BytesPerSecond: -1}, {BytesPerSecond: 1}, {MaxCircuits: 3}, {BytesPerSecond: 1 << 20, PeerBytesPerSecond: 5},
		{BytesPerSecond: 1 << 20, PerCircuitBytes: 1 << 20}, {BytesPerSecond: 1 << 20, Duration: time.Second},
	} {
		if _, err := New(Config{Identity: newKey(t), Listen: addrs(everyKind[0]), Relay: Relay{Bulk: b}}); err == nil {
			t.Errorf("%+v was accepted", b)
		}
	}
}

func TestRelayGivesBytesAtItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &relayService{total: newLimiter(1 << 20), ctx: t.Context(), peers: map[peer.ID]*relayed{}}
		s := &meteredStream{Stream: endless{}, relay: r, from: &relayed{limit: newLimiter(100 << 10)}}
		start := time.Now()
		if _, err := io.CopyN(io.Discard, s, 1<<20); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(start).Round(time.Second); took != 10*time.Second {
			t.Errorf("1 MiB at 100 KiB/s took %v", took)
		}
		if rate := r.meter.rateAt(time.Now()); rate < 60<<10 || rate > 110<<10 {
			t.Errorf("the meter says %.0f bytes per second", rate)
		}
	})
}

func TestFiguresOfPeersAreBounded(t *testing.T) {
	r := &relayService{peers: map[peer.ID]*relayed{}}
	for i := range maxRelayed {
		r.peers[peer.ID(rune(i+1))] = &relayed{meter: meter{last: time.Unix(int64(i), 0)}}
	}
	r.forget()
	if _, there := r.peers[peer.ID(rune(1))]; there || len(r.peers) != maxRelayed-1 {
		t.Errorf("%d kept, the oldest among them: %v", len(r.peers), there)
	}
}

type endless struct{ network.Stream }

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestConnectionsBeyondTheLimitsAreRefusedAndTheOthersStay(t *testing.T) {
	hub := newHost(t, Config{MaxInbound: 10, MaxOutbound: 6})
	for range 14 {
		newHost(t, Config{}).Connect(soon(t), info(hub)) // some fail: that is the point
	}
	if n := len(hub.Network().Conns()); n != 10 {
		t.Errorf("%d inbound connections, the limit is 10", n)
	}
	var full int
	for range 8 {
		err := hub.Connect(soon(t), info(newHost(t, Config{})))
		if err != nil && !errors.Is(err, network.ErrResourceLimitExceeded) {
			t.Errorf("a full host says %v", err)
		}
		if err != nil {
			full++
		}
	}
	if full != 2 {
		t.Errorf("%d of 8 dials refused, the limit is 6", full)
	}
	if n := len(hub.Network().Conns()); n != 16 {
		t.Errorf("%d connections at last", n)
	}
}
