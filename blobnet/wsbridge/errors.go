package wsbridge

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// Errors beside those of blobnet; test with errors.Is.
var (
	// ErrProtocol: the peer sent what the protocol forbids. Like
	// blobnet.ErrCorrupt it is misbehaviour, not failure: drop the peer.
	ErrProtocol = errors.New("peer breaks the blob protocol")

	// ErrStalled: the peer sent nothing, or took nothing, in the time
	// allowed, or less than the least rate. It wraps os.ErrDeadlineExceeded.
	ErrStalled = fmt.Errorf("peer stalled: %w", os.ErrDeadlineExceeded)

	// ErrLost: the connection ended before the answer came. Asking again
	// opens another one.
	ErrLost = errors.New("connection to peer was lost")

	// ErrRefused: the peer answered with an ERROR, or is no such peer.
	ErrRefused = errors.New("peer refused")
)

// Reasons for which a connection ends in order.
var (
	errIdle    = errors.New("idle")
	errCrowded = errors.New("idle connection makes room for another")
)

// MisbehaviourError says which peer did what no honest peer does. It wraps
// ErrProtocol or blobnet.ErrCorrupt.
type MisbehaviourError struct {
	Peer string
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
	return errors.Is(err, ErrProtocol) || errors.Is(err, blobnet.ErrCorrupt)
}
