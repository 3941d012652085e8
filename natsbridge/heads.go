package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// sendHeads puts the newest head of each log into HEADS: that which manifests
// here confirm. One that names what nobody has seen would hide it.
func (s *session) sendHeads(ctx context.Context, info catalog.Info) (sent int, err error) {
	heads, err := s.b.cfg.Ledger.Heads(ctx, info.ID)
	if err != nil {
		return 0, err
	}
	for _, data := range heads {
		env, err := channel.DecodeEnvelope(data)
		if err != nil {
			return sent, fmt.Errorf("head of the ledger: %w", err)
		}
		h, err := channel.OpenHead(env)
		if err != nil {
			return sent, fmt.Errorf("head of the ledger: %w", err)
		}
		if !confirmed(info, h) {
			continue
		}
		new, err := s.putHead(ctx, h, data)
		if err != nil {
			return sent, err
		}
		if new {
			sent++
		}
	}
	return sent, nil
}

func confirmed(info catalog.Info, h channel.Head) bool {
	for _, l := range info.Logs {
		if l.Log == h.Log {
			return l.Head != nil && l.Head.Seq == h.Seq && l.Head.Issued == h.Issued && l.Head.Hash == h.Hash
		}
	}
	return false
}

// putHead replaces what lies under a head's subject if this one is newer: by
// compare-and-swap on its place in the stream, so that of two bridges the one
// that is behind never sets the other back.
func (s *session) putHead(ctx context.Context, h channel.Head, data []byte) (new bool, err error) {
	sub := subject{kind: kindHead, channel: h.Channel, log: h.Log}
	o, ok := s.outgoing(sub, s.b.names.head(h.Channel, h.Log), data)
	if !ok {
		return false, nil
	}
	var there heldHead
	s.stock.with(h.Channel, func(k *held) { there = k.heads[h.Log] })
	return s.putLast(ctx, s.heads, o, there, func(now heldHead) {
		s.stock.with(h.Channel, func(k *held) { k.heads[h.Log] = now })
	}, func(at *jetstream.RawStreamMsg) (bool, error) { return s.older(ctx, h, o, at) })
}

// putLast replaces the last message of a subject, of which there is held, if older says
// so of what lies there. note is told what lies there then.
func (s *session) putLast(ctx context.Context, stream jetstream.Stream, o outgoing, there heldHead, note func(heldHead), older func(*jetstream.RawStreamMsg) (bool, error)) (new bool, err error) {
	if there.digest == o.digest || there.spares == o.digest {
		note(there)
		return false, nil
	}
	for range maxClearings {
		if there.place > 0 || o.fresh { // something is there, or was said to be
			at, err := lastOn(ctx, stream, o.name)
			if err != nil {
				return false, explain(err)
			}
			if there = (heldHead{}); at != nil {
				there = heldHead{place: at.Sequence, digest: digestOf(at.Data)}
				old, err := older(at)
				if err != nil {
					return false, err
				}
				if !old {
					there.spares = o.digest
					note(there)
					return false, nil
				}
			}
		}
		call, cancel := context.WithTimeout(ctx, callTimeout)
		ack, err := s.c.js.PublishMsg(call, o.msg(), jetstream.WithExpectLastSequencePerSubject(there.place), jetstream.WithExpectStream(stream.CachedInfo().Config.Name))
		cancel()
		if err == nil && !ack.Duplicate {
			s.b.mine.put(o.digest, o.subject.channel)
			note(heldHead{place: ack.Sequence, digest: o.digest})
			return true, nil
		}
		if err != nil && !moved(err) {
			return false, explain(fmt.Errorf("publishing %s: %w", o.name, err))
		}
		o.fresh = true
	}
	return false, fmt.Errorf("publishing %s: others write there all the time", o.name)
}

// moved reports whether the subject's newest message is another than expected.
func moved(err error) bool {
	var api *jetstream.APIError
	if errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return true
	}
	return strings.Contains(err.Error(), "wrong last sequence")
}

// older reports whether what lies under the subject has to make room for own, a
// head of the ledger.
func (s *session) older(ctx context.Context, h channel.Head, own outgoing, at *jetstream.RawStreamMsg) (bool, error) {
	if samePayload(own.data, at.Data) {
		return false, nil
	}
	if err := own.subject.check(at.Data); err != nil {
		// What this node cannot read stays if the log's own key has signed it: that of
		// a newer node. Anybody else may have written anything.
		return !errors.Is(err, channel.ErrVersion) || !genuine(at.Data, h.Log), nil
	}
	o, err := s.offer(ctx, own.subject, at.Data)
	if err != nil {
		return false, fmt.Errorf("offering to the ledger: %w", err)
	}
	switch o.Verdict {
	case feed.Accepted, feed.Duplicate:
		return false, nil // the ledger has moved, and sends what it has now
	case feed.Gap:
		// It names what is missing here, and is newer. But what a stolen head key
		// names may be anything: the log's own later word goes before it.
		return o.Head != nil && h.Issued > o.Head.Issued && signedBy(own.data, h.Log) && !signedBy(at.Data, h.Log), nil
	}
	return true, nil
}

func signedBy(data []byte, key channel.PublicKey) bool {
	env, err := channel.DecodeEnvelope(data)
	return err == nil && slices.Contains(env.Signers(), key)
}
