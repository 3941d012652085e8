package gossip

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// conn is what the sync protocol needs of a stream. A libp2p stream is one,
// and so is either end of a net.Pipe with a Reset.
type conn interface {
	io.Reader
	io.Writer
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// meter bounds how long the other end may keep us waiting: patience, and a
// second for every minRate bytes that came. Time that we spend ourselves does
// not count. So neither silence nor a slow drip holds us for long, while an
// honest peer on a slow line can send as much as it was asked for.
type meter struct {
	c      conn
	budget time.Duration
	owed   atomic.Int64 // of the budget that is gone, in ns
	since  atomic.Int64 // when the Read that waits began, in ns since 1970; 0 for none
}

// kept is how long the other end has kept us waiting by now. It may be called by
// anybody.
func (m *meter) kept(now time.Time) time.Duration {
	kept := time.Duration(m.owed.Load())
	if since := m.since.Load(); since != 0 {
		kept += now.Sub(time.Unix(0, since))
	}
	return kept
}

// Read reads with the deadline that the budget leaves, and charges what it
// took.
func (m *meter) Read(p []byte) (int, error) {
	start := time.Now()
	if err := m.c.SetReadDeadline(start.Add(max(m.budget, 0))); err != nil {
		return 0, err
	}
	m.since.Store(start.UnixNano())
	n, err := m.c.Read(p)
	spent := time.Since(start) - time.Duration(n)*time.Second/minRate
	m.since.Store(0)
	m.owed.Add(int64(spent))
	m.budget -= spent
	return n, err
}

// readFrame reads one frame of at most limit bytes: four bytes of length, big
// endian, and then that many. Memory grows only as bytes arrive. It returns
// io.EOF when the stream ends before the first byte, and an error that wraps
// channel.ErrLimit for a length over limit.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
			return nil, io.EOF
		}
		return nil, fmt.Errorf("reading length of frame: %w", err)
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || int64(n) > int64(limit) {
		return nil, fmt.Errorf("frame of %d bytes: %w of 1 to %d", n, channel.ErrLimit, limit)
	}
	data := make([]byte, 0, min(int(n), 16<<10))
	for len(data) < int(n) {
		if len(data) == cap(data) {
			grown := make([]byte, len(data), min(2*cap(data), int(n)))
			copy(grown, data)
			data = grown
		}
		k, err := r.Read(data[len(data):cap(data)])
		data = data[:len(data)+k]
		if err != nil && len(data) < int(n) {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("reading frame of %d bytes: %w", n, err)
		}
	}
	return data, nil
}

// writeFrame encodes v and writes it as one frame of at most limit bytes,
// within patience and the time that minRate allows for its size.
func writeFrame(c conn, v any, limit int, patience time.Duration) error {
	data, err := dcbor.Marshal(v)
	if err != nil {
		return fmt.Errorf("encoding frame: %w", err)
	}
	if len(data) > limit {
		return fmt.Errorf("frame of %d bytes: %w of %d", len(data), channel.ErrLimit, limit)
	}
	frame := make([]byte, 4, 4+len(data))
	binary.BigEndian.PutUint32(frame, uint32(len(data)))
	frame = append(frame, data...)
	allowed := patience + time.Duration(len(frame))*time.Second/minRate
	if err := c.SetWriteDeadline(time.Now().Add(allowed)); err != nil {
		return fmt.Errorf("writing frame: %w", err)
	}
	if _, err := c.Write(frame); err != nil {
		return fmt.Errorf("writing frame: %w", err)
	}
	return nil
}
