package tracker

import (
	"context"
	"runtime/pprof"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
)

func TestOneNodeAloneFindsNobodyAndSaysSo(t *testing.T) {
	n := startNode(t, Config{FindTime: time.Hour}) // nobody to ask is what ends it
	if err := n.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	if got := n.find(testKey(1)); len(got) != 0 {
		t.Fatalf("found %v", got)
	}
	if s := n.Status(); s.Keys != 1 || s.Unheard != 1 || s.DHTPeers != 0 {
		t.Errorf("status %+v", s)
	}
}

func TestTwoNodesFindEachOthersKeysWhoeverCameFirst(t *testing.T) {
	a := startNode(t, Config{})
	if err := a.Announce(t.Context(), testKey(1)); err != nil { // before there is anybody
		t.Fatal(err)
	}
	b := startNode(t, Config{Static: []peer.AddrInfo{a.info()}})
	if e := a.wait(t, Announced); e.Key != testKey(1) || e.Count != 1 {
		t.Fatalf("announced %v", e)
	}
	if err := b.Announce(t.Context(), testKey(2)); err != nil { // now that there is
		t.Fatal(err)
	}
	b.wait(t, Announced)
	if got := a.find(testKey(2)); !slices.Equal(got, []peer.ID{b.host.ID()}) {
		t.Errorf("a finds %v", got)
	}
	// b's static peer comes first anyway; the record has to be there too.
	found := b.records(t, testKey(1))
	if !slices.Contains(found, a.host.ID()) {
		t.Errorf("b finds %v", found)
	}
	if got := a.find(testKey(3)); len(got) != 0 {
		t.Errorf("a finds %v for a key that nobody has", got)
	}
	if last, copies := b.Announced(testKey(2)); copies != 1 || last.IsZero() {
		t.Errorf("Announced says %v, %d", last, copies)
	}
}

// records is what the DHT alone finds.
func (n *node) records(t testing.TB, key Key) []peer.ID {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	found := make(chan peer.AddrInfo)
	go func() {
		defer close(found)
		n.getTable().find(ctx, key, found)
	}()
	var out []peer.ID
	for p := range found {
		if !slices.Contains(out, p.ID) {
			out = append(out, p.ID)
		}
	}
	return out
}

func TestTwoStrangersMeetThroughAThirdNode(t *testing.T) {
	hub := startNode(t, Config{})
	a := startNode(t, Config{Static: []peer.AddrInfo{hub.info()}})
	if err := a.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	a.wait(t, Announced)
	b := startNode(t, Config{Static: []peer.AddrInfo{hub.info()}})
	var got []peer.AddrInfo
	for p := range b.Find(t.Context(), testKey(1)) { // at once, while still connecting
		got = append(got, p)
	}
	if len(got) != 2 || got[0].ID != hub.host.ID() || got[1].ID != a.host.ID() {
		t.Fatalf("found %v: want the static peer, then the one that has it", got)
	}
	if err := b.host.Connect(t.Context(), got[1]); err != nil {
		t.Fatalf("the addresses found are of no use: %v", err)
	}
}

func TestPeerThatComesLaterIsToldToo(t *testing.T) {
	hub := startNode(t, Config{})
	a := startNode(t, Config{Static: []peer.AddrInfo{hub.info()}}, func(t *Tracker) { t.keys.schedule.gap = 50 * time.Millisecond })
	if err := a.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	a.wait(t, Announced)
	late := startNode(t, Config{Static: []peer.AddrInfo{a.info()}}) // knows a only
	if e := a.wait(t, Announced); e.Count != 2 {
		t.Fatalf("announced to %d peers, two are there", e.Count)
	}
	hub.stop()
	hub.host.Close()
	if got := late.records(t, testKey(1)); !slices.Contains(got, a.host.ID()) {
		t.Fatalf("with the first peer gone the record is lost: %v", got)
	}
}

