package attack

import (
	"context"
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/proto"
)

// meshProtocol is what CHANNELS.md, Gossip, calls the protocol.
const meshProtocol protocol.ID = "/aml/meshsub/1.2.0"

func roomOf(id channel.ID) string         { return "/aml/channel/1/" + id.Discovery().String() }
func topicRoomOf(topic string) string     { return "/aml/topic/1/" + channel.TopicKey(topic).String() }
func room(of *channeltest.Channel) string { return roomOf(of.ID) }

// adversary is a host and nothing else: whatever it says, it makes byte by byte.
// It keeps one gossip stream to each victim, and hears what victims gossip to
// it.
type adversary struct {
	w    *world
	host host.Host

	mu      sync.Mutex
	streams map[peer.ID]network.Stream // guarded by mu
	heard   []*pb.Message              // guarded by mu
	kick    chan struct{}              // closed and replaced when something was heard; guarded by mu
}

func newAdversary(w *world) *adversary {
	w.Helper()
	a := &adversary{w: w, host: newHost(w), streams: make(map[peer.ID]network.Stream), kick: make(chan struct{})}
	a.host.SetStreamHandler(meshProtocol, a.listen)
	return a
}

func (a *adversary) id() peer.ID { return a.host.ID() }

// listen keeps the messages that a victim sends.
func (a *adversary) listen(s network.Stream) {
	defer s.Reset()
	r := reader{s}
	for {
		n, err := binary.ReadUvarint(r)
		if err != nil || n > 1<<20 {
			return
		}
		data := make([]byte, n)
		if _, err := io.ReadFull(s, data); err != nil {
			return
		}
		var rpc pb.RPC
		if proto.Unmarshal(data, &rpc) != nil {
			return
		}
		a.mu.Lock()
		a.heard = append(a.heard, rpc.Publish...)
		close(a.kick)
		a.kick = make(chan struct{})
		a.mu.Unlock()
	}
}

// reader reads single bytes of a stream.
type reader struct{ io.Reader }

func (r reader) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Reader, b[:])
	return b[0], err
}

// inRoom is what was heard in a room, each message once.
func (a *adversary) inRoom(name string) [][]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	seen := make(map[string]bool)
	var out [][]byte
	for _, m := range a.heard {
		if m.GetTopic() == name && !seen[string(m.GetData())] {
			seen[string(m.GetData())] = true
			out = append(out, m.GetData())
		}
	}
	return out
}

// awaitHeard waits until so many messages were heard in a room.
func (a *adversary) awaitHeard(name string, n int) [][]byte {
	a.w.Helper()
	deadline := time.After(waitLimit)
	for {
		a.mu.Lock()
		kick := a.kick
		a.mu.Unlock()
		if all := a.inRoom(name); len(all) >= n {
			return all
		}
		select {
		case <-kick:
		case <-deadline:
			a.w.Fatalf("heard %d messages, want %d", len(a.inRoom(name)), n)
		}
	}
}

// meet connects to a victim and opens the gossip stream.
func (a *adversary) meet(p *party) {
	a.w.Helper()
	connect(a.w, a.host, p.host)
	s := a.open(p, meshProtocol)
	a.mu.Lock()
	a.streams[p.id()] = s
	a.mu.Unlock()
}

// open opens a stream to a victim that speaks the protocol.
func (a *adversary) open(p *party, id protocol.ID) network.Stream {
	a.w.Helper()
	ctx, cancel := context.WithTimeout(a.w.Context(), waitLimit)
	defer cancel()
	for {
		s, err := a.host.NewStream(ctx, p.id(), id)
		if err == nil {
			return s
		}
		if ctx.Err() != nil || a.host.Network().Connectedness(p.id()) != network.Connected {
			a.w.Fatalf("opening %s: %v", id, err)
		}
		<-time.After(10 * time.Millisecond) // it is just starting
	}
}

// rpc sends one of gossipsub's packets. It reports whether it went out: a victim
// may have cut the stream.
func (a *adversary) rpc(p *party, rpc *pb.RPC) bool {
	a.w.Helper()
	data, err := proto.Marshal(rpc)
	a.w.must(err)
	return a.raw(p, append(binary.AppendUvarint(nil, uint64(len(data))), data...))
}

// raw sends bytes on the gossip stream.
func (a *adversary) raw(p *party, data []byte) bool {
	a.mu.Lock()
	s := a.streams[p.id()]
	a.mu.Unlock()
	_ = s.SetWriteDeadline(time.Now().Add(waitLimit))
	_, err := s.Write(data)
	return err == nil
}

// join says that the adversary is in the rooms.
func (a *adversary) join(p *party, rooms ...string) bool { return a.rpc(p, subscriptions(true, rooms)) }

func (a *adversary) leave(p *party, rooms ...string) bool {
	return a.rpc(p, subscriptions(false, rooms))
}

func subscriptions(on bool, rooms []string) *pb.RPC {
	var rpc pb.RPC
	for _, name := range rooms {
		rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Topicid: proto.String(name), Subscribe: proto.Bool(on)})
	}
	return &rpc
}

// graft asks for a place in the mesh of a room, so that what is passed on there
// comes here.
func (a *adversary) graft(p *party, name string) bool {
	return a.rpc(p, &pb.RPC{Control: &pb.ControlMessage{Graft: []*pb.ControlGraft{{TopicID: proto.String(name)}}}})
}

// say sends messages in a room, as many as fit in one packet.
func (a *adversary) say(p *party, name string, messages ...[]byte) bool {
	a.w.Helper()
	var rpc pb.RPC
	size := 0
	for _, m := range messages {
		if size > 0 && size+len(m) > 100<<10 {
			if !a.rpc(p, &rpc) {
				return false
			}
			rpc, size = pb.RPC{}, 0
		}
		rpc.Publish = append(rpc.Publish, &pb.Message{Topic: proto.String(name), Data: m})
		size += len(m) + 100
	}
	return a.rpc(p, &rpc)
}

// fence returns when the victim has taken in everything that was sent to it on
// the gossip stream before. What it then does with a message goes on beside.
func (a *adversary) fence(p *party, ch *channeltest.Channel) {
	a.w.Helper()
	in := func() bool { return slices.Contains(p.gossip.Peers(ch.ID), a.id()) }
	a.leave(p, room(ch))
	p.await("the fence to fall", func() bool { return !in() })
	a.join(p, room(ch))
	p.await("the fence to stand", in)
}
