package natsbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/codec/dcbor"
)

// ErrNoAnswer: nobody has taken in what was handed in. It is handed in again.
var ErrNoAnswer = errors.New("no bridge answers; does one carry the channel, and is it running?")

// ErrLater: a bridge has taken in a part, and wants the rest later.
var ErrLater = errors.New("the bridge there wants it later")

// submitted is up to where a channel was handed in, by this bridge.
type submitted struct {
	root  uint64
	logs  map[channel.PublicKey]uint64
	heads map[channel.PublicKey]digest
}

// submitChannel hands in on in.<channel> what this bridge has not yet: all of it
// at first, since what is known there only the answers tell.
func (s *session) submitChannel(ctx context.Context, id channel.ID) error {
	info, err := s.b.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return ignoreUnknown(err)
	}
	if s.submitted[id] == nil {
		s.submitted[id] = &submitted{logs: map[channel.PublicKey]uint64{}, heads: map[channel.PublicKey]digest{}}
	}
	done, sent := s.submitted[id], 0
	defer func() {
		if sent > 0 {
			s.b.event(Event{Kind: EventSent, Channel: id, Count: sent})
		}
	}()
	for info.HasRoot && done.root < info.Root.Version {
		roots, err := s.b.cfg.Ledger.Roots(ctx, id, done.root+1, MaxBundle, MaxMessage/2)
		if err != nil || len(roots) == 0 {
			return err
		}
		n, err := s.handIn(ctx, id, roots)
		if sent += n; err != nil {
			return err
		}
		done.root += uint64(len(roots))
	}
	for _, l := range info.Logs {
		n, err := s.submitLog(ctx, info, l, done)
		if sent += n; err != nil {
			return err
		}
	}
	return nil
}

func (s *session) submitLog(ctx context.Context, info catalog.Info, l catalog.LogInfo, done *submitted) (sent int, err error) {
	if done.logs[l.Log] == 0 && l.Joined > 0 {
		done.logs[l.Log] = l.Joined - 1
	}
	for done.logs[l.Log] < l.Seq {
		manifests, err := s.b.cfg.Ledger.Manifests(ctx, info.ID, l.Log, done.logs[l.Log]+1, l.Seq, MaxBundle, MaxMessage/2)
		if err != nil || len(manifests) == 0 {
			return sent, err
		}
		n, err := s.handIn(ctx, info.ID, manifests)
		if sent += n; err != nil {
			return sent, err
		}
		done.logs[l.Log] += uint64(len(manifests))
	}
	heads, err := s.b.cfg.Ledger.Heads(ctx, info.ID)
	if err != nil {
		return sent, err
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
		if h.Log != l.Log || !confirmed(info, h) || done.heads[l.Log] == digestOf(data) {
			continue
		}
		n, err := s.handIn(ctx, info.ID, [][]byte{data})
		if sent += n; err != nil {
			return sent, err
		}
		done.heads[l.Log] = digestOf(data)
	}
	return sent, nil
}

// handIn hands envelopes in and waits for the answer. What is refused there is
// told, and not handed in again: that could not help.
func (s *session) handIn(ctx context.Context, id channel.ID, envelopes [][]byte) (news int, err error) {
	data, err := dcbor.Marshal(envelopes)
	if err != nil {
		return 0, fmt.Errorf("encoding: %w", err)
	}
	w, ok := way{}.onward(s.b.cfg.Name)
	if came, known := s.b.cfg.Trail.ways.get(digestOf(envelopes[0])); known {
		w, ok = came.onward(s.b.cfg.Name)
	}
	if !ok { // through too many bridges
		return 0, nil
	}
	m := &nats.Msg{Subject: s.b.names.of(kindIn, id), Data: data, Header: headers(digestOf(data), w)}
	m.Header.Del(headerID) // no stream is meant to keep it
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	reply, err := s.c.nc.RequestMsgWithContext(call, m)
	if errors.Is(err, nats.ErrNoResponders) || errors.Is(err, context.DeadlineExceeded) {
		err = ErrNoAnswer
	}
	if err != nil {
		return 0, explain(fmt.Errorf("handing in on %s: %w", m.Subject, err))
	}
	var a Answer
	if len(reply.Data) > maxHeader || json.Unmarshal(reply.Data, &a) != nil {
		return 0, fmt.Errorf("handing in on %s: the answer is none: %w", m.Subject, channel.ErrMalformed)
	}
	if a.Refused > 0 {
		s.b.fail(fmt.Errorf("handing in on %s: refused there: %.200q", m.Subject, a.Error))
		return max(0, a.Accepted), nil
	}
	if a.Later > 0 {
		return max(0, a.Accepted), fmt.Errorf("handing in on %s: %w: %.200q", m.Subject, ErrLater, a.Error)
	}
	return max(0, a.Accepted), nil
}
