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
	case misbehaved(err), errors.Is(err, errWrongBlob):
		s.ResetWithError(network.StreamProtocolViolation)
	default:
		s.ResetWithError(network.StreamShutdown)
	}
}

// timed is a stream with deadlines that an interrupt beats: once interrupted,
// no deadline set later by the goroutine that reads or writes revives it.
type timed struct {
	stream
	mu    sync.Mutex // guards what follows, and the order of it and the deadlines
	dead  bool
	read  time.Time // the deadline that is set
	write time.Time
}

// A deadline costs a timer. So it is set with some time to spare, this fraction
// of what is asked for, and not again before that is used up.
const spare = 8

// readWithin bounds the reads from now on, by d and up to an eighth of it more.
func (t *timed) readWithin(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if until, ok := later(t.read, d); ok && !t.dead {
		t.read = until
		t.SetReadDeadline(until)
	}
}

// writeWithin bounds the writes as readWithin does the reads.
func (t *timed) writeWithin(d time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if until, ok := later(t.write, d); ok && !t.dead {
		t.write = until
		t.SetWriteDeadline(until)
	}
}

// later returns the deadline to set where old is set and reading or writing
// should take d at most, or false if old will do.
func later(old time.Time, d time.Duration) (until time.Time, ok bool) {
	now := time.Now()
	least, most := now.Add(d), now.Add(d+d/spare)
	return most, old.Before(least) || old.After(most)
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
