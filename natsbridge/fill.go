package natsbridge

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
)

// maxAsked is how many numbers before a release are asked for one by one. A
// longer gap is read from the stream as a whole.
const maxAsked = 64

// fill gets what is missing before a statement: from the stream by its subject,
// and, where it is not there, from aml's own network. It reports whether the
// ledger has all of it now.
func (s *session) fill(ctx context.Context, a arrival) (bool, error) {
	sub := a.subject
	if sub.kind != kindManifest && sub.kind != kindRoot {
		return false, nil
	}
	info, err := s.b.cfg.Ledger.Channel(ctx, sub.channel)
	if err != nil {
		return false, ignoreUnknown(err)
	}
	before := func(info catalog.Info) uint64 { // how much of what comes before it is here
		if sub.kind == kindRoot {
			return info.Root.Version
		}
		return seqOf(info, sub.log)
	}
	next := before(info)
	if sub.kind == kindManifest && next == 0 && sub.seq > maxAsked { // of a log of which nothing is here, what counts is enough
		if jumped, err := s.jump(ctx, sub.channel, sub.log); jumped || err != nil {
			return jumped, err
		}
	}
	if sub.seq > next+maxAsked {
		err = s.catchUp(ctx, sub.channel)
	} else {
		for n := info.Root.Version + 1; err == nil && sub.kind == kindManifest && n <= info.Root.Version+maxAsked; n++ { // it may be signed under a root that is not here
			_, err = s.look(ctx, s.manifests, s.b.names.root(sub.channel, n))
		}
		if errors.Is(err, errNothing) {
			err = nil
		}
		for n := next + 1; err == nil && n < sub.seq; n++ {
			name := s.b.names.root(sub.channel, n)
			if sub.kind == kindManifest { // its epoch is not known
				name = strings.Join([]string{s.b.names.of(kindManifest, sub.channel), "*", fmt.Sprint(n), sub.log.String()}, ".")
			}
			_, err = s.look(ctx, s.manifests, name)
		}
	}
	if err != nil && !errors.Is(err, errNothing) {
		return false, err
	}
	has := func() (bool, error) { // what lies there need not be what should: the ledger says
		info, err := s.b.cfg.Ledger.Channel(ctx, sub.channel)
		return err == nil && before(info)+1 >= sub.seq, ignoreUnknown(err)
	}
	if filled, err := has(); filled || err != nil {
		return filled, err
	}
	if sub.kind == kindManifest {
		if jumped, err := s.jump(ctx, sub.channel, sub.log); jumped || err != nil {
			return jumped, err
		}
	}
	if err := s.sync(ctx, sub.channel); err != nil {
		return false, err
	}
	return has()
}

// errNothing: nothing lies under a subject.
var errNothing = errors.New("nothing lies there")

// look has the ledger judge what lies under a subject, and reports whether it could
// follow if what is before it were here.
func (s *session) look(ctx context.Context, stream jetstream.Stream, name string) (late bool, err error) {
	at, err := lastOn(ctx, stream, name)
	if err != nil {
		return false, explain(err)
	}
	if at == nil {
		return false, errNothing
	}
	waiting, err := s.take(ctx, stream, []jetstream.Msg{read(at)})
	return len(waiting) > 0, err
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
