package natsbridge

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

const maxRead = 1 << 20 // bytes of envelopes that are read from the ledger at a time

// send has each channel sent, now and whenever the ledger moves, until ctx ends. What fails is tried again: what is to be sent is
// always the difference of both, so that nothing can be forgotten.
func (s *session) send(ctx context.Context, one func(context.Context, channel.ID) error) error {
	for failures := 0; ; {
		var failed error
		for _, id := range s.b.moved.take() {
			if !s.b.bridges(id) {
				continue
			}
			err := one(ctx, id)
			if ctx.Err() != nil {
				s.b.moved.mark(id)
				return ctx.Err()
			}
			if err != nil {
				s.b.moved.mark(id)
				failed = fmt.Errorf("channel %s: %w", id.Short(), err)
			}
		}
		if failed != nil {
			if s.c.nc.IsConnected() && !errors.Is(failed, ErrLater) { // that it is not was said
				s.b.fail(failed)
			}
			if errors.Is(failed, jetstream.ErrStreamNotFound) || errors.Is(failed, jetstream.ErrNoStreamResponse) && failures > 4 {
				return failed // a new session makes it again
			}
			if err := rest(ctx, backoff(s.b.cfg.Retry, failures, min(64*s.b.cfg.Retry, longest))); err != nil {
				return err
			}
			failures++
			continue
		}
		if failures > 0 {
			failures = 0
			s.b.fine()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.b.moved.wake:
		}
	}
}

// sendChannel puts what is missing of one channel into NATS.
func (s *session) sendChannel(ctx context.Context, id channel.ID) error {
	info, err := s.b.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return ignoreUnknown(err)
	}
	if read, err := s.readFirst(ctx, id); err != nil {
		return err
	} else if read {
		if info, err = s.b.cfg.Ledger.Channel(ctx, id); err != nil {
			return ignoreUnknown(err)
		}
	}
	if err := s.list(ctx, id); err != nil {
		return err
	}
	if s.b.cfg.ReadOnly {
		return nil
	}
	s.b.look(info)
	sent := 0
	defer func() {
		if sent > 0 {
			s.b.event(Event{Kind: EventSent, Channel: id, Count: sent})
		}
	}()
	for _, part := range []func(context.Context, catalog.Info) (int, error){s.sendRoots, s.sendForks, s.sendSnapshots, s.sendLogs, s.sendHeads} {
		n, err := part(ctx, info)
		sent += n
		if err != nil {
			return err
		}
	}
	return nil
}

// list looks once in a session at what of a channel lies in the stream.
func (s *session) list(ctx context.Context, id channel.ID) error {
	if s.stock.with(id, func(*held) {}) {
		return nil
	}
	var all []subject
	for _, kind := range []string{kindRoot, kindManifest, kindFork} {
		call, cancel := context.WithTimeout(ctx, 12*callTimeout)
		info, err := s.manifests.Info(call, jetstream.WithSubjectFilter(s.b.names.of(kind, id)+".>"))
		cancel()
		if err != nil {
			return explain(fmt.Errorf("listing %s: %w", s.manifests.CachedInfo().Config.Name, err))
		}
		for name := range info.State.Subjects {
			if sub, err := s.b.names.parse(name); err == nil {
				all = append(all, sub)
			}
		}
	}
	s.stock.set(id, func() *held {
		h := newHeld()
		s.b.sure.open(id, func(sure *held) {
			for _, sub := range all {
				if sure.has(sub) {
					h.add(sub)
				} else { // that something lies there says nothing of what it is
					h.doubt(sub)
				}
			}
		})
		return h
	})
	return nil
}

// enlist adds a statement to those that are to be sent, if the stream lacks it
// and it has not been through too many bridges.
func (s *session) enlist(all []outgoing, sub subject, name string, data []byte) []outgoing {
	o, ok := s.outgoing(sub, name, data)
	lacks := true
	s.stock.with(sub.channel, func(h *held) {
		if lacks = !h.has(sub); lacks && !ok {
			h.add(sub) // as far as this bridge is concerned
		}
	})
	if lacks && ok {
		all = append(all, o)
	}
	return all
}

