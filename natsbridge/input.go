package natsbridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
	"golang.org/x/time/rate"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// Untrusted input beyond this is dropped unread; its sender hears nothing, and
// sends again.
const (
	inputQueue = 256
	inputRate  = 200 // a second
	inputBurst = 1000
)

// Answer is the JSON that a message on in.<channel> is answered with, if it asks
// for an answer: once what was accepted is on disk. No answer means that no
// bridge here carries the channel, or that it had too much to do.
type Answer struct {
	Accepted int    `json:"accepted"` // envelopes that are news
	Known    int    `json:"known"`    // or older than what is known
	Later    int    `json:"later"`    // not now: what comes before is missing, or too many at a time
	Refused  int    `json:"refused"`
	Error    string `json:"error,omitempty"` // the first that was not accepted
}

// listen takes in what comes on in.<channel>, as gossip from a stranger, until
// ctx ends. It is read from no stream, so that no message id, and no message in
// the place of another, can hide anything: who sends asks for an answer, and
// sends again.
func (s *session) listen(ctx context.Context) error {
	in := make(chan *nats.Msg, inputQueue)
	sub, err := s.c.nc.ChanSubscribe(s.b.names.prefix+kindIn+".*", in)
	if err != nil {
		return explain(fmt.Errorf("listening on %s.>: %w", kindIn, err))
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection ends with it
	limit := rate.NewLimiter(inputRate, inputBurst)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case m := <-in:
			if limit.Allow() {
				s.input(ctx, m)
			}
		}
	}
}

// input takes in one message.
func (s *session) input(ctx context.Context, m *nats.Msg) {
	sub, err := s.b.names.parse(m.Subject)
	if err != nil || !s.b.bridges(sub.channel) {
		return
	}
	var a Answer
	w, err := readWay(m.Header)
	var envelopes [][]byte
	if err == nil {
		envelopes, err = decodeInput(m.Data)
	}
	if err != nil {
		a.refuse(err)
	}
	news := newNews()
	for _, e := range envelopes {
		o, err := s.b.judge(ctx, sub.channel, e, w)
		if err != nil { // nothing was decided
			a.Later++
			a.say(err)
			break
		}
		news.add(o, e)
		a.add(o)
	}
	s.b.tell(ctx, news)
	if a.Refused > 0 {
		s.b.event(Event{Kind: EventJunk, Channel: sub.channel, Count: a.Refused, Err: errors.New(a.Error)})
	}
	if !s.answers(m.Reply) {
		return
	}
	if data, err := json.Marshal(a); err == nil {
		_ = m.Respond(data) // who does not hear it sends again
	}
}

// The names of inboxes begin with it: with another token behind a dot, or more of
// the same token.
const inboxes = "_INBOX"

// maxReply bounds the subject on which a stranger wants to hear.
const maxReply = 256

// answers reports whether a stranger is answered on a subject. It is of his own
// choice, and the bridge may write where he may not: to the streams, to the
// server's API. So it has to be an inbox; and not the bridge's own, on which it
// hears what the server says, unless that is the one that all have.
func (s *session) answers(reply string) bool {
	if len(reply) > maxReply || strings.ContainsAny(reply, "*>") || !isInbox(reply) {
		return false
	}
	own := s.b.cfg.Server.Inbox
	return own == "" || own == inboxes || reply != own && !strings.HasPrefix(reply, own+".")
}

func isInbox(name string) bool {
	rest, ok := strings.CutPrefix(name, inboxes)
	return ok && (rest == "" || rest[0] == '.' || rest[0] == '_')
}

// judge offers one envelope of a stranger.
func (b *Bridge) judge(ctx context.Context, id channel.ID, e []byte, w way) (feed.Outcome, error) {
	it, err := feed.Parse(e)
	if err != nil {
		return feed.Refuse(err), nil
	}
	if !it.Channel.IsZero() && it.Channel != id {
		return feed.Refuse(fmt.Errorf("envelope of another channel: %w", channel.ErrMalformed)), nil
	}
	if it.Kind == feed.KindSnapshot {
		return feed.Outcome{Verdict: feed.Ignored, Err: errors.New("snapshots do not travel over NATS")}, nil
	}
	o, err := b.cfg.Ledger.OfferGossip(ctx, e)
	if _, known := b.cfg.Trail.ways.get(digestOf(e)); !known && err == nil && o.Verdict == feed.Accepted {
		// How far it has come he may say as he likes: at four it would go no further.
		b.cfg.Trail.ways.put(digestOf(e), way{origin: w.origin, hops: 1, trace: w.trace})
	}
	return o, err
}

func (a *Answer) add(o feed.Outcome) {
	switch o.Verdict {
	case feed.Accepted:
		a.Accepted++
	case feed.Duplicate, feed.Stale:
		a.Known++
	case feed.Rejected:
		a.refuse(o.Err)
	default:
		a.Later++
		a.say(o.Err)
	}
}

func (a *Answer) refuse(err error) {
	a.Refused++
	a.say(err)
}

func (a *Answer) say(err error) {
	if a.Error == "" && err != nil {
		a.Error = err.Error()
	}
}
