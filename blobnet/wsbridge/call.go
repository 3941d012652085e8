package wsbridge

import (
	"context"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/anonymous-media-library/aml/blobnet"
)

// call is one REQUEST of ours. The protocol has no CANCEL: the answer to a call
// that nobody waits for any more comes nevertheless, and until then the call
// keeps its place.
type call struct {
	id        blobnet.ID
	done      chan answer // has room for the one answer
	abandoned bool        // guarded by the session's mu
}

type answer struct {
	buf *[]byte // the blob, not checked
	err error
}

// incoming lends buffers for blobs that come: one for each open call at most.
type incoming struct {
	pool  sync.Pool
	bytes atomic.Int64 // of blobs, that came
}

func (p *incoming) get() *[]byte {
	if b, ok := p.pool.Get().(*[]byte); ok {
		*b = (*b)[:0]
		return b
	}
	return new([]byte)
}

func (p *incoming) put(b *[]byte) { p.pool.Put(b) }

// touch says that a request begins or ends. s.mu is held.
func (s *session) touch() { s.since = time.Now() }

// ask sends a REQUEST, when there is a place for it, and waits for its answer.
// The buffer is the caller's, to be put back.
func (s *session) ask(ctx context.Context, id blobnet.ID) (*[]byte, error) {
	if err := s.welcome(ctx); err != nil {
		return nil, err
	}
	select {
	case s.slots <- struct{}{}:
	case <-s.over:
		return nil, s.ended
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	c := &call{id: id, done: make(chan answer, 1)}
	s.mu.Lock()
	if s.calls == nil {
		s.mu.Unlock()
		return nil, s.ended
	}
	for s.calls[s.next] != nil {
		s.next++
	}
	req := s.next
	s.next++
	s.calls[req] = c
	s.touch()
	s.mu.Unlock()

	select {
	case s.control <- appendText(nil, message{kind: kindRequest, req: req, id: id}):
	case <-s.over: // then c is answered
	case <-ctx.Done():
		if s.take(req, c) {
			return nil, ctx.Err()
		}
	}
	select {
	case a := <-c.done:
		return a.buf, a.err
	case <-ctx.Done():
	}
	s.mu.Lock()
	c.abandoned = true
	s.mu.Unlock()
	select {
	case a := <-c.done: // it came at the last moment
		return a.buf, a.err
	default:
		return nil, ctx.Err()
	}
}

// welcome waits for the peer's handshake: an old node may not listen before it.
func (s *session) welcome(ctx context.Context) error {
	select {
	case <-s.greeted:
		return nil
	case <-s.over:
		return s.ended
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take removes c, which was not sent or is answered, and reports whether it was
// still there.
func (s *session) take(req uint32, c *call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls == nil || s.calls[req] != c {
		return false
	}
	delete(s.calls, req)
	s.touch()
	<-s.slots
	return true
}

// answer ends c, which take has removed. A blob that nobody waits for goes
// back.
func (s *session) answer(c *call, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.abandoned {
		if a.buf != nil {
			s.in.put(a.buf)
		}
		return
	}
	c.done <- a
}

// endCalls answers all calls with err, the reason for which the session ends.
func (s *session) endCalls(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = err
	if misbehaved(err) {
		s.ended = &MisbehaviourError{Peer: s.peer, Err: err}
	} else if ends(err) {
		s.ended = fmt.Errorf("%w: %v", ErrLost, err)
	}
	for _, c := range s.calls {
		if !c.abandoned {
			c.done <- answer{err: s.ended}
		}
	}
	s.calls = nil
	close(s.over)
}

// lookup returns the call that a peer's answer is to.
func (s *session) lookup(k kind, req uint32, id blobnet.ID) (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.calls[req]
	if c == nil {
		return nil, fmt.Errorf("%w: %v to no request", ErrProtocol, k)
	}
	if c.id != id {
		return nil, fmt.Errorf("%w: %v with another blob's id", ErrProtocol, k)
	}
	return c, nil
}

// response reads a RESPONSE.
func (s *session) response(r io.Reader) error {
	var head [headSize]byte
	n, err := io.ReadFull(r, head[:])
	s.came(n)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		_, _, err = parseHead(head[:n])
		return err
	}
	if err != nil {
		return s.lostBy(err)
	}
	req, id, err := parseHead(head[:])
	if err != nil {
		return err
	}
	c, err := s.lookup(kindResponse, req, id)
	if err != nil {
		return err
	}
	buf := s.in.get()
	if err := s.data(r, buf); err != nil {
		s.in.put(buf)
		return err
	}
	if s.take(req, c) {
		s.answer(c, answer{buf: buf})
	}
	return nil
}

// data reads the rest of a RESPONSE into buf, which is empty and grows as the
// bytes come.
func (s *session) data(r io.Reader, buf *[]byte) error {
	b := *buf
	defer func() { *buf = b }()
	for {
		if len(b) == cap(b) {
			b = slices.Grow(b, min(max(len(b), 4*piece), blobnet.MaxBlobSize+1))
		}
		n, err := r.Read(b[len(b):min(cap(b), len(b)+piece, blobnet.MaxBlobSize+1)])
		b = b[:len(b)+n]
		s.came(n)
		s.in.bytes.Add(int64(n))
		switch {
		case len(b) > blobnet.MaxBlobSize:
			return fmt.Errorf("%w: %w", ErrProtocol, blobnet.ErrTooLarge)
		case err == io.EOF:
			return nil
		case err != nil:
			return s.lostBy(err)
		}
	}
}

// notFound ends the call that a NOT_FOUND is to.
func (s *session) notFound(m message) error {
	c, err := s.lookup(m.kind, m.req, m.id)
	if err != nil {
		return err
	}
	if s.take(m.req, c) {
		s.answer(c, answer{err: blobnet.ErrNotFound})
	}
	return nil
}

// refused ends all calls: an ERROR does not say which it is about. Their
// answers may come nevertheless.
func (s *session) refused(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.calls {
		if !c.abandoned {
			c.abandoned = true
			c.done <- answer{err: fmt.Errorf("%w: it says %q", ErrRefused, text)}
		}
	}
}
