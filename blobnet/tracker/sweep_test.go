package tracker

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	mh "github.com/multiformats/go-multihash"
)

// announceAndWait announces keys, and returns once each is stored.
func (n *node) announceAndWait(t testing.TB, keys []Key) {
	t.Helper()
	go func() { // nobody else reads them
		for range n.events {
		}
	}()
	before := n.Stats().Announced
	if err := n.Announce(t.Context(), keys...); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	timeout := time.After(10 * time.Minute)
	for n.Stats().Announced < before+uint64(len(keys)) {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatalf("not announced: %+v", n.Stats())
		}
	}
}

// testNetworkOf announces many keys from one node, and finds some from another.
func testNetworkOf(t *testing.T, size, keyCount int) {
	s := newSim(t, size)
	a := s.join(t, Config{})
	b := s.join(t, Config{})
	keys := testKeys(keyCount)
	asked := s.asked.Load()
	a.announceAndWait(t, keys)
	perKey := float64(s.asked.Load()-asked) / float64(len(keys))
	t.Logf("%d members, %d keys: %.3f questions and %.1f records a key", size, keyCount, perKey, float64(s.stored.Load())/float64(len(keys)))
	right, other := 0, 0
	for i := range 100 {
		r, o := s.holders(keys[i*len(keys)/100])
		right, other = right+r, other+o
	}
	want := min(size, replicas)
	t.Logf("of the %d closest members %.1f have the record, of others %.1f", want, float64(right)/100, float64(other)/100)
	if right < want*100*9/10 {
		t.Errorf("too many records are in wrong places")
	}
	// b is connected to some members, and a is none of its static peers.
	for i := range 20 {
		if got := b.find(keys[i*len(keys)/20]); !slices.Contains(got, a.host.ID()) {
			t.Errorf("key %d: found %v", i, got)
		}
	}
	if got := b.find(testKey(1 << 30)); len(got) != 0 {
		t.Errorf("found %v for a key that nobody has", got)
	}
}

func TestNetworksOfAnySizeKnowWhereRecordsBelong(t *testing.T) {
	sizes := []int{1, 2, 19, 25, 150}
	if !underRace { // whose thousand members answer too late
		sizes = append(sizes, 1000)
	}
	for _, size := range sizes {
		t.Run(fmt.Sprint(size), func(t *testing.T) { testNetworkOf(t, size, 2000) })
	}
}

func TestStaticPeersAreToldOfEveryKeyAgainAndAgain(t *testing.T) {
	s := newSim(t, 60)
	static := s.members[0]
	n := s.join(t, Config{Static: []peer.AddrInfo{static.info}, SparseInterval: 200 * time.Millisecond})
	keys := testKeys(200)
	n.announceAndWait(t, keys)
	for _, k := range keys {
		if !slices.Contains(s.recorded(k), static) {
			t.Fatalf("the static peer was not told of %s", k)
		}
	}
	static.mu.Lock()
	clear(static.records) // as if it had been restarted
	static.mu.Unlock()
	eventually(t, "the static peer is told again", func() bool {
		static.mu.Lock()
		defer static.mu.Unlock()
		return len(static.records) == len(keys)
	})
}

// recorded returns the members that have a record of key.
func (s *sim) recorded(key Key) (out []*member) {
	for _, m := range s.members {
		m.mu.Lock()
		if len(m.records[string(key.multihash())]) > 0 {
			out = append(out, m)
		}
		m.mu.Unlock()
	}
	return out
}

// A third of the network answers with thousands of providers, and with closer
// peers that do not exist.
func TestAnswersOfLiarsAreBounded(t *testing.T) {
	s := newSim(t, 60)
	crowd := make([]peer.AddrInfo, 5000)
	for i := range crowd {
		id := append([]byte{0x12, 32}, testKey(i).point().bytes()...)
		crowd[i] = peer.AddrInfo{ID: peer.ID(id), Addrs: s.members[0].info.Addrs}
	}
	for i := range 20 {
		s.members[3*i].lie = func(req, resp *pb.Message) {
			resp.CloserPeers = pb.RawPeerInfosToPBPeers(crowd)
			if req.Type == pb.Message_GET_PROVIDERS {
				resp.ProviderPeers = resp.CloserPeers
			}
		}
	}
	a := s.join(t, Config{})
	b := s.join(t, Config{FindTime: 2 * time.Second, MaxPeers: 7})
	a.announceAndWait(t, testKeys(100))
	for i := range 3 {
		begin := time.Now()
		if got := b.find(testKey(i)); len(got) > 7 {
			t.Errorf("%d peers found", len(got))
		}
		if d := time.Since(begin); d > time.Minute {
			t.Errorf("took %v", d)
		}
	}
}

