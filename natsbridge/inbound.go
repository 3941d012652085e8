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
	"github.com/anonymous-media-library/aml/channel/feed"
)

const (
	batchSize    = 64
	pollWait     = 20 * time.Second
	pollBeat     = 2 * time.Second
	ackWait      = time.Minute
	maxPending   = 1024
	forgetAfter  = 30 * 24 * time.Hour // a consumer whose bridge does not come back
	retryArrival = 10 * time.Second
	lastArrival  = 10 * time.Minute
	maxHeadTries = 5

	// maxDoubts bounds the messages that wait for what is before them. It is less
	// than maxPending, or who may write to a stream could bring it to a halt.
	maxDoubts = 512
)

// consumer is what this node reads a stream by.
func (b *Bridge) consumer() jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable: "aml-" + b.cfg.Consumer, DeliverPolicy: jetstream.DeliverAllPolicy, AckPolicy: jetstream.AckExplicitPolicy, AckWait: ackWait,
		MaxDeliver: -1, MaxAckPending: maxPending, InactiveThreshold: forgetAfter,
	}
}

// follow reads a stream from where this node has got to, which the server
// remembers, and hands it on in batches. What is handed on is acknowledged by do.
func (s *session) follow(ctx context.Context, stream jetstream.Stream, do func(context.Context, []jetstream.Msg) error) error {
	name := stream.CachedInfo().Config.Name
	call, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	cons, err := stream.CreateOrUpdateConsumer(call, s.b.consumer())
	if err != nil {
		return explain(fmt.Errorf("reading %s: %w", name, err))
	}
	for ctx.Err() == nil {
		batch, err := cons.Fetch(batchSize, jetstream.FetchMaxWait(pollWait), jetstream.FetchHeartbeat(pollBeat))
		if err == nil {
			err = s.drain(ctx, batch, do)
		}
		if err != nil && ctx.Err() == nil {
			return explain(fmt.Errorf("reading %s: %w", name, err))
		}
	}
	return ctx.Err()
}

// drain hands on what a request brings, as it comes.
func (s *session) drain(ctx context.Context, batch jetstream.MessageBatch, do func(context.Context, []jetstream.Msg) error) error {
	in := batch.Messages()
	for {
		var msgs []jetstream.Msg
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m, ok := <-in:
			if !ok {
				if err := batch.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
					return err
				}
				return nil
			}
			msgs = append(msgs, m)
		}
		for more := true; more; {
			select {
			case m, ok := <-in:
				if more = ok; ok {
					msgs = append(msgs, m)
				}
			default:
				more = false
			}
		}
		if err := do(ctx, msgs); err != nil {
			return err
		}
	}
}

// arrival is a message of a stream that has to be offered.
type arrival struct {
	msg     jetstream.Msg
	subject subject
	digest  digest
	way     way
}

// place is where a message lies in its stream.
func place(m jetstream.Msg) (seq, delivered uint64) {
	if meta, err := m.Metadata(); err == nil {
		return meta.Sequence.Stream, meta.NumDelivered
	}
	return 0, 0
}

// sort puts aside what need not be offered: of channels that are not bridged,
// what this bridge has put there, and junk, which is taken out.
func (s *session) sort(ctx context.Context, stream jetstream.Stream, msgs []jetstream.Msg) ([]arrival, error) {
	var out []arrival
	for _, m := range msgs {
		sub, err := s.b.names.parse(m.Subject())
		if err == nil && !s.b.bridges(sub.channel) {
			_ = m.Ack()
			continue
		}
		a := arrival{msg: m, subject: sub, digest: digestOf(m.Data())}
		if err == nil {
			err = sub.check(m.Data())
		}
		if err == nil {
			if of, mine := s.b.mine.get(a.digest); mine && of == sub.channel { // the ledger has it
				s.note(a)
				_ = m.Ack()
				continue
			}
			a.way, err = readWay(m.Headers())
		}
		switch {
		case errors.Is(err, channel.ErrVersion): // newer nodes may write it, and so may anybody
			if sub.replaced() {
				s.note(a)
			} else {
				s.unsure(sub)
			}
			_ = m.Ack()
		case err != nil:
			if err := s.junk(ctx, stream, a, err); err != nil {
				return nil, err
			}
		default:
			if sub.replaced() {
				s.note(a)
			}
			out = append(out, a)
		}
	}
	return out, nil
}

