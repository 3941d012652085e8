package gossip

import (
	"context"
	"crypto/sha256"
	"fmt"
	"net"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Scores below which a peer's gossip is ignored more and more. One invalid
// message costs 100, five cost 2,500: the counter is squared.
const (
	gossipThreshold   = -500
	publishThreshold  = -1000
	graylistThreshold = -2500
)

const (
	seenFor       = 10 * time.Minute
	validateQueue = 1024 // messages that wait to be looked at
	outboundQueue = 256  // packets that wait for one peer
)

// newMesh starts gossipsub on the host until ctx ends. Nobody signs at its
// level: an envelope's own signatures are what counts, and a message must not
// say through which node it came into the world.
func newMesh(ctx context.Context, cfg Config, filter *subFilter, conduct *conduct, grafts *grafts) (*pubsub.PubSub, error) {
	options := []pubsub.Option{
		pubsub.WithGossipSubParams(meshParams()),
		pubsub.WithGossipSubProtocols([]protocol.ID{meshProtocol}, meshFeatures),
		pubsub.WithMessageSignaturePolicy(pubsub.StrictNoSign),
		pubsub.WithNoAuthor(),
		pubsub.WithMessageIdFn(messageID),
		pubsub.WithMaxMessageSize(maxRPC),
		pubsub.WithMaxControlMessageSize(maxRPC),
		pubsub.WithSeenMessagesTTL(seenFor),
		pubsub.WithFloodPublish(true),
		pubsub.WithSubscriptionFilter(filter),
		pubsub.WithPeerScore(scoreParams(conduct), &pubsub.PeerScoreThresholds{
			GossipThreshold:             gossipThreshold,
			PublishThreshold:            publishThreshold,
			GraylistThreshold:           graylistThreshold,
			AcceptPXThreshold:           1000, // nobody reaches it: peers are found by the tracker alone
			OpportunisticGraftThreshold: 3.5,
		}),
		pubsub.WithPeerGater(pubsub.DefaultPeerGaterParams()),
		// The defaults, 32 of each, drop silently.
		pubsub.WithValidateQueueSize(validateQueue),
		pubsub.WithPeerOutboundQueueSize(outboundQueue),
		pubsub.WithRawTracer(grafts),
	}
	if cfg.tracer != nil {
		options = append(options, pubsub.WithRawTracer(cfg.tracer))
	}
	ps, err := pubsub.NewGossipSub(ctx, cfg.Host, options...)
	if err != nil {
		return nil, fmt.Errorf("starting gossipsub: %w", err)
	}
	return ps, nil
}

func meshParams() pubsub.GossipSubParams {
	params := pubsub.DefaultGossipSubParams()
	params.D, params.Dlo, params.Dhi, params.Dscore, params.Dout = 8, 6, 12, 5, 3
	params.HistoryLength, params.HistoryGossip = 10, 3
	return params
}

// meshFeatures says that our protocol is gossipsub 1.2, less the exchange of
// peers on pruning.
func meshFeatures(f pubsub.GossipSubFeature, proto protocol.ID) bool {
	return proto == meshProtocol && (f == pubsub.GossipSubFeatureMesh || f == pubsub.GossipSubFeatureIdontwant)
}

// messageID is the SHA-256 of the gossip topic and the message: the same
// bytes in another room are another message.
func messageID(m *pb.Message) string {
	h := sha256.New()
	h.Write([]byte(m.GetTopic()))
	h.Write([]byte{0})
	h.Write(m.GetData())
	return string(h.Sum(nil))
}

func scoreParams(conduct *conduct) *pubsub.PeerScoreParams {
	return &pubsub.PeerScoreParams{
		Topics:            make(map[string]*pubsub.TopicScoreParams),
		AppSpecificScore:  conduct.score,
		AppSpecificWeight: 1,

		// Over ten peers behind one address it gets costly, except on this
		// very machine.
		IPColocationFactorWeight:    -50,
		IPColocationFactorThreshold: 10,
		IPColocationFactorWhitelist: []*net.IPNet{
			{IP: net.IPv4(127, 0, 0, 0).To4(), Mask: net.CIDRMask(8, 32)},
			{IP: net.IPv6loopback, Mask: net.CIDRMask(128, 128)},
		},

		BehaviourPenaltyWeight:    -10,
		BehaviourPenaltyThreshold: 6,
		BehaviourPenaltyDecay:     pubsub.ScoreParameterDecay(time.Hour),

		DecayInterval: pubsub.DefaultDecayInterval,
		DecayToZero:   pubsub.DefaultDecayToZero,
		RetainScore:   6 * time.Hour,
		SeenMsgTTL:    seenFor,
	}
}

// roomScore is the score within one room. Missing deliveries (P3) do not
// count: a quiet channel is not a bad peer.
func roomScore() *pubsub.TopicScoreParams {
	return &pubsub.TopicScoreParams{
		TopicWeight: 0.1,

		TimeInMeshWeight:  0.0027,
		TimeInMeshQuantum: time.Second,
		TimeInMeshCap:     3600,

		FirstMessageDeliveriesWeight: 5,
		FirstMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(time.Hour),
		FirstMessageDeliveriesCap:    100,

		InvalidMessageDeliveriesWeight: -1000,
		InvalidMessageDeliveriesDecay:  pubsub.ScoreParameterDecay(time.Hour),
	}
}