func (p point) bytes() []byte { return p[:] }

// A peer that takes what it is sent but never says so, and one that does not
// even read, do not keep the others from being told.
func TestStallingPeersDoNotHoldUpAnnouncing(t *testing.T) {
	s := newSim(t, 10)
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	for _, m := range s.members[:2] {
		s.net.Host(m.spot.peer).SetStreamHandler("/aml/kad/1.0.0", func(stream network.Stream) { <-release; stream.Reset() })
	}
	h, err := s.net.GenPeer()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.members {
		if _, err := s.net.LinkPeers(h.ID(), m.spot.peer); err != nil {
			t.Fatal(err)
		}
	}
	n := startNode(t, Config{Host: h}, func(t *Tracker) { t.tellTime, t.keys.lookTime = time.Second, time.Second })
	s.connect(t, h, len(s.members))
	keys := testKeys(1500)
	n.announceAndWait(t, keys)
	for _, k := range []Key{keys[0], keys[750], keys[1499]} {
		if len(s.recorded(k)) != 8 {
			t.Errorf("%d members have the record", len(s.recorded(k)))
		}
		if _, copies := n.Announced(k); copies != 8 {
			t.Errorf("%d copies", copies)
		}
	}
}

// one look-up per key is what announcing cost before it swept.
func (t *table) provideAlone(ctx context.Context, key Key) int {
	t.keep(ctx, key)
	closest, _ := t.dht.GetClosestPeers(ctx, string(key.multihash()))
	self := peer.AddrInfo{ID: t.host.ID(), Addrs: t.dht.FilteredAddrs()}
	var wg sync.WaitGroup
	var copies atomic.Int64
	for _, p := range closest {
		wg.Go(func() {
			if t.ask.PutProviderAddrs(ctx, p, mh.Multihash(key.multihash()), self) == nil {
				copies.Add(1)
			}
		})
	}
	wg.Wait()
	return int(copies.Load())
}

// BenchmarkAnnounce100k announces 100,000 keys in a network of 1,000, and then
// some with a look-up for each, eight at a time, as it was done before. Time on
// the network is nothing here: where it is not, the look-ups cost more still.
func BenchmarkAnnounce100k(b *testing.B) {
	const size, count, sample = 1000, 100_000, 1000
	for b.Loop() {
		s := newSim(b, size)
		n := s.join(b, Config{})
		begin, asked := time.Now(), s.asked.Load()
		n.announceAndWait(b, testKeys(count))
		sweep := time.Since(begin)
		b.ReportMetric(count/sweep.Seconds(), "keys/s")
		b.ReportMetric(float64(s.asked.Load()-asked)/count, "questions/key")

		keys := make(chan Key)
		var wg sync.WaitGroup
		begin, asked = time.Now(), s.asked.Load()
		for range 8 {
			wg.Go(func() {
				for k := range keys {
					if n.getTable().provideAlone(b.Context(), k) == 0 {
						b.Error("not stored")
					}
				}
			})
		}
		for i := range sample {
			keys <- testKey(count + i)
		}
		close(keys)
		wg.Wait()
		alone := time.Since(begin)
		b.ReportMetric(sample/alone.Seconds(), "alone-keys/s")
		b.ReportMetric(float64(s.asked.Load()-asked)/sample, "alone-questions/key")
		ratio := (alone.Seconds() / sample) / (sweep.Seconds() / count)
		b.ReportMetric(ratio, "times-faster")
		if ratio < 10 {
			b.Errorf("sweeping is %.1f times as fast as a look-up for each key, want 10", ratio)
		}
		b.ReportMetric(0, "ns/op")
	}
}
