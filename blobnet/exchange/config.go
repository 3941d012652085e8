package exchange

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Config says what an Exchange serves and how much it bears.
type Config struct {
	// Host dials and listens. Required.
	Host host.Host
	// Store is what Run serves. If nil, every request is answered NOT_FOUND.
	Store blobnet.Store
	// OnEvent, if not nil, is told what happens. It is called from the
	// transferring goroutines, several at once, and must return at once.
	OnEvent func(Event)
	// Upload, if not nil, bounds the rate at which blobs are sent.
	Upload Limiter
	// OnTraffic, if not nil, is told which bytes were moved: once per blob,
	// not per frame, from the transferring goroutines, several at once. It must
	// return at once. peer is the remote peer's id as text.
	OnTraffic func(peer string, received, sent Counts)

	// Streams is how many streams a Peer opens to share among its requests.
	// If zero, 2.
	Streams int
	// StallTimeout is how long a peer may send or take nothing while it owes
	// something, and how long its part of opening a stream may take. If
	// zero, 15 seconds.
	StallTimeout time.Duration
	// LeastRate is how many bytes of a blob per second a peer has to take, once
	// StallTimeout has passed since the blob's first; twice as many while others
	// wait for the memory. It has to send a 32nd of it, since many may share
	// its uplink, and who is slow does no harm beside others. Time spent in Upload does not count. If zero, 8 KiB.
	LeastRate int
	// IdleTimeout is how long a stream without requests stays open. If zero,
	// 1 minute. The serving side waits twice as long.
	IdleTimeout time.Duration
	// MaxRequests is how many requests one stream may have open here; those
	// beyond get BUSY. If zero, 128.
	MaxRequests int
	// MaxStreamsPerPeer is how many streams one peer may have open here. If
	// zero, 4.
	MaxStreamsPerPeer int
	// MaxStreams is how many streams all peers together may have open here.
	// If zero, 256.
	MaxStreams int
	// MaxMemory bounds the bytes of blobs that are in memory to be sent, for
	// all peers together. If zero, 64 MiB. At least 4 MiB.
	MaxMemory int
}

func (c *Config) validate() error {
	if c.Host == nil {
		return errors.New("exchange: config has no Host")
	}
	for _, n := range []*int{&c.Streams, &c.MaxRequests, &c.MaxStreamsPerPeer, &c.MaxStreams, &c.MaxMemory, &c.LeastRate} {
		if *n < 0 {
			return errors.New("exchange: config has a negative limit")
		}
	}
	if c.StallTimeout < 0 || c.IdleTimeout < 0 {
		return errors.New("exchange: config has a negative timeout")
	}
	setInt(&c.Streams, 2)
	setInt(&c.MaxRequests, 128)
	setInt(&c.MaxStreamsPerPeer, 4)
	setInt(&c.MaxStreams, 256)
	setInt(&c.MaxMemory, 64<<20)
	setInt(&c.LeastRate, 8<<10)
	if c.StallTimeout == 0 {
		c.StallTimeout = 15 * time.Second
	}
	if c.IdleTimeout == 0 {
		c.IdleTimeout = time.Minute
	}
	if c.MaxRequests > 1<<16-1 {
		return fmt.Errorf("exchange: MaxRequests is %d, at most 65535", c.MaxRequests)
	}
	if c.MaxMemory < 4<<20 {
		return fmt.Errorf("exchange: MaxMemory is %d bytes, at least 4 MiB", c.MaxMemory)
	}
	return nil
}

// leastSent is the rate in bytes per second at which a peer has to send.
func (c *Config) leastSent() int { return max(c.LeastRate/32, 1) }

// slow reports whether bytes are too few for a blob that began at begun, at a
// least rate in bytes per second.
func (c *Config) slow(begun time.Time, bytes, rate int) bool {
	return time.Since(begun) > c.StallTimeout+time.Duration(bytes)*time.Second/time.Duration(rate)
}

func setInt(p *int, to int) {
	if *p == 0 {
		*p = to
	}
}

// Limiter bounds the rate at which this node sends.
//
// Wait returns nil when n bytes, at most 64 KiB, may be sent to the peer of that
// name, and has counted them; or it returns ctx's error when ctx ends first, and
// has counted nothing. It is called before each frame with bytes of a blob, and
// with every frame for itself; a Wait that was given up is called again. Small
// frames are not limited. It may be called from many goroutines at once.
type Limiter interface {
	Wait(ctx context.Context, peer string, n int) error
}

// Counts are bytes that went one way, as frames. Each byte is counted once.
type Counts struct {
	Useful    int64 // of blobs or parts that came, or went, whole and right
	Duplicate int64 // received for a Get whose context ended with blobnet.ErrGiven: another peer was sooner
	Wasted    int64 // of blobs that were wrong, too slow, cancelled or broken off
	Overhead  int64 // heads of frames, small frames, what proofs have beside the data
}

// Kind is what an Event tells of.
type Kind uint8

// The kinds of events.
const (
	KindUpload       Kind = iota + 1 // what Peer asked for of a blob, or with Err a part of it, was sent: ID, Bytes
	KindDownload                     // a blob, or a range of it, came from Peer and is right: ID, Bytes
	KindPeer                         // a first stream to or from Peer was opened
	KindHave                         // Peer says, unasked, that it has IDs
	KindMisbehaviour                 // Peer did what no honest peer does: Err, and ID if it was about one blob
)

func (k Kind) String() string {
	switch k {
	case KindUpload:
		return "upload"
	case KindDownload:
		return "download"
	case KindPeer:
		return "peer"
	case KindHave:
		return "have"
	case KindMisbehaviour:
		return "misbehaviour"
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// Event is one thing that happened.
type Event struct {
	Kind  Kind
	Peer  peer.ID
	ID    blobnet.ID
	IDs   []blobnet.ID // KindHave; the receiver's to keep
	Bytes int64        // bytes of the blob, or of the proof, that were moved
	Err   error
}
