package gossip

import (
	"context"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// noTrace is a pubsub.RawTracer that hears nothing.
type noTrace struct{}

func (noTrace) OnNewOutboundStream(peer.ID, protocol.ID) {}
func (noTrace) OnClosedOutboundStream(peer.ID)           {}
func (noTrace) Join(string)                              {}
func (noTrace) Leave(string)                             {}
func (noTrace) Graft(peer.ID, string)                    {}
func (noTrace) Prune(peer.ID, string)                    {}
func (noTrace) ValidateMessage(*pubsub.Message)          {}
func (noTrace) DeliverMessage(*pubsub.Message)           {}
func (noTrace) RejectMessage(*pubsub.Message, string)    {}
func (noTrace) DuplicateMessage(*pubsub.Message)         {}
func (noTrace) ThrottlePeer(peer.ID)                     {}
func (noTrace) RecvRPC(*pubsub.RPC)                      {}
func (noTrace) SendRPC(*pubsub.RPC, peer.ID)             {}
func (noTrace) DropRPC(*pubsub.RPC, peer.ID)             {}
func (noTrace) UndeliverableMessage(*pubsub.Message)     {}

// grafts hears who comes into the mesh of a room. What came into the room
// before that is passed on to nobody who has just come: gossipsub sends new
// messages to those in the mesh, and tells of older ones only those outside.
type grafts struct {
	noTrace
	heard chan graft
}

type graft struct {
	peer peer.ID
	room string
}

// maxGrafts is how many wait; more at once are left to the agenda.
const maxGrafts = 1024

func newGrafts() *grafts { return &grafts{heard: make(chan graft, maxGrafts)} }

// Graft is called by pubsub's loop, which must not wait.
func (gs *grafts) Graft(p peer.ID, room string) {
	select {
	case gs.heard <- graft{p, room}:
	default:
	}
}

// followGrafts wants a session with whoever comes into the mesh of a room of
// ours, until ctx ends.
func (g *Gossip) followGrafts(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-g.grafts.heard:
			g.mu.Lock()
			r := g.rooms[n.room]
			g.mu.Unlock()
			if r != nil && g.interest(r.target) != nil {
				g.plan.want(n.peer, r.target, 0, false)
			}
		}
	}
}
