package wsbridge

import (
	"context"
	"fmt"

	"github.com/anonymous-media-library/aml/blobnet"
)

// handle acts on a text message.
func (s *session) handle(ctx context.Context, text []byte) error {
	m, err := parse(text)
	if err != nil {
		return err
	}
	switch m.kind {
	case kindHandshake, kindHandshakeAck:
		return s.greet(ctx, m)
	case kindRequest:
		return s.request(ctx, m)
	case kindWant:
		return s.answerWant(ctx, m.ids)
	case kindHave:
		return s.have(m.ids)
	case kindNotFound:
		return s.notFound(m)
	case kindError:
		s.refused(m.text)
	}
	return s.wasUseless(m.kind)
}

// greet answers HANDSHAKE, and lets the peer hear, once, what is here.
func (s *session) greet(ctx context.Context, m message) error {
	first := !s.announce
	s.mu.Lock()
	if m.peer != "" {
		s.peerID = m.peer
	}
	s.mu.Unlock()
	if !first {
		if err := s.wasUseless(m.kind); err != nil {
			return err
		}
	}
	if m.kind == kindHandshake {
		if err := s.reply(ctx, message{kind: kindHandshakeAck, peer: s.self}); err != nil {
			return err
		}
	}
	if first {
		s.announce = true
		s.tell(Event{Kind: KindPeer, Peer: s.peer, PeerID: m.peer})
		close(s.greeted)
	}
	return nil
}

// have takes note of what the peer says it has: the answer to our WANT if it
// fits, and news otherwise.
func (s *session) have(ids []blobnet.ID) error {
	if !s.answered(ids) {
		if err := s.wasUseless(kindHave); err != nil {
			return err
		}
	}
	if len(ids) > 0 {
		s.tell(Event{Kind: KindHave, Peer: s.peer, PeerID: s.name(), IDs: ids})
	}
	return nil
}

// wasUseless counts a message that costs work and asks for none.
func (s *session) wasUseless(k kind) error {
	if !s.useless.Allow() {
		return fmt.Errorf("%w: flood of %v", ErrProtocol, k)
	}
	return nil
}

// reply queues a text message. If the peer reads nothing it waits, and so does
// everything the peer sends.
func (s *session) reply(ctx context.Context, m message) error {
	select {
	case s.control <- appendText(nil, m):
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