func TestTwentyNodesInAChainFindWhatAnyOneHas(t *testing.T) {
	const size = 20
	nodes := make([]*node, size)
	for i := range nodes {
		cfg := Config{}
		if i > 0 {
			cfg.Static = []peer.AddrInfo{nodes[i-1].info()}
		}
		nodes[i] = startNode(t, cfg)
	}
	for i, n := range nodes {
		if i > 0 {
			n.wait(t, Connected)
		}
	}
	for i, n := range nodes {
		if err := n.Announce(t.Context(), testKey(i)); err != nil {
			t.Fatal(err)
		}
	}
	for _, n := range nodes {
		n.wait(t, Announced)
	}
	for i := range nodes {
		from := nodes[(i+size/2)%size]
		eventually(t, "the record of another node is found", func() bool {
			return slices.Contains(from.records(t, testKey(i)), nodes[i].host.ID())
		})
	}
}

func TestUnannouncedKeyIsNotHandedOutByItsOwner(t *testing.T) {
	a := startNode(t, Config{})
	if err := a.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "running", func() bool { return a.getTable() != nil })
	if err := a.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	if got := a.records(t, testKey(1)); len(got) != 1 {
		t.Fatalf("its own record: %v", got)
	}
	a.Unannounce(testKey(1))
	if got := a.records(t, testKey(1)); len(got) != 0 {
		t.Fatalf("still there: %v", got)
	}
	if s := a.Status(); s.Keys != 0 {
		t.Fatalf("status %+v", s)
	}
}

func TestNodesWithAnotherPrefixAreAnotherNetwork(t *testing.T) {
	a := startNode(t, Config{})
	b := startNode(t, Config{Prefix: "/other", Static: []peer.AddrInfo{a.info()}})
	b.wait(t, Connected)
	if err := b.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	if got := a.records(t, testKey(1)); len(got) != 0 {
		t.Fatalf("found %v", got)
	}
	if s := b.Status(); s.DHTPeers != 0 || s.Unheard != 1 || len(s.Static) != 1 || !s.Static[0].Connected {
		t.Fatalf("status %+v", s)
	}
}

func TestAddressesThatMayNotBeDialledAreLeftOut(t *testing.T) {
	onlyLocal := func(a ma.Multiaddr) bool { return strings.HasPrefix(a.String(), "/ip4/127.") }
	liar := startNode(t, Config{Host: newTestHost(t, libp2p.AddrsFactory(func(own []ma.Multiaddr) []ma.Multiaddr {
		return append(own, ma.StringCast("/ip4/8.8.8.8/tcp/1"), ma.StringCast("/dns4/victim.example/tcp/1"))
	}))})
	hub := startNode(t, Config{Dialable: onlyLocal})
	liar.AddStatic(hub.info())
	if err := liar.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	liar.wait(t, Announced)
	b := startNode(t, Config{Dialable: onlyLocal, Static: []peer.AddrInfo{hub.info()}})
	seen := false
	for p := range b.Find(t.Context(), testKey(1)) {
		seen = seen || p.ID == liar.host.ID()
		if slices.ContainsFunc(p.Addrs, func(a ma.Multiaddr) bool { return !onlyLocal(a) }) {
			t.Errorf("found %v", p)
		}
	}
	if !seen {
		t.Error("its good address was lost, too")
	}
}

func TestSilentPeerDoesNotHoldUpALookup(t *testing.T) {
	silent := newTestHost(t)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	silent.SetStreamHandler(protocol.ID("/aml/kad/1.0.0"), func(s network.Stream) { <-release; s.Reset() })
	a := startNode(t, Config{FindTime: 500 * time.Millisecond, Static: []peer.AddrInfo{{ID: silent.ID(), Addrs: silent.Addrs()}}})
	eventually(t, "connected", func() bool { return a.Status().DHTPeers == 1 })
	if got := a.find(testKey(1)); !slices.Equal(got, []peer.ID{silent.ID()}) {
		t.Errorf("found %v", got)
	}
}

