package gossip

import (
	"encoding/hex"
	"strings"
	"sync"

	"github.com/anonymous-media-library/aml/channel"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/peer"
)

// The gossip topics. What follows the prefix is a discovery key or a topic
// key in hex, so a listener on the wire learns no name.
const (
	channelRoom = "/aml/channel/1/"
	topicRoom   = "/aml/topic/1/"
)

func channelRoomName(id channel.ID) string { return channelRoom + id.Discovery().String() }
func topicRoomName(topic string) string    { return topicRoom + channel.TopicKey(topic).String() }

// validRoom reports whether name is the name of a room at all.
func validRoom(name string) bool {
	key, ok := strings.CutPrefix(name, channelRoom)
	if !ok {
		if key, ok = strings.CutPrefix(name, topicRoom); !ok {
			return false
		}
	}
	var raw [32]byte
	if len(key) != 2*len(raw) || key != strings.ToLower(key) {
		return false
	}
	_, err := hex.Decode(raw[:], []byte(key))
	return err == nil
}

// subFilter is a pubsub.SubscriptionFilter that remembers at most
// MaxTopicsPerPeer gossip topics of each peer, in all and not only in one
// message. What is over is not remembered; the peer is not punished for it.
type subFilter struct {
	mu    sync.Mutex
	rooms map[peer.ID]map[string]struct{} // guarded by mu
}

func newSubFilter() *subFilter {
	return &subFilter{rooms: make(map[peer.ID]map[string]struct{})}
}

// CanSubscribe allows what has the form of our own names.
func (f *subFilter) CanSubscribe(name string) bool { return validRoom(name) }

// FilterIncomingSubscriptions returns those of subs that change something
// within the limits. It never fails.
func (f *subFilter) FilterIncomingSubscriptions(p peer.ID, subs []*pb.RPC_SubOpts) ([]*pb.RPC_SubOpts, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	in := f.rooms[p]
	var kept []*pb.RPC_SubOpts
	for _, s := range subs {
		name := s.GetTopicid()
		if !validRoom(name) {
			continue
		}
		_, known := in[name]
		switch {
		case !s.GetSubscribe():
			if !known {
				continue
			}
			delete(in, name)
		case !known:
			if len(in) >= MaxTopicsPerPeer {
				continue
			}
			if in == nil {
				in = make(map[string]struct{})
				f.rooms[p] = in
			}
			in[name] = struct{}{}
		}
		kept = append(kept, s)
	}
	return kept, nil
}

// all returns the channels' rooms that each peer is in.
func (f *subFilter) all() map[peer.ID][]string {
	f.mu.Lock()
	defer f.mu.Unlock()
	out := make(map[peer.ID][]string, len(f.rooms))
	for p, rooms := range f.rooms {
		for room := range rooms {
			if strings.HasPrefix(room, channelRoom) {
				out[p] = append(out[p], room)
			}
		}
	}
	return out
}

// prune forgets the peers that are not connected.
func (f *subFilter) prune(connected func(peer.ID) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for p := range f.rooms {
		if !connected(p) {
			delete(f.rooms, p)
		}
	}
}
