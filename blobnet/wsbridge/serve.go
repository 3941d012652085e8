package wsbridge

import (
	"context"
	"errors"
	"fmt"

	"github.com/coder/websocket"

	"github.com/anonymous-media-library/aml/blobnet"
)

// request queues a REQUEST, or answers at once that the blob is not there. Where
// too many are queued it waits, and so does everything the peer sends.
func (s *session) request(ctx context.Context, m message) error {
	s.mu.Lock()
	used := s.open[m.req]
	s.open[m.req] = true
	s.touch()
	s.mu.Unlock()
	if used {
		return fmt.Errorf("%w: REQUEST with an id in use", ErrProtocol)
	}
	has, err := s.has(ctx, []blobnet.ID{m.id})
	if err != nil {
		return err
	}
	if !has[0] {
		s.done(m.req)
		return s.reply(ctx, message{kind: kindNotFound, req: m.req, id: m.id})
	}
	select {
	case s.jobs <- job{m.req, m.id}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// has looks into the store, at a bounded rate. A store that fails has nothing.
func (s *session) has(ctx context.Context, ids []blobnet.ID) ([]bool, error) {
	if s.store == nil || len(ids) == 0 {
		return make([]bool, len(ids)), nil
	}
	if err := s.wants.WaitN(ctx, len(ids)); err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		return nil, err // the session ends
	}
	has, err := s.store.Has(ctx, ids...)
	if err != nil || len(has) != len(ids) {
		return make([]bool, len(ids)), context.Cause(ctx)
	}
	return has, nil
}

// answerWant answers with those of ids that the store has.
func (s *session) answerWant(ctx context.Context, ids []blobnet.ID) error {
	if len(ids) == 0 || s.store == nil {
		if err := s.wasUseless(kindWant); err != nil {
			return err
		}
	}
	s.mu.Lock()
	s.touch()
	s.mu.Unlock()
	has, err := s.has(ctx, ids)
	if err != nil {
		return err
	}
	answer := message{kind: kindHave}
	for i, ok := range has {
		if ok {
			answer.ids = append(answer.ids, ids[i])
		}
	}
	return s.reply(ctx, answer)
}

// done forgets a request of the peer.
func (s *session) done(req uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, req)
	s.touch()
}

// load reads the blobs of jobs from the store, one ahead of the one that is
// being sent, until ctx ends.
func (s *session) load(ctx context.Context, ready chan<- loaded) {
	for {
		var j job
		select {
		case j = <-s.jobs:
		case <-ctx.Done():
			return
		}
		buf, err := s.memory.borrow(ctx)
		if err != nil {
			return
		}
		b := (*buf)[:headSize]
		putHead(b, j.req, j.id)
		b, err = s.store.Get(ctx, j.id, b)
		if err == nil && len(b) > maxBinary {
			err = blobnet.ErrTooLarge
		}
		if err != nil {
			// Whatever is wrong with it, it cannot be had here.
			s.memory.giveBack(buf)
			s.done(j.req)
			s.reply(ctx, message{kind: kindNotFound, req: j.req, id: j.id}) // fails only when the session ends
			continue
		}
		*buf = b
		select {
		case ready <- loaded{j, buf}:
		case <-ctx.Done():
			s.memory.giveBack(buf)
			return
		}
	}
}

// write greets, and then sends text ahead of blobs, until ctx ends or the peer
// does not take what it asked for.
func (s *session) write(ctx context.Context, ready <-chan loaded) error {
	if _, err := s.send(websocket.MessageText, appendText(nil, message{kind: kindHandshake, peer: s.self, count: s.count(ctx)})); err != nil {
		return err
	}
	for {
		var text []byte
		select {
		case text = <-s.control:
		default:
			select {
			case text = <-s.control:
			case l := <-ready:
				if err := s.blob(l); err != nil {
					return err
				}
				continue
			case <-ctx.Done():
				return nil
			}
		}
		if _, err := s.send(websocket.MessageText, text); err != nil {
			return err
		}
	}
}

// blob sends one RESPONSE.
func (s *session) blob(l loaded) error {
	defer s.memory.giveBack(l.buf)
	s.done(l.req) // the peer may use the id again as soon as it has the blob
	s.sending <- struct{}{}
	sent, err := s.send(websocket.MessageBinary, *l.buf)
	<-s.sending
	n := len(*l.buf) - headSize
	if err != nil {
		n = min(n, max(0, sent-headSize))
	}
	s.mu.Lock()
	s.touch()
	s.mu.Unlock()
	s.tell(Event{Kind: KindUpload, Peer: s.peer, PeerID: s.name(), ID: l.id, Bytes: int64(n), Err: err})
	return err
}

// send writes one message, which is one frame, and returns how many bytes were
// taken.
func (s *session) send(typ websocket.MessageType, b []byte) (int, error) {
	s.raw.start()
	err := s.ws.Write(context.Background(), typ, b) // bounded by raw
	sent := s.raw.end()
	switch {
	case err == nil:
		return sent, nil
	case errors.Is(err, ErrStalled):
		return sent, fmt.Errorf("sending: %w", ErrStalled)
	}
	return sent, fmt.Errorf("sending: %w", ErrLost)
}

// count is blobCount: how many blobs are here, 0 if nobody knows.
func (s *session) count(ctx context.Context) int64 {
	st, ok := s.store.(blobnet.Stater)
	if !ok {
		return 0
	}
	stats, err := st.Stats(ctx)
	if err != nil {
		return 0
	}
	return stats.BlobCount
}

var errEnough = errors.New("enough")

// tellHave tells the peer after the handshake what is here, in parts, up to a
// limit; for more it has to ask.
func (s *session) tellHave(ctx context.Context) {
	select {
	case <-s.greeted:
	case <-ctx.Done():
		return
	}
	lister, ok := s.store.(blobnet.Lister)
	if !ok || s.lim.MaxHave < 0 {
		return
	}
	// The ids are gathered first: the peer's pace must not hold up the store.
	var ids []blobnet.ID
	lister.List(ctx, func(i blobnet.Info) error {
		if len(ids) == s.lim.MaxHave {
			return errEnough
		}
		ids = append(ids, i.ID)
		return nil
	}) // whatever went wrong, these are here
	for len(ids) > 0 {
		n := min(len(ids), maxIDs)
		if s.reply(ctx, message{kind: kindHave, ids: ids[:n]}) != nil {
			return
		}
		ids = ids[n:]
	}
}
