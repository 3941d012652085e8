package simnet

import (
	"errors"
	"io"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
)

var errClosed = errors.New("stream closed")

// stream is one end of a stream: it reads what has arrived in inbox, and puts
// what it writes into the other end's.
type stream struct {
	conn  *conn
	peer  *stream
	proto protocol.ID
	name  int
	dir   network.Direction
	inbox inbox
	lossy bool

	mu       sync.Mutex
	last     time.Time // arrival of what was sent last; guarded by mu
	ended    bool      // nothing more is written; guarded by mu
	deadline time.Time // of writing; guarded by mu
}

var _ network.Stream = (*stream)(nil)

func newStream(c *conn, proto protocol.ID, dir network.Direction) *stream {
	h := c.host
	h.mu.Lock()
	h.nextNames++
	name := h.nextNames
	h.mu.Unlock()
	s := &stream{conn: c, proto: proto, name: name, dir: dir, lossy: h.net.cfg.Lossy != nil && h.net.cfg.Lossy(proto)}
	s.inbox.wake, s.inbox.space = make(chan struct{}, 1), make(chan struct{}, 1)
	return s
}

// inbox is what is on its way to one end of a stream, in the order in which it
// arrives.
type inbox struct {
	wake  chan struct{} // something changed for the reader; holds at most one
	space chan struct{} // there is room for the writer; holds at most one

	mu       sync.Mutex
	parts    []part
	size     int
	deadline time.Time
	err      error // this end is over
}

type part struct {
	at   time.Time
	data []byte
	err  error // what the reader gets instead of data
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (b *inbox) put(p part) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return
	}
	b.parts, b.size = append(b.parts, p), b.size+len(p.data)
	if len(b.parts) == 1 {
		signal(b.wake)
	}
}

// end makes reading, waiting included, give err.
func (b *inbox) end(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err == nil {
		b.err, b.parts, b.size = err, nil, 0
	}
	signal(b.wake)
	signal(b.space)
}

func (b *inbox) Read(p []byte) (int, error) {
	for {
		n, wait, err := b.take(p)
		if n > 0 || err != nil {
			return n, err
		}
		if wait == 0 {
			<-b.wake
			continue
		}
		// A function that signals costs less than a channel to choose from.
		t := time.AfterFunc(wait, func() { signal(b.wake) })
		<-b.wake
		t.Stop()
	}
}

// take reads what has arrived, or says for how long there is nothing; 0 is
// until something changes.
func (b *inbox) take(p []byte) (n int, wait time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if b.err != nil {
		return 0, 0, b.err
	}
	if !b.deadline.IsZero() {
		if !b.deadline.After(now) {
			return 0, 0, os.ErrDeadlineExceeded
		}
		wait = b.deadline.Sub(now)
	}
	if len(b.parts) == 0 {
		return 0, wait, nil
	}
	first := &b.parts[0]
	if d := first.at.Sub(now); d > 0 {
		if wait == 0 || d < wait {
			wait = d
		}
		return 0, wait, nil
	}
	if first.err != nil {
		return 0, 0, first.err // and again, however often it is read
	}
	n = copy(p, first.data)
	b.size -= n
	if first.data = first.data[n:]; len(first.data) == 0 {
		b.parts[0] = part{}
		b.parts = b.parts[1:]
	}
	signal(b.space)
	return n, 0, nil
}

func (s *stream) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	return s.inbox.Read(p)
}

// Write hands all of p to the network at once: on a stream that may lose, one
// write is one message.
func (s *stream) Write(p []byte) (int, error) {
	for {
		wait, err := s.mayWrite()
		if err != nil {
			return 0, err
		}
		if wait == 0 {
			break
		}
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-s.peer.inbox.space:
		}
		t.Stop()
	}
	h := s.conn.host
	left := h.reserve(len(p))
	lost := s.lossy && h.dice.chance(h.net.cfg.Loss)
	if h.sent != nil {
		h.sent(s.proto, p, lost)
	}
	if !lost {
		at := left.Add(h.dice.jitter(s.conn.delay))
		if !s.lossy {
			at = at.Add(h.dice.resends(h.net.cfg.Loss))
		}
		s.send(part{at: at, data: slices.Clone(p)})
	}
	return len(p), nil
}

// mayWrite returns how long a writer has to wait before it looks again.
func (s *stream) mayWrite() (time.Duration, error) {
	s.inbox.mu.Lock()
	err := s.inbox.err
	s.inbox.mu.Unlock()
	if errors.Is(err, network.ErrReset) {
		return 0, err
	}
	s.peer.inbox.mu.Lock()
	full := s.peer.inbox.size >= window
	s.peer.inbox.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return 0, errClosed
	}
	now := time.Now()
	if !s.deadline.IsZero() && !s.deadline.After(now) {
		return 0, os.ErrDeadlineExceeded
	}
	wait := max(0, s.conn.host.jam())
	if full {
		wait = max(wait, time.Second) // or until there is space
	}
	if wait > 0 && !s.deadline.IsZero() {
		wait = min(wait, s.deadline.Sub(now))
	}
	return wait, nil
}

// send puts a part behind what was sent before.
func (s *stream) send(p part) {
	s.mu.Lock()
	if p.at.Before(s.last) {
		p.at = s.last
	}
	s.last = p.at
	s.mu.Unlock()
	if !s.conn.over() && !s.peer.conn.over() {
		s.peer.inbox.put(p)
	}
}

// fail ends the stream at this end alone.
func (s *stream) fail() { s.inbox.end(network.ErrReset) }

func (s *stream) CloseWrite() error {
	s.mu.Lock()
	ended := s.ended
	s.ended = true
	s.mu.Unlock()
	if !ended {
		s.send(part{at: time.Now().Add(s.conn.delay), err: io.EOF})
	}
	return nil
}

func (s *stream) CloseRead() error {
	s.inbox.end(errClosed)
	return nil
}

func (s *stream) Close() error {
	_ = s.CloseWrite()
	_ = s.CloseRead()
	s.conn.remove(s)
	return nil
}

func (s *stream) Reset() error {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.send(part{at: time.Now().Add(s.conn.delay), err: network.ErrReset})
	s.fail()
	s.conn.remove(s)
	return nil
}

func (s *stream) ResetWithError(network.StreamErrorCode) error { return s.Reset() }

func (s *stream) SetDeadline(t time.Time) error {
	_ = s.SetReadDeadline(t)
	return s.SetWriteDeadline(t)
}

func (s *stream) SetReadDeadline(t time.Time) error {
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	s.inbox.deadline = t
	signal(s.inbox.wake)
	return nil
}

func (s *stream) SetWriteDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}

func (s *stream) ID() string                    { return strconv.Itoa(s.name) }
func (s *stream) Protocol() protocol.ID         { return s.proto }
func (s *stream) SetProtocol(protocol.ID) error { return nil }
func (s *stream) Conn() network.Conn            { return s.conn }
func (s *stream) Scope() network.StreamScope    { return &network.NullScope{} }
func (s *stream) Stat() network.Stats {
	return network.Stats{Direction: s.dir, Opened: s.conn.opened}
}
