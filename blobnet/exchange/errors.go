package exchange

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Errors beside those of blobnet; test with errors.Is.
var (
	// ErrProtocol: the peer sent what the protocol forbids. Like
	// blobnet.ErrCorrupt it is misbehaviour, not failure: drop the peer.
	ErrProtocol = errors.New("peer breaks the blob protocol")

	// ErrStalled: the peer sent nothing, or took nothing, in the time
	// allowed. It wraps os.ErrDeadlineExceeded.
	ErrStalled = fmt.Errorf("peer stalled: %w", os.ErrDeadlineExceeded)

	// ErrLost: the stream to the peer ended before the answer came. Asking
	// again opens another one.
	ErrLost = errors.New("stream to peer was lost")

	// ErrProof: what came is not a proof of the range that was asked for. It
	// wraps blobnet.ErrCorrupt, but is no misbehaviour: the peer lies, or who
	// gave the hash or the size did. The whole blob tells which.
	ErrProof = fmt.Errorf("proof does not fit: %w", blobnet.ErrCorrupt)

	// errWrongBlob ends a stream whose peer sent wrong bytes for one blob. That
	// is the offence of this one; whoever waits for others has lost the stream.
	errWrongBlob = fmt.Errorf("%w: it brought wrong bytes for another blob", ErrLost)

	// ErrRefused: the peer answered with an ERROR. It comes with
	// errors.ErrUnsupported where the peer does not know such requests.
	ErrRefused = errors.New("peer refused the request")
)

// MisbehaviourError says which peer did what no honest peer does. It wraps
// ErrProtocol or blobnet.ErrCorrupt.
type MisbehaviourError struct {
	Peer peer.ID
	Err  error
}

func (e *MisbehaviourError) Error() string { return fmt.Sprintf("peer %s: %v", e.Peer, e.Err) }

// Unwrap returns what the peer did.
func (e *MisbehaviourError) Unwrap() error { return e.Err }

// Misbehaviour is true: a scheduler that does not know this package tells
// misbehaviour from failure by it.
func (e *MisbehaviourError) Misbehaviour() bool { return true }

// BusyError is blobnet.ErrBusy with the time after which to ask again.
type BusyError struct{ After time.Duration }

func (e *BusyError) Error() string {
	return fmt.Sprintf("%v, ask again in %v", blobnet.ErrBusy, e.After)
}

// Unwrap returns blobnet.ErrBusy.
func (e *BusyError) Unwrap() error { return blobnet.ErrBusy }

// RetryAfter is how long the peer wants to be left alone.
func (e *BusyError) RetryAfter() time.Duration { return e.After }

func misbehaved(err error) bool {
	return errors.Is(err, ErrProtocol) || errors.Is(err, blobnet.ErrCorrupt) && !errors.Is(err, ErrProof)
}
