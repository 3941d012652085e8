package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// What came for a channel before it was bridged is nothing that the node's own
// consumers bring, and nobody has looked at it. So each channel is read as a whole
// once, and until then nothing of it is taken for what should lie there.

// still is a message that was read where it lies: there is nothing to acknowledge.
type still struct {
	jetstream.Msg // nil: of its methods those below are used alone

	name   string
	header nats.Header
	data   []byte
	place  uint64
}

func read(at *jetstream.RawStreamMsg) still {
	return still{name: at.Subject, header: at.Header, data: at.Data, place: at.Sequence}
}

func (m still) Subject() string                  { return m.name }
func (m still) Headers() nats.Header             { return m.header }
func (m still) Data() []byte                     { return m.data }
func (m still) Ack() error                       { return nil }
func (m still) Term() error                      { return nil }
func (m still) NakWithDelay(time.Duration) error { return nil }

func (m still) Metadata() (*jetstream.MsgMetadata, error) {
	return &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Stream: m.place}, NumDelivered: 1}, nil
}

// knows says which MANIFESTS the server has. Of another one than before nothing is
// known.
func (b *Bridge) knows(made time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.made.Equal(made) {
		b.made = made
		clear(b.read)
		b.sure.forgetAll()
	}
}

// behind notes whether a head of a channel waits in HEADS for what it names.
func (b *Bridge) behind(id channel.ID, late bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if delete(b.late, id); late {
		b.late[id] = true
	}
}

// readFirst reads a channel as a whole if that was not done since it is bridged.
func (s *session) readFirst(ctx context.Context, id channel.ID) (bool, error) {
	s.b.mu.Lock()
	done := s.b.read[id]
	s.b.mu.Unlock()
	if done {
		return false, nil
	}
	s.stock.forget(id)
	if err := s.list(ctx, id); err != nil {
		return false, err
	}
	empty := true
	s.stock.with(id, func(h *held) { empty = h.empty() })
	if !empty {
		if err := s.readManifests(ctx, id); err != nil {
			return false, err
		}
	}
	if moved, err := s.readSnapshots(ctx, id); err != nil {
		return false, err
	} else if moved && !empty {
		if err := s.readManifests(ctx, id); err != nil {
			return false, err
		}
	}
	if err := s.readHeads(ctx, id); err != nil {
		return false, err
	}
	s.b.mu.Lock()
	defer s.b.mu.Unlock()
	if s.b.bridged[id] {
		s.b.read[id] = true
	}
	return true, nil
}

// catchUp reads a channel again, if more of it lies in the streams than is in the
// ledger: what was missing may be there now, or the ledger is an older one.
func (s *session) catchUp(ctx context.Context, id channel.ID) error {
	info, err := s.b.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return ignoreUnknown(err)
	}
	more := false
	s.stock.with(id, func(h *held) {
		more = h.root.top > info.Root.Version || len(h.forks) > 0 && !info.Forked
		for key, r := range h.logs {
			more = more || r.top > seqOf(info, key)
		}
	})
	s.b.mu.Lock()
	late := s.b.late[id]
	s.b.mu.Unlock()
	if more {
		if err := s.readManifests(ctx, id); err != nil {
			return err
		}
	}
	if late {
		return s.readHeads(ctx, id)
	}
	return nil
}

// readWait is how long the rest of what is to be read is waited for: some of it may
// have been taken out.
const readWait = 2 * time.Second

// readManifests has the ledger judge all that lies of a channel in MANIFESTS, again
// as long as that moves it: what is missing may lie behind what needs it.
func (s *session) readManifests(ctx context.Context, id channel.ID) error {
	for far := uint64(0); ; {
		late, err := s.readOnce(ctx, id)
		if err != nil {
			return explain(fmt.Errorf("reading channel %s from NATS: %w", id.Short(), err))
		}
		info, err := s.b.cfg.Ledger.Channel(ctx, id)
		if err != nil {
			return ignoreUnknown(err)
		}
		before := far
		if far = reach(info); late == 0 || far == before {
			return nil
		}
	}
}

// reach grows with each root and release that the ledger takes in.
func reach(info catalog.Info) uint64 {
	n := info.Root.Version
	for _, l := range info.Logs {
		n += l.Seq
	}
	return n
}

func (s *session) readOnce(ctx context.Context, id channel.ID) (late int, err error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cons, err := s.manifests.CreateConsumer(call, jetstream.ConsumerConfig{ // the server lets go of it by itself
		FilterSubjects: []string{s.b.names.of(kindRoot, id) + ".*", s.b.names.of(kindManifest, id) + ".>", s.b.names.of(kindFork, id) + ".*"},
		AckPolicy:      jetstream.AckNonePolicy, InactiveThreshold: time.Minute, MemoryStorage: true, Replicas: 1,
	})
	if err != nil {
		return 0, err
	}
	for left := cons.CachedInfo().NumPending; left > 0; {
		batch, err := cons.Fetch(int(min(left, batchSize)), jetstream.FetchMaxWait(readWait), jetstream.FetchHeartbeat(readWait/2))
		if err != nil {
			return late, err
		}
		got := 0
		err = s.drain(ctx, batch, func(ctx context.Context, msgs []jetstream.Msg) error {
			all := make([]jetstream.Msg, len(msgs))
			for i, m := range msgs {
				seq, _ := place(m)
				all[i] = still{name: m.Subject(), header: m.Headers(), data: m.Data(), place: seq}
			}
			got += len(msgs)
			waiting, err := s.take(ctx, s.manifests, all)
			late += len(waiting)
			return err
		})
		if err != nil {
			return late, err
		}
		if got == 0 {
			break
		}
		left -= min(left, uint64(got))
	}
	return late, nil
}

// readHeads has the ledger judge the heads of a channel that lie in HEADS.
func (s *session) readHeads(ctx context.Context, id channel.ID) error {
	names, err := lying(ctx, s.heads, s.b.names.of(kindHead, id)+".>")
	if err != nil {
		return err
	}
	waits := false
	for _, name := range names {
		late, err := s.look(ctx, s.heads, name)
		if err != nil && !errors.Is(err, errNothing) {
			return err
		}
		waits = waits || late
	}
	s.b.behind(id, waits)
	return nil
}

// readSnapshots does so with its snapshots, and reports whether one moved the ledger.
func (s *session) readSnapshots(ctx context.Context, id channel.ID) (moved bool, err error) {
	if s.snapshots == nil {
		return false, nil
	}
	before, err := s.b.cfg.Ledger.Channel(ctx, id)
	if err != nil {
		return false, ignoreUnknown(err)
	}
	names, err := lying(ctx, s.snapshots, s.b.names.of(kindSnapshot, id)+".>")
	if err != nil {
		return false, err
	}
	for _, name := range names {
		at, err := lastOn(ctx, s.snapshots, name)
		if err == nil && at != nil {
			err = s.takeSnapshots(ctx, []jetstream.Msg{read(at)})
		}
		if err != nil {
			return false, explain(err)
		}
	}
	after, err := s.b.cfg.Ledger.Channel(ctx, id)
	return err == nil && reach(after) > reach(before), ignoreUnknown(err)
}

// lying lists the subjects of a stream under which something lies.
func lying(ctx context.Context, stream jetstream.Stream, filter string) (names []string, err error) {
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	info, err := stream.Info(call, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, explain(fmt.Errorf("listing %s: %w", stream.CachedInfo().Config.Name, err))
	}
	for name := range info.State.Subjects {
		names = append(names, name)
	}
	return names, nil
}
