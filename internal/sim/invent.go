package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/gossip"
)

// invent makes a message that nobody needs. h.mu is held.
func (h *adversary) invent() (message, bool) {
	if len(h.heard) == 0 {
		return message{}, false
	}
	m := h.heard[h.rng.IntN(len(h.heard))]
	envelopes, err := gossip.DecodeBundle(m.data)
	if err != nil {
		return message{}, false
	}
	switch h.kind {
	case forger:
		i := h.rng.IntN(len(envelopes))
		e := slices.Clone(envelopes[i])
		e[len(e)-1-h.rng.IntN(32)] ^= 1 << h.rng.IntN(8) // in the signature, which comes last
		envelopes = [][]byte{e}
	case stale:
		envelopes = slices.DeleteFunc(h.anew(m.room), func(e []byte) bool { return !isHead(e) })
	default:
		envelopes = h.anew(m.room)
	}
	data, err := gossip.EncodeBundle(envelopes...)
	return message{m.room, data}, err == nil
}

// anew bundles up to four envelopes of a room that were heard, in any order, so
// that nobody has seen the message before.
func (h *adversary) anew(room string) [][]byte {
	var out [][]byte
	for range 16 {
		m := h.heard[h.rng.IntN(len(h.heard))]
		if m.room != room {
			continue
		}
		if envelopes, err := gossip.DecodeBundle(m.data); err == nil {
			out = append(out, envelopes[h.rng.IntN(len(envelopes))])
		}
		if len(out) == 4 {
			break
		}
	}
	return out
}

func isHead(envelope []byte) bool {
	env, err := channel.DecodeEnvelope(envelope)
	return err == nil && env.Type == channel.TypeHead
}

// equivocate: two adversaries have the key of one channel. One founds it and
// both follow it, as honest nodes do; then each tells another second release.
func (h *adversary) equivocate(ctx context.Context) error {
	a := h.follow[0]
	first := (h.number-len(h.w.honest))%2 == 0
	n := &node{w: h.w, number: h.number, id: h.id, follow: h.follow}
	h.friend = n
	if err := n.start(false); err != nil {
		return err
	}
	if first {
		_, _ = n.known.OfferAll(ctx, [][]byte{a.Envelope})
		if err := pause(ctx, time.Until(h.w.began.Add(h.w.o.Warm))); err != nil {
			return n.stop(false)
		}
		if err := n.publish(a); err != nil {
			return fmt.Errorf("before the fork: %w", err)
		}
	}
	if err := pause(ctx, time.Until(h.w.began.Add(h.w.o.Warm+h.w.o.Publish/2))); err != nil {
		return n.stop(false)
	}
	envelopes := a.fork(fmt.Sprintf(" as node %d tells it", h.number)).next()
	_, _ = n.known.OfferAll(ctx, envelopes)
	h.w.watch.split(a)
	if g, _ := n.current(); g != nil {
		if err := g.Publish(ctx, a.ID, envelopes...); err != nil && ctx.Err() == nil {
			return fmt.Errorf("forking: %w", err)
		}
	}
	_ = pause(ctx, 5*time.Second)
	return n.stop(true)
}
