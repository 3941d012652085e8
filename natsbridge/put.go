package natsbridge

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// window is how many messages wait for their acknowledgement at a time.
const window = 64

// outgoing is a statement on its way into the stream.
type outgoing struct {
	subject subject
	name    string // of the subject
	data    []byte
	digest  digest
	way     way
	fresh   bool // under an id that nobody can know: the plain one was used by somebody
}

func (s *session) outgoing(sub subject, name string, data []byte) (outgoing, bool) {
	o := outgoing{subject: sub, name: name, data: data, digest: digestOf(data)}
	came, _ := s.b.cfg.Trail.ways.get(o.digest)
	var ok bool
	o.way, ok = came.onward(s.b.cfg.Name)
	return o, ok
}

func (o outgoing) msg() *nats.Msg {
	m := &nats.Msg{Subject: o.name, Data: o.data, Header: headers(o.digest, o.way)}
	if o.fresh {
		m.Header.Set(headerID, o.digest.String()+"-"+rand.Text())
	}
	return m
}

// put puts statements into MANIFESTS, at most window of them, and returns how
// many of the first are there for sure.
func (s *session) put(ctx context.Context, all []outgoing) (int, error) {
	futures := make([]jetstream.PubAckFuture, 0, len(all))
	var broken error
	for _, o := range all {
		f, err := s.c.js.PublishMsgAsync(o.msg(), jetstream.WithExpectStream(s.manifests.CachedInfo().Config.Name))
		if err != nil {
			broken = err
			break
		}
		futures = append(futures, f)
	}
	for i, f := range futures {
		var err error
		select {
		case ack := <-f.Ok():
			if ack.Duplicate { // so says an id that anybody may have written
				err = s.settle(ctx, all[i])
			}
		case err = <-f.Err():
			if taken(err) {
				err = s.settle(ctx, all[i])
			}
		case <-ctx.Done():
			err = ctx.Err()
		}
		if errors.Is(err, nats.ErrMaxPayload) || errors.Is(explain(err), ErrTooLarge) {
			s.b.fail(explain(fmt.Errorf("%s: %w", all[i].name, err))) // others go on
			err = nil
		}
		if err != nil {
			return i, explain(fmt.Errorf("publishing %s: %w", all[i].name, err))
		}
		s.b.mine.put(all[i].digest, all[i].subject.channel)
		s.sure(all[i].subject)
	}
	if broken != nil {
		return len(futures), explain(fmt.Errorf("publishing: %w", broken))
	}
	return len(all), nil
}

// taken reports whether the stream has something under the subject already.
func taken(err error) bool {
	return err != nil && strings.Contains(err.Error(), "maximum messages per subject exceeded")
}

// maxClearings is how often junk is cleared away for one statement at a time. Who
// writes more of it, and may, keeps the stream busy, but not the ledger.
const maxClearings = 8

// settle compares what lies under the subject with what should: the stream said
// that it has it. Where it has not, but thought so for a message id, it is put
// there under another id; where it has what every honest node refuses, that is
// taken out.
func (s *session) settle(ctx context.Context, o outgoing) error {
	for range maxClearings {
		at, err := lastOn(ctx, s.manifests, o.name)
		switch {
		case err != nil:
			return err
		case at == nil:
		case bytes.Equal(at.Data, o.data):
			return nil
		default:
			junk, err := s.weigh(ctx, o, at)
			if err != nil || junk == nil {
				return err
			}
			if err := s.clear(ctx, s.manifests, o.subject, at.Sequence, junk); err != nil {
				return err
			}
		}
		o.fresh = true
		call, cancel := context.WithTimeout(ctx, callTimeout)
		ack, err := s.c.js.PublishMsg(call, o.msg(), jetstream.WithExpectStream(s.manifests.CachedInfo().Config.Name))
		cancel()
		if err == nil && !ack.Duplicate {
			return nil
		}
		if err != nil && !taken(err) {
			return err
		}
	}
	return fmt.Errorf("what is written there is no statement of the channel, again and again: %w", channel.ErrMalformed)
}

// lastOn reads the newest message of a subject; nil if there is none.
func lastOn(ctx context.Context, stream jetstream.Stream, name string) (*jetstream.RawStreamMsg, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	at, err := stream.GetLastMsgForSubject(ctx, name)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	return at, nil
}