// note takes notice of what lies in a stream, and is what should.
func (s *session) note(a arrival) {
	if !a.subject.replaced() {
		s.sure(a.subject)
		return
	}
	seq, _ := place(a.msg)
	s.stock.with(a.subject.channel, func(h *held) {
		last := h.heads
		if a.subject.kind == kindSnapshot {
			last = h.snapshots
		}
		if last[a.subject.log].place < seq {
			last[a.subject.log] = heldHead{place: seq, digest: a.digest}
		}
	})
}

// sure says that what lies under a subject was looked at, and is what should.
func (s *session) sure(sub subject) {
	s.b.sure.open(sub.channel, func(h *held) { h.add(sub) })
	s.stock.with(sub.channel, func(h *held) { h.add(sub) })
}

// unsure says that something lies under a subject, and that it need not be what
// should: once the ledger has a statement for it, the two are compared.
func (s *session) unsure(sub subject) {
	s.b.sure.open(sub.channel, func(h *held) { h.doubt(sub) })
	s.stock.with(sub.channel, func(h *held) { h.doubt(sub) })
	s.b.moved.mark(sub.channel)
}

// junk takes a message out that every honest node refuses.
func (s *session) junk(ctx context.Context, stream jetstream.Stream, a arrival, why error) error {
	seq, _ := place(a.msg)
	if err := s.clear(ctx, stream, a.subject, seq, why); err != nil {
		return err
	}
	_ = a.msg.Term() // if that is lost it comes again
	return nil
}

// take has the ledger judge what lies in a stream, and returns what could follow if
// what is before it were here.
func (s *session) take(ctx context.Context, stream jetstream.Stream, msgs []jetstream.Msg) (late []arrival, err error) {
	all, err := s.sort(ctx, stream, msgs)
	if err != nil {
		return nil, err
	}
	var plain []arrival
	for _, a := range all {
		if a.subject.kind != kindFork {
			plain = append(plain, a)
			continue
		}
		o, err := s.offer(ctx, a.subject, a.msg.Data())
		if err != nil {
			return nil, fmt.Errorf("offering to the ledger: %w", err)
		}
		if err := s.conclude(ctx, stream, a, o); err != nil {
			return nil, err
		}
	}
	return s.offerAll(ctx, stream, plain)
}

// takeManifests takes in a batch of MANIFESTS. It is acknowledged once the ledger
// has it on disk.
func (s *session) takeManifests(ctx context.Context, msgs []jetstream.Msg) error {
	late, err := s.take(ctx, s.manifests, msgs)
	if err != nil || len(late) == 0 {
		return err
	}
	// What comes before them is fetched, and then they follow, or wait.
	stuck := map[subject]bool{} // logs, or roots, of which what is missing is nowhere
	for _, a := range late {
		row := subject{kind: a.subject.kind, channel: a.subject.channel, log: a.subject.log}
		if stuck[row] {
			continue
		}
		filled, err := s.fill(ctx, a)
		if err != nil {
			return err
		}
		stuck[row] = !filled
	}
	late, err = s.offerAll(ctx, s.manifests, late)
	for _, a := range late {
		if err := s.doubt(ctx, a); err != nil {
			return err
		}
	}
	return err
}

