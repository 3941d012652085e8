package tracker

import (
	"bufio"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	pb "github.com/libp2p/go-libp2p-kad-dht/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	mocknet "github.com/libp2p/go-libp2p/p2p/net/mock"
	"google.golang.org/protobuf/encoding/protodelim"
)

// sim is a network in memory: many members of the DHT that are simulated, each
// with a routing table as it would have after a while, and real nodes among
// them.
type sim struct {
	net     mocknet.Mocknet
	members []*member
	asked   atomic.Int64 // FIND_NODE and GET_PROVIDERS
	stored  atomic.Int64 // ADD_PROVIDER
}

// member is a simulated member.
type member struct {
	sim   *sim
	spot  spot
	info  peer.AddrInfo
	lie   func(req, resp *pb.Message) // changes an answer, if set
	table []*member                   // peers that it knows: up to replicas for each number of shared bits

	mu      sync.Mutex
	records map[string][]peer.AddrInfo // guarded by mu
}

func newSim(t testing.TB, size int) *sim {
	t.Helper()
	s := &sim{net: mocknet.New()}
	t.Cleanup(func() { s.net.Close() })
	for range size {
		h, err := s.net.GenPeer()
		if err != nil {
			t.Fatal(err)
		}
		m := &member{sim: s, spot: spot{h.ID(), peerPoint(h.ID())}, info: peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}, records: make(map[string][]peer.AddrInfo)}
		h.SetStreamHandler("/aml/kad/1.0.0", m.serve)
		s.members = append(s.members, m)
	}
	for _, m := range s.members {
		buckets := make(map[int]int)
		for _, other := range s.members {
			if n := m.spot.point.shared(other.spot.point); other != m && buckets[n] < replicas {
				buckets[n]++
				m.table = append(m.table, other)
			}
		}
	}
	return s
}

// join adds a real node that knows a few of the members.
func (s *sim) join(t testing.TB, cfg Config) *node {
	t.Helper()
	h, err := s.net.GenPeer()
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range s.members {
		if _, err := s.net.LinkPeers(h.ID(), m.spot.peer); err != nil {
			t.Fatal(err)
		}
	}
	cfg.Host = h
	n := startNode(t, cfg)
	s.connect(t, h, min(len(s.members), 30))
	eventually(t, "the routing table knows somebody", func() bool { return n.Status().TableSize >= min(len(s.members), 20) })
	return n
}

// connect connects a host with some members, of all parts of the space.
func (s *sim) connect(t testing.TB, h host.Host, count int) {
	t.Helper()
	for i := range count {
		if err := h.Connect(t.Context(), s.members[i*len(s.members)/count].info); err != nil {
			t.Fatal(err)
		}
	}
}

// closest returns the members closest to p of those given.
func closestMembers(members []*member, p point, n int) []*member {
	out := slices.Clone(members)
	slices.SortFunc(out, func(a, b *member) int {
		if p.closer(a.spot.point, b.spot.point) {
			return -1
		}
		return 1
	})
	return out[:min(n, len(out))]
}

func keyPoint(key []byte) point { return peerPoint(peer.ID(key)) }

func (m *member) serve(s network.Stream) {
	r := bufio.NewReader(s)
	for {
		var req pb.Message
		err := protodelim.UnmarshalFrom(r, &req)
		if err == io.EOF {
			s.Close()
			return
		}
		if err != nil {
			s.Reset()
			return
		}
		if req.Type == pb.Message_ADD_PROVIDER {
			m.sim.stored.Add(1)
			m.mu.Lock()
			for _, p := range pb.PBPeersToPeerInfos(req.ProviderPeers) {
				if !slices.ContainsFunc(m.records[string(req.Key)], func(q peer.AddrInfo) bool { return q.ID == p.ID }) {
					m.records[string(req.Key)] = append(m.records[string(req.Key)], *p)
				}
			}
			m.mu.Unlock()
			continue
		}
		m.sim.asked.Add(1)
		resp := pb.NewMessage(req.Type, req.Key, 0)
		var closer []peer.AddrInfo
		for _, c := range closestMembers(m.table, keyPoint(req.Key), replicas) {
			closer = append(closer, c.info)
		}
		resp.CloserPeers = pb.RawPeerInfosToPBPeers(closer)
		if req.Type == pb.Message_GET_PROVIDERS {
			m.mu.Lock()
			resp.ProviderPeers = pb.RawPeerInfosToPBPeers(m.records[string(req.Key)])
			m.mu.Unlock()
		}
		if m.lie != nil {
			m.lie(&req, resp)
		}
		if _, err := protodelim.MarshalTo(s, resp); err != nil {
			s.Reset()
			return
		}
	}
}

// holders counts how many of the members that are closest to key have a record
// of it, and how many others.
func (s *sim) holders(key Key) (right, other int) {
	right20 := closestMembers(s.members, key.point(), replicas)
	for _, m := range s.members {
		m.mu.Lock()
		has := len(m.records[string(key.multihash())]) > 0
		m.mu.Unlock()
		switch {
		case has && slices.Contains(right20, m):
			right++
		case has:
			other++
		}
	}
	return right, other
}