// weigh asks the ledger about a message of the stream that is another than one's
// own, which the ledger has accepted, and returns why it has no place there. It
// stays if it is the same statement in another envelope, or the other side of a
// fork: the ledger knows of that then, and says so under the fork's own subject.
// What else it may be, such as a manifest under a root that nobody knows, or of a
// version that this node cannot read, would hide what is known.
func (s *session) weigh(ctx context.Context, own outgoing, at *jetstream.RawStreamMsg) (junk, err error) {
	junk = own.subject.check(at.Data)
	if junk != nil || own.subject.kind == kindFork { // one proof has one spelling
		return junk, nil
	}
	if samePayload(own.data, at.Data) {
		return nil, nil
	}
	o, err := s.offer(ctx, own.subject, at.Data)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Verdict == feed.Duplicate && own.subject.kind == kindRoot: // by its payload
		return s.rootJunk(ctx, own.subject, at.Data)
	case o.Verdict == feed.Forked, o.Verdict == feed.Duplicate, errors.Is(o.Err, feed.ErrFrozen), errors.Is(o.Err, feed.ErrFork):
		return nil, nil
	case o.Err != nil:
		return o.Err, nil
	}
	return fmt.Errorf("another statement than the ledger's: %w", channel.ErrMalformed), nil
}

// samePayload reports whether b says what a says, and has valid signatures of the
// same keys, so that it counts wherever a does.
func samePayload(a, b []byte) bool {
	x, errA := channel.DecodeEnvelope(a)
	y, errB := channel.DecodeEnvelope(b)
	return errA == nil && errB == nil && x.Type == y.Type && bytes.Equal(x.Payload, y.Payload) && slices.Equal(x.Signers(), y.Signers()) && y.Verify() == nil
}

// rootJunk says why those who do not have a root yet would refuse this envelope of
// one that the ledger has: it may be signed by anybody.
func (s *session) rootJunk(ctx context.Context, sub subject, data []byte) (junk, err error) {
	env, err := channel.DecodeEnvelope(data)
	if err != nil {
		return err, nil
	}
	var before *channel.Root
	if sub.seq > 1 {
		past, err := s.b.cfg.Ledger.Roots(ctx, sub.channel, sub.seq-1, 1, maxRead)
		if err != nil || len(past) == 0 {
			return nil, err
		}
		last, err := channel.DecodeEnvelope(past[0])
		if err != nil {
			return nil, fmt.Errorf("root of the ledger: %w", err)
		}
		root, err := channel.OpenRoot(last)
		if err != nil {
			return nil, fmt.Errorf("root of the ledger: %w", err)
		}
		before = &root
	}
	_, junk = channel.VerifyRoot(env, before)
	return junk, nil
}

// offer offers what lies under a subject to the ledger.
func (s *session) offer(ctx context.Context, sub subject, data []byte) (feed.Outcome, error) {
	if sub.kind == kindFork {
		a, b, err := decodeFork(data)
		if err != nil {
			return feed.Refuse(err), nil
		}
		return s.b.cfg.Ledger.OfferFork(ctx, sub.channel, feed.Fork{A: a, B: b})
	}
	out, err := s.b.cfg.Ledger.OfferAll(ctx, [][]byte{data})
	if err != nil {
		return feed.Outcome{}, err
	}
	return out[0], nil
}

// refused says why every honest node refuses what was offered; nil if not. A root
// after the first does not say of which channel it is: its outcome does.
func refused(sub subject, o feed.Outcome) error {
	switch {
	case o.Verdict == feed.Rejected:
		return o.Err
	case sub.kind == kindRoot && !o.Channel.IsZero() && o.Channel != sub.channel:
		return fmt.Errorf("root of another channel: %w", channel.ErrMalformed)
	}
	return nil
}

// clear takes a message out of a stream that has no place in it, and has the
// channel looked at again, since the place is free now.
func (s *session) clear(ctx context.Context, stream jetstream.Stream, sub subject, seq uint64, why error) error {
	s.b.event(Event{Kind: EventJunk, Channel: sub.channel, Count: 1, Err: why})
	if sub.kind != "" && !sub.replaced() {
		s.b.sure.open(sub.channel, func(h *held) { h.doubt(sub) })
		s.doubts.drop(seq)
	}
	if s.b.cfg.ReadOnly {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	err := stream.DeleteMsg(ctx, seq)
	if errors.Is(err, jetstream.ErrMsgNotFound) || errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		err = nil // somebody was quicker
	}
	if err != nil {
		return explain(fmt.Errorf("taking message %s out of %s: %w", strconv.FormatUint(seq, 10), stream.CachedInfo().Config.Name, err))
	}
	s.stock.forget(sub.channel)
	s.b.moved.mark(sub.channel)
	return nil
}
