package exchange

import (
	"errors"
	"io"
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// stream is the part of network.Stream that is used here; tests put pipes in
// its place.
type stream interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	ResetWithError(network.StreamErrorCode) error
}

// closeTimeout bounds an orderly Close, which may wait for the peer.
const closeTimeout = 5 * time.Second

// end closes s in order if err is nil and resets it with a code that tells the
// peer why otherwise. Both can wait a while for a stuck connection.
func end(s stream, err error) {
	switch {
	case err == nil:
		deadline := time.Now().Add(closeTimeout)
		s.SetReadDeadline(deadline)
		s.SetWriteDeadline(deadline)
		if s.Close() != nil {
			s.ResetWithError(network.StreamShutdown)
		}
	case misbehaved(err):
		s.ResetWithError(network.StreamProtocolViolation)
	default:
		s.ResetWithError(network.StreamShutdown)
	}
}

// timed is a stream with deadlines that an interrupt beats: once interrupted,
// no deadline set later by the goroutine that reads or writes revives it.
type timed struct {
	stream
	mu   sync.Mutex // guards dead, and the order of it and the deadlines
	dead bool
}

// readWithin bounds the reads from now on.
func (t *timed) readWithin(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dead {
		t.SetReadDeadline(time.Now().Add(d))
	}
}

// writeWithin bounds the writes from now on.
func (t *timed) writeWithin(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.dead {
		t.SetWriteDeadline(time.Now().Add(d))
	}
}

// interrupt makes blocked and future reads and writes return at once. It does
// not wait for anything.
func (t *timed) interrupt() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dead = true
	past := time.Unix(1, 0)
	t.SetReadDeadline(past)
	t.SetWriteDeadline(past)
}

// isTimeout reports whether err is from a deadline; muxers have their own
// errors for that.
func isTimeout(err error) bool {
	var timeout interface{ Timeout() bool }
	return errors.Is(err, os.ErrDeadlineExceeded) || errors.As(err, &timeout) && timeout.Timeout()
}
