package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/channel/gossip"
	"github.com/anonymous-media-library/aml/internal/sim/simnet"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

// kind is what an adversary does beside passing nothing on.
type kind int

const (
	silent   kind = iota // joins every mesh and passes nothing on
	replayer             // sends what was said before, bundled anew
	forger               // floods with signatures that do not hold
	stale                // floods with valid heads that are old
	liar                 // lies in sync; how depends on its number
	forker               // has the key of a channel and signs two histories
)

// adversary is a hostile node. It speaks gossipsub and sync itself, and is as
// easily found as an honest follower of as many channels.
type adversary struct {
	w      *world
	number int
	id     peer.ID
	kind   kind
	follow []*author
	host   *simnet.Host
	meter  meter

	mu     sync.Mutex
	rng    *rand.Rand                 // guarded by mu
	lines  map[peer.ID]network.Stream // to neighbours; guarded by mu
	heard  []message                  // the last ones, as they came; guarded by mu
	friend *node                      // a forker's: it runs two nodes that look honest
}

type message struct {
	room string
	data []byte
}

const maxHeard = 256

func newAdversary(w *world, number int, follow []*author) *adversary {
	i := number - len(w.honest)
	h := &adversary{w: w, number: number, id: nameOf(number), follow: follow, rng: w.dice(number, 8), lines: make(map[peer.ID]network.Stream)}
	if i < 2*w.o.Forks {
		h.kind = forker
		h.follow = []*author{w.authors[w.o.Channels+i/2]}
	} else {
		h.kind = kind(i) % forker
	}
	return h
}

func roomOf(a *author) string { return "/aml/channel/1/" + a.ID.Discovery().String() }

// run is an adversary's life, until ctx ends.
func (h *adversary) run(ctx context.Context) error {
	if h.kind == forker {
		return h.equivocate(ctx)
	}
	host, err := h.w.net.Join(h.id, h.number, h.meter.sent)
	if err != nil {
		return err
	}
	h.host = host
	defer host.Close()
	host.SetStreamHandler(meshProtocol, h.listen)
	host.SetStreamHandler(gossip.SyncProtocol, h.answer)
	met, err := host.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		return err
	}
	defer met.Close()
	for _, a := range h.follow {
		h.w.tracker.announce(host.Info(), a.ID.Discovery())
	}
	var work sync.WaitGroup
	defer work.Wait()
	work.Go(func() { h.seek(ctx) })
	act := time.NewTicker(time.Duration(float64(time.Second) / h.w.o.Flood))
	defer act.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-met.Out():
			work.Go(func() { h.greet(ctx, e.(event.EvtPeerIdentificationCompleted).Peer) })
		case <-act.C:
			h.act()
		}
	}
}

// seek connects to followers, as an honest node does.
func (h *adversary) seek(ctx context.Context) {
	for {
		for _, a := range h.follow {
			for info := range h.w.tracker.find(ctx, h.id, a.ID.Discovery()) {
				_ = h.host.Connect(ctx, info)
			}
		}
		if pause(ctx, 2*time.Minute) != nil {
			return
		}
	}
}

// greet opens a stream of gossipsub to a peer, says which rooms it is in, and
// puts itself into their meshes, again and again.
func (h *adversary) greet(ctx context.Context, p peer.ID) {
	dial, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	s, err := h.host.NewStream(dial, p, meshProtocol)
	if err != nil {
		return
	}
	hello := &pb.RPC{Control: &pb.ControlMessage{}}
	for _, a := range h.follow {
		hello.Subscriptions = append(hello.Subscriptions, &pb.RPC_SubOpts{Subscribe: proto.Bool(true), Topicid: proto.String(roomOf(a))})
		hello.Control.Graft = append(hello.Control.Graft, &pb.ControlGraft{TopicID: proto.String(roomOf(a))})
	}
	if say(s, hello) != nil {
		_ = s.Reset()
		return
	}
	h.mu.Lock()
	old := h.lines[p]
	h.lines[p] = s
	h.mu.Unlock()
	if old != nil {
		_ = old.Reset()
	}
}

// listen remembers what is said, and passes nothing on.
func (h *adversary) listen(s network.Stream) {
	defer s.Reset()
	for {
		rpc, err := hear(s)
		if err != nil {
			return
		}
		h.mu.Lock()
		for _, m := range rpc.GetPublish() {
			if h.heard = append(h.heard, message{m.GetTopic(), m.GetData()}); len(h.heard) > maxHeard {
				h.heard = h.heard[1:]
			}
		}
		h.mu.Unlock()
	}
}

// act is done at the pace of the flood: one message to every neighbour, if it is
// that kind of adversary.
func (h *adversary) act() {
	if h.kind != replayer && h.kind != forger && h.kind != stale {
		return
	}
	h.mu.Lock()
	m, ok := h.invent()
	lines := make(map[peer.ID]network.Stream, len(h.lines))
	for p, s := range h.lines {
		lines[p] = s
	}
	h.mu.Unlock()
	if !ok {
		return
	}
	rpc := &pb.RPC{Publish: []*pb.Message{{Topic: proto.String(m.room), Data: m.data}}}
	for p, s := range lines {
		_ = s.SetWriteDeadline(time.Now().Add(time.Millisecond)) // who does not keep up misses something
		if err := say(s, rpc); err != nil && s.Conn().IsClosed() {
			h.mu.Lock()
			if h.lines[p] == s {
				delete(h.lines, p)
			}
			h.mu.Unlock()
		}
	}
}

// say writes one RPC.
func say(s network.Stream, rpc *pb.RPC) error {
	data, err := proto.Marshal(rpc)
	if err != nil {
		return err
	}
	_, err = s.Write(append(binary.AppendUvarint(nil, uint64(len(data))), data...))
	return err
}

// hear reads one RPC.
func hear(r io.Reader) (*pb.RPC, error) {
	length, err := binary.ReadUvarint(oneByte{r})
	if err != nil {
		return nil, err
	}
	if length > 1<<20 {
		return nil, fmt.Errorf("RPC of %d bytes", length)
	}
	data := make([]byte, length)
	if _, err := io.ReadFull(r, data); err != nil {
		return nil, err
	}
	rpc := new(pb.RPC)
	return rpc, proto.Unmarshal(data, rpc)
}

type oneByte struct{ io.Reader }

func (r oneByte) ReadByte() (byte, error) {
	var b [1]byte
	_, err := io.ReadFull(r.Reader, b[:])
	return b[0], err
}
