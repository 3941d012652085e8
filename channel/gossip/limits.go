package gossip

import (
	"time"

	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Limits of the protocols (CHANNELS.md). A change of any of the exported ones
// is a new protocol version. Sizes are in bytes.
const (
	// MaxMessage is the largest gossip message.
	MaxMessage = 128 << 10

	// MaxBundle is how many envelopes one gossip message carries at most.
	MaxBundle = 8

	// MaxItems and MaxAnswer bound one frame of a sync answer: that many
	// envelopes, or bytes of envelopes; a single envelope may be larger.
	MaxItems  = 256
	MaxAnswer = 1 << 20

	// MaxKeys is how many channels one request for heads may name.
	MaxKeys = 64

	// MaxRange is how many roots or manifests one request may ask for.
	MaxRange = 4096

	// MaxListed is how many channels have a place on a topic, and how many one
	// answer about a topic may hold.
	MaxListed = catalog.MaxPlaces

	// MaxStreams is how many sync streams one peer may have open to us.
	MaxStreams = 8

	// MaxTopicsPerPeer is how many gossip topics of one peer are remembered.
	MaxTopicsPerPeer = 1024

	// SyncProtocol names the sync protocol.
	SyncProtocol protocol.ID = "/aml/sync/2"

	// meshProtocol is gossipsub 1.2 in our own network, with no floodsub
	// beside it.
	meshProtocol protocol.ID = "/aml/meshsub/1.2.0"
)

const (
	maxRPC      = MaxMessage + 64<<10    // one gossipsub RPC, control messages included
	maxRequest  = 4 << 10                // one encoded request
	maxFrame    = MaxAnswer + 64<<10     // one encoded frame of an answer
	maxRequests = 8192                   // on one stream
	maxLogs     = 128                    // logs in one section: current publishers and revoked ones
	maxRoots    = catalog.MaxListedRoots // roots of one channel in a listing
	maxForks    = 16                     // proofs of forks of one channel
	maxProof    = 128 << 10              // bytes of one proof of a fork that is told of

	maxServed   = 128 // sync streams served at once, all peers together
	maxSessions = 16  // sync streams of our own at once
	maxWaiting  = 64  // messages of one channel that wait for their predecessor
	maxFollower = 256 // followers of one channel that are remembered
	maxHints    = 64  // addresses given for one channel
	maxParents  = 16  // topics above its own by whose keys a channel is announced

	minRate   = 16 << 10               // a peer that sends slower than this, in bytes per second, is cut off
	gapGrace  = 150 * time.Millisecond // a gap is often only a message that overtook another
	gapWait   = 5 * time.Second        // how long a message waits for its predecessors
	firstWait = 3 * time.Second        // for the first request on a stream to arrive whole
	dialLimit = 10 * time.Second       // for connecting to a peer, and for opening a stream
	claimWait = 3 * time.Second        // how long one peer's pull of a channel makes another's wait
	restAfter = 250 * time.Millisecond // between two sessions of our own with one peer
)