// doubt has a message come again later. It stays unacknowledged, so that it is
// not forgotten over a restart that it may lie in the place of another: once the
// ledger has a statement for the subject, that is compared with it.
func (s *session) doubt(ctx context.Context, a arrival) error {
	seq, delivered := place(a.msg)
	if !s.doubts.add(seq) {
		// Whoever has what is before it sends it again, when he looks next.
		return s.junk(ctx, s.manifests, a, fmt.Errorf("%d others wait already for what comes before them: %w", maxDoubts, channel.ErrLimit))
	}
	s.unsure(a.subject)
	_ = a.msg.NakWithDelay(min(time.Duration(delivered)*retryArrival, lastArrival))
	return nil
}

// takeHeads takes in a batch of HEADS.
func (s *session) takeHeads(ctx context.Context, msgs []jetstream.Msg) error {
	late, err := s.take(ctx, s.heads, msgs)
	for _, a := range late { // the manifests, or the root, may be on their way
		if _, delivered := place(a.msg); delivered < maxHeadTries {
			_ = a.msg.NakWithDelay(retryArrival)
			continue
		}
		s.b.behind(a.subject.channel, true)
		_ = a.msg.Ack()
	}
	return err
}

// offerAll offers arrivals in one transaction and concludes what became of each.
// It returns those that could follow if what is before them were here.
func (s *session) offerAll(ctx context.Context, stream jetstream.Stream, all []arrival) (late []arrival, err error) {
	if len(all) == 0 {
		return nil, nil
	}
	envelopes := make([][]byte, len(all))
	for i, a := range all {
		envelopes[i] = a.msg.Data()
		if a.way.hops > 0 { // before the ledger tells other bridges of it
			s.b.cfg.Trail.ways.put(a.digest, a.way)
		}
	}
	out, err := s.b.cfg.Ledger.OfferAll(ctx, envelopes)
	if err != nil {
		return nil, fmt.Errorf("offering to the ledger: %w", err)
	}
	news := newNews()
	for i, a := range all {
		o := out[i]
		news.add(o, envelopes[i])
		if couldFollow(o) {
			late = append(late, a)
			continue
		}
		if err := s.conclude(ctx, stream, a, o); err != nil {
			return nil, err
		}
	}
	s.b.tell(ctx, news)
	return late, nil
}

// couldFollow reports whether it might be accepted another time.
func couldFollow(o feed.Outcome) bool {
	if o.Verdict == feed.Ignored {
		for _, is := range []error{feed.ErrUnknownRoot, feed.ErrGap, feed.ErrFuture, catalog.ErrUnknown} {
			if errors.Is(o.Err, is) {
				return true
			}
		}
	}
	return o.Verdict == feed.Gap
}

// conclude acknowledges an arrival, of which nothing more is to be had.
func (s *session) conclude(ctx context.Context, stream jetstream.Stream, a arrival, o feed.Outcome) error {
	why := refused(a.subject, o)
	if why == nil && a.subject.kind == kindRoot && o.Verdict == feed.Duplicate { // by its payload
		junk, err := s.rootJunk(ctx, a.subject, a.msg.Data())
		if err != nil {
			return err
		}
		why = junk
	}
	if why != nil {
		return s.junk(ctx, stream, a, why)
	}
	if a.subject.kind == kindFork && o.Changed {
		news := newNews()
		news.add(o, nil)
		s.b.tell(ctx, news)
	}
	last := a.subject.replaced()
	switch {
	case last:
		if o.Verdict == feed.Stale {
			s.b.moved.mark(a.subject.channel) // the newer one is put in its place
		}
	case a.subject.kind == kindFork, o.Verdict == feed.Accepted, o.Verdict == feed.Duplicate, o.Verdict == feed.Forked:
		s.note(a)
	default: // the ledger has not taken it
		s.unsure(a.subject)
	}
	if !last {
		seq, _ := place(a.msg)
		s.doubts.drop(seq)
	}
	if (a.subject.kind == kindManifest || a.subject.kind == kindRoot) && (o.Verdict == feed.Accepted || o.Verdict == feed.Duplicate) {
		s.b.mine.put(a.digest, a.subject.channel) // it is read more than once
	}
	_ = a.msg.Ack()
	return nil
}
