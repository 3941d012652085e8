package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// maxAsked is how many numbers before a release are asked for one by one. A
// longer gap is read from the stream as a whole.
const maxAsked = 64

// fill gets what is missing before a statement: from the stream by its subject,
// and, where it is not there, from aml's own network.
func (s *session) fill(ctx context.Context, sub subject) error {
	if sub.kind != kindManifest && sub.kind != kindRoot {
		return nil
	}
	info, err := s.b.cfg.Ledger.Channel(ctx, sub.channel)
	if err != nil {
		return ignoreUnknown(err)
	}
	next := seqOf(info, sub.log)
	if sub.kind == kindRoot {
		next = info.Root.Version
	}
	if sub.kind == kindManifest && next == 0 && sub.seq > maxAsked { // of a log of which nothing is here, what counts is enough
		if jumped, err := s.jump(ctx, sub.channel, sub.log); jumped || err != nil {
			return err
		}
	}
	if sub.seq > next+maxAsked {
		if err := s.catchUp(ctx, sub.channel); err != nil || sub.kind != kindManifest {
			return err
		}
		info, err = s.b.cfg.Ledger.Channel(ctx, sub.channel)
		if err != nil || seqOf(info, sub.log)+1 >= sub.seq {
			return ignoreUnknown(err)
		}
		return s.joinOrSync(ctx, sub)
	}
	for n := info.Root.Version + 1; sub.kind == kindManifest && n <= info.Root.Version+maxAsked; n++ { // it may be signed under a root that is not here
		at, err := lastOn(ctx, s.manifests, s.b.names.root(sub.channel, n))
		if err != nil {
			return explain(err)
		}
		if at == nil {
			break
		}
		if err := s.takeIn(ctx, loose{at.Subject, at.Header, at.Data}); err != nil {
			return err
		}
	}
	found := uint64(0)
	for n := next + 1; n < sub.seq; n++ {
		name := s.b.names.root(sub.channel, n)
		if sub.kind == kindManifest { // its epoch is not known
			name = strings.Join([]string{s.b.names.of(kindManifest, sub.channel), "*", fmt.Sprint(n), sub.log.String()}, ".")
		}
		at, err := lastOn(ctx, s.manifests, name)
		if err != nil {
			return explain(err)
		}
		if at == nil {
			break
		}
		if err := s.takeIn(ctx, loose{at.Subject, at.Header, at.Data}); err != nil {
			return err
		}
		found++
	}
	if next+found+1 >= sub.seq {
		return nil
	}
	return s.joinOrSync(ctx, sub)
}

// joinOrSync gets what is missing before a statement and is not in the stream: of a log
// by its snapshot, or from aml's own network.
func (s *session) joinOrSync(ctx context.Context, sub subject) error {
	if sub.kind == kindManifest {
		if jumped, err := s.jump(ctx, sub.channel, sub.log); jumped || err != nil {
			return err
		}
	}
	return s.sync(ctx, sub.channel)
}

func ignoreUnknown(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func seqOf(info catalog.Info, log channel.PublicKey) uint64 {
	for _, l := range info.Logs {
		if l.Log == log {
			return l.Seq
		}
	}
	return 0
}

// syncTimeout bounds how long aml's own network is asked.
const syncTimeout = 30 * time.Second

// sync asks aml's own network. That nobody answers is no failure of the bridge.
func (s *session) sync(ctx context.Context, id channel.ID) error {
	if s.b.cfg.Sync == nil {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, syncTimeout)
	defer cancel()
	_ = s.b.cfg.Sync(call, id)
	return ctx.Err()
}

// loose is a message that was read from the stream, and not followed.
type loose struct {
	name   string
	header nats.Header
	data   []byte
}

// takeIn offers what was read from the stream. What has no place there is left to
// whoever follows it.
func (s *session) takeIn(ctx context.Context, all ...loose) error {
	var envelopes [][]byte
	for _, l := range all {
		sub, err := s.b.names.parse(l.name)
		if err != nil || sub.check(l.data) != nil {
			continue
		}
		if sub.kind == kindFork {
			if _, err := s.offer(ctx, sub, l.data); err != nil {
				return fmt.Errorf("offering to the ledger: %w", err)
			}
			continue
		}
		if w, err := readWay(l.header); err == nil {
			s.b.cfg.Trail.ways.put(digestOf(l.data), w)
		}
		envelopes = append(envelopes, l.data)
	}
	if len(envelopes) == 0 {
		return nil
	}
	out, err := s.b.cfg.Ledger.OfferAll(ctx, envelopes)
	if err != nil {
		return fmt.Errorf("offering to the ledger: %w", err)
	}
	news := newNews()
	for i, o := range out {
		news.add(o, envelopes[i])
	}
	s.b.tell(ctx, news)
	return nil
}

// readWait is how long a channel is read without anything coming before it is
// taken to be all.
const readWait = 2 * time.Second

// catchUp reads a channel from the stream as a whole, if more of it lies there
// than is in the ledger: it was not followed when that came, or the ledger is an
// older one.
func (s *session) catchUp(ctx context.Context, id channel.ID) error {
	info, err := s.b.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return ignoreUnknown(err)
	}
	more := false
	listed := s.stock.with(id, func(h *held) {
		more = h.root.top > info.Root.Version || len(h.forks) > 0 && !info.Forked
		for key, r := range h.logs {
			more = more || r.top > seqOf(info, key)
		}
	})
	if !listed || !more {
		return nil
	}
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cons, err := s.manifests.CreateConsumer(call, jetstream.ConsumerConfig{ // the server lets go of it by itself
		FilterSubjects: []string{s.b.names.of(kindRoot, id) + ".*", s.b.names.of(kindManifest, id) + ".>", s.b.names.of(kindFork, id) + ".*"},
		AckPolicy:      jetstream.AckNonePolicy, InactiveThreshold: time.Minute, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return explain(fmt.Errorf("reading channel %s from NATS: %w", id.Short(), err))
	}
	for more := true; more; {
		batch, err := cons.Fetch(batchSize, jetstream.FetchMaxWait(readWait), jetstream.FetchHeartbeat(readWait/2))
		if err == nil {
			more = false
			err = s.drain(ctx, batch, func(ctx context.Context, msgs []jetstream.Msg) error {
				more = true
				all := make([]loose, len(msgs))
				for i, m := range msgs {
					all[i] = loose{m.Subject(), m.Headers(), m.Data()}
				}
				return s.takeIn(ctx, all...)
			})
		}
		if err != nil {
			return explain(fmt.Errorf("reading channel %s from NATS: %w", id.Short(), err))
		}
	}
	return nil
}