func TestLeavingAFindEarlyEndsIt(t *testing.T) {
	a := startNode(t, Config{})
	b := startNode(t, Config{Static: []peer.AddrInfo{a.info()}})
	b.wait(t, Connected)
	if err := a.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	a.wait(t, Announced)
	for range b.Find(t.Context(), testKey(1)) {
		break
	}
	for range a.Find(t.Context(), testKey(1)) {
		break
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for p := range b.Find(ctx, testKey(1)) {
		if p.ID != a.host.ID() {
			t.Errorf("found %v", p)
		}
	}
}

func TestUnreachableStaticPeerIsToldWithItsAddressAndReachedLater(t *testing.T) {
	host := newTestHost(t)
	info := peer.AddrInfo{ID: host.ID(), Addrs: host.Addrs()}
	key := host.Peerstore().PrivKey(host.ID())
	if err := host.Close(); err != nil {
		t.Fatal(err)
	}
	a := startNode(t, Config{Static: []peer.AddrInfo{info}})
	e := a.wait(t, Unreachable)
	if e.Peer != info.ID || !e.Addrs[0].Equal(info.Addrs[0]) || !strings.Contains(e.Err.Error(), info.Addrs[0].String()) ||
		!strings.Contains(e.Err.Error(), "connection refused") || strings.Contains(e.String(), "\n") {
		t.Errorf("told %q", e)
	}
	newTestHost(t, libp2p.Identity(key), libp2p.ListenAddrs(info.Addrs...))
	if e := a.wait(t, Connected); e.Peer != info.ID {
		t.Errorf("told %q", e)
	}
	for _, e := range drain(a.events) {
		if e.Kind == Unreachable {
			t.Errorf("told again: %q", e)
		}
	}
}

func drain(events chan Event) (out []Event) {
	for {
		select {
		case e := <-events:
			out = append(out, e)
		default:
			return out
		}
	}
}

func TestFindWithoutDHTYieldsStaticPeersWithoutRun(t *testing.T) {
	h := newTestHost(t)
	static := make([]peer.AddrInfo, MaxFound+10)
	for i := range static {
		static[i] = peer.AddrInfo{ID: peer.ID(testKey(i).String()), Addrs: addrA()}
	}
	tr, err := New(Config{Host: h, Static: append(static, static[0])})
	if err != nil {
		t.Fatal(err)
	}
	var got []peer.ID
	for p := range tr.Find(t.Context(), testKey(1)) {
		got = append(got, p.ID)
	}
	if len(got) != MaxFound || got[0] != static[0].ID || got[MaxFound-1] != static[MaxFound-1].ID {
		t.Fatalf("%d found", len(got))
	}
}

func TestConfigIsChecked(t *testing.T) {
	h := newTestHost(t)
	for _, cfg := range []Config{{}, {Host: h, Interval: -1}, {Host: h, Parallel: -1}, {Host: h, FindTime: -1},
		{Host: h, Static: []peer.AddrInfo{{}}}} {
		if _, err := New(cfg); err == nil {
			t.Errorf("%+v was accepted", cfg)
		}
	}
}

func TestRunEndsEverythingAndMayNotBeCalledAgain(t *testing.T) {
	hub := newTestHost(t)
	h := newTestHost(t)
	n := startNode(t, Config{Host: h, Static: []peer.AddrInfo{{ID: hub.ID(), Addrs: hub.Addrs()}}, LAN: true})
	n.wait(t, Connected)
	if err := n.Announce(t.Context(), testKey(1)); err != nil {
		t.Fatal(err)
	}
	n.stop()
	if err := n.Run(t.Context()); err != ErrUsed {
		t.Errorf("second Run: %v", err)
	}
	if len(n.find(testKey(1))) != 1 { // the static peer, and no waiting
		t.Error("Find after Run")
	}
	if slices.Contains(h.Mux().Protocols(), protocol.ID("/aml/kad/1.0.0")) {
		t.Error("still takes part in the DHT")
	}
	// Other tests may run nodes of their own at the same time: look for this
	// node's goroutines by what only Run starts, after all of them ended.
	eventually(t, "goroutines have ended", func() bool {
		var stacks strings.Builder
		pprof.Lookup("goroutine").WriteTo(&stacks, 1)
		return !strings.Contains(stacks.String(), "tracker.(*keeper).keep") &&
			!strings.Contains(stacks.String(), "tracker.(*announcer).run") &&
			!strings.Contains(stacks.String(), "go-libp2p-kad-dht")
	})
}