func (s *session) sendRoots(ctx context.Context, info catalog.Info) (sent int, err error) {
	for next := uint64(1); info.HasRoot && next <= info.Root.Version; {
		s.stock.with(info.ID, func(h *held) { next = max(next, h.root.next()) })
		if next > info.Root.Version {
			break
		}
		roots, err := s.b.cfg.Ledger.Roots(ctx, info.ID, next, window, maxRead)
		if err != nil || len(roots) == 0 {
			return sent, err
		}
		var all []outgoing
		for i, data := range roots {
			sub := subject{kind: kindRoot, channel: info.ID, seq: next + uint64(i)}
			all = s.enlist(all, sub, s.b.names.root(info.ID, sub.seq), data)
		}
		n, err := s.put(ctx, all)
		sent += n
		if err != nil {
			return sent, err
		}
		next += uint64(len(roots))
	}
	return sent, nil
}

// sendForks puts proofs there that nobody has told of. Proofs with a page of a
// snapshot travel by sync alone, as in gossip.
func (s *session) sendForks(ctx context.Context, info catalog.Info) (int, error) {
	if !info.Forked {
		return 0, nil
	}
	forks, err := s.b.cfg.Ledger.Forks(ctx, info.ID)
	if err != nil {
		return 0, err
	}
	var all []outgoing
	for _, f := range forks {
		if !isEnvelope(f.A) || !isEnvelope(f.B) {
			continue
		}
		data, err := encodeFork(inOrder(f))
		if err != nil {
			continue // too large for any message
		}
		sub := subject{kind: kindFork, channel: info.ID, hash: sha256.Sum256(data)}
		if len(all) < window {
			all = s.enlist(all, sub, s.b.names.fork(info.ID, sub.hash), data)
		}
	}
	return s.put(ctx, all)
}

func (s *session) sendLogs(ctx context.Context, info catalog.Info) (sent int, err error) {
	for _, l := range info.Logs {
		n, err := s.sendLog(ctx, info, l)
		sent += n
		if err != nil {
			return sent, err
		}
	}
	return sent, nil
}

// sendLog sends what the stream lacks of a log, and tells other people's services
// of what is new since the bridge began.
func (s *session) sendLog(ctx context.Context, info catalog.Info, l catalog.LogInfo) (sent int, err error) {
	told := s.b.toldOf(info.ID, l.Log)
	next := told + 1
	s.stock.with(info.ID, func(h *held) { next = min(next, h.log(l.Log).next()) })
	for next <= l.Seq && ctx.Err() == nil {
		manifests, err := s.b.cfg.Ledger.Manifests(ctx, info.ID, l.Log, next, l.Seq, window, maxRead)
		if err != nil {
			return sent, err
		}
		if len(manifests) == 0 {
			if next >= l.Joined { // it was withdrawn meanwhile
				return sent, nil
			}
			n, err := s.sendLive(ctx, info, l, next)
			sent += n
			if err != nil {
				return sent, err
			}
			next = l.Joined
			s.stock.with(info.ID, func(h *held) { h.log(l.Log).pass(next - 1) })
			continue
		}
		var all []outgoing
		var views []channel.Manifest
		for _, data := range manifests {
			m, err := manifestOf(data)
			if err != nil {
				return sent, err
			}
			sub := subject{kind: kindManifest, channel: info.ID, log: l.Log, epoch: m.Epoch, seq: m.Seq}
			all = s.enlist(all, sub, s.b.names.manifest(info.ID, m.Epoch, m.Seq, l.Log), data)
			if m.Seq > told {
				views = append(views, m)
			}
		}
		n, err := s.put(ctx, all)
		sent += n
		if err != nil {
			return sent, err
		}
		for _, m := range views {
			s.view(info, m)
		}
		next += uint64(len(manifests))
		if told < next-1 {
			told = next - 1
			s.b.tellUpTo(info.ID, l.Log, told)
		}
	}
	return sent, nil
}

func manifestOf(data []byte) (channel.Manifest, error) {
	env, err := channel.DecodeEnvelope(data)
	if err != nil {
		return channel.Manifest{}, fmt.Errorf("manifest of the ledger: %w", err)
	}
	return channel.OpenManifest(env)
}

// look notes how far a channel is when it is first seen: what is there is no news
// for other people's services.
func (b *Bridge) look(info catalog.Info) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.told[info.ID] != nil {
		return
	}
	b.told[info.ID] = map[channel.PublicKey]uint64{}
	for _, l := range info.Logs {
		b.told[info.ID][l.Log] = l.Seq
	}
}

func (b *Bridge) seen(id channel.ID) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told[id] != nil
}

// toldOf returns up to which release of a log events were sent.
func (b *Bridge) toldOf(id channel.ID, log channel.PublicKey) uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.told[id][log]
}

func (b *Bridge) tellUpTo(id channel.ID, log channel.PublicKey, seq uint64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.told[id][log] = max(b.told[id][log], seq)
}
