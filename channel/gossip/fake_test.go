package gossip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
)

// fakeLedger is a Ledger in memory, with the real rules of channel/feed. It is
// for tests of hostile wires and of parsers, where a database would only be
// slow.
type fakeLedger struct {
	mu       sync.Mutex
	channels map[channel.ID]*fakeChannel
	offers   int // envelopes offered
}

type fakeChannel struct {
	reason    catalog.Reason
	machine   *feed.Machine
	roots     [][]byte
	manifests map[channel.PublicKey][][]byte
	forks     []feed.Fork
}

func newFakeLedger() *fakeLedger { return &fakeLedger{channels: make(map[channel.ID]*fakeChannel)} }

func (c *fakeChannel) RootAt(v uint64) ([]byte, error) { return at(c.roots, v) }

func (c *fakeChannel) ManifestAt(log channel.PublicKey, seq uint64) ([]byte, error) {
	return at(c.manifests[log], seq)
}

func at(list [][]byte, n uint64) ([]byte, error) {
	if n == 0 || n > uint64(len(list)) {
		return nil, fs.ErrNotExist
	}
	return list[n-1], nil
}

func (l *fakeLedger) Expect(_ context.Context, id channel.ID, reason catalog.Reason) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.channels[id]
	if c == nil {
		c = &fakeChannel{machine: feed.New(id), manifests: make(map[channel.PublicKey][][]byte)}
		l.channels[id] = c
	}
	c.reason = max(c.reason, reason)
	return nil
}

func (l *fakeLedger) List(ctx context.Context, id channel.ID, _, _ string) error {
	l.mu.Lock()
	full := l.channels[id] == nil && len(l.channels) >= MaxListed
	l.mu.Unlock()
	if full {
		return catalog.ErrCrowded
	}
	return l.Expect(ctx, id, catalog.Listed)
}

func (l *fakeLedger) Seen(context.Context, []catalog.Sighting) error { return nil }

func (l *fakeLedger) OfferGossip(_ context.Context, e []byte) (feed.Outcome, error) {
	return l.offer(e, true), nil
}

func (l *fakeLedger) OfferAll(_ context.Context, es [][]byte) ([]feed.Outcome, error) {
	var out []feed.Outcome
	for _, e := range es {
		out = append(out, l.offer(e, false))
	}
	return out, nil
}

func (l *fakeLedger) offer(e []byte, gossip bool) feed.Outcome {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.offers++
	it, err := feed.Parse(e)
	if err != nil {
		return feed.Refuse(err)
	}
	c := l.channels[it.Channel]
	for _, other := range l.channels {
		if it.Channel.IsZero() && other.machine.State().RootHash == it.Prev {
			c = other
		}
	}
	if c == nil {
		return feed.Outcome{Verdict: feed.Ignored, Kind: it.Kind, Channel: it.Channel, Hash: it.Hash, Err: catalog.ErrUnknown}
	}
	o := c.machine.Step(feed.Input{Now: time.Now(), Item: it, Gossip: gossip}, c)
	if o.Verdict == feed.Accepted && o.Kind == feed.KindRoot {
		c.roots = append(c.roots, e)
	}
	if o.Verdict == feed.Accepted && o.Kind == feed.KindManifest {
		c.manifests[o.Log] = append(c.manifests[o.Log], e)
	}
	if o.Proof != nil {
		c.forks = append(c.forks, *o.Proof)
	}
	return o
}

func (l *fakeLedger) OfferFork(_ context.Context, id channel.ID, f feed.Fork) (feed.Outcome, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.channels[id]
	if c == nil {
		return feed.Outcome{Err: catalog.ErrUnknown}, nil
	}
	return c.machine.Evidence(time.Now(), f, c), nil
}

func (l *fakeLedger) Channel(_ context.Context, id channel.ID) (catalog.Info, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.channels[id]
	if c == nil {
		return catalog.Info{}, fmt.Errorf("fake: %w", fs.ErrNotExist)
	}
	info := catalog.Info{ID: id, Discovery: id.Discovery(), Reason: c.reason}
	s := c.machine.State()
	if s.Root != nil {
		info.HasRoot, info.Root = true, *s.Root
	}
	for key, log := range s.Logs {
		info.Logs = append(info.Logs, catalog.LogInfo{Log: key, Seq: log.Seq, Hash: log.Hash, Frozen: log.Frozen > 0, Status: s.Status(key, time.Now())})
	}
	return info, nil
}

func (l *fakeLedger) ByDiscovery(_ context.Context, key channel.Hash) (channel.ID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id := range l.channels {
		if id.Discovery() == key {
			return id, nil
		}
	}
	return channel.ID{}, fmt.Errorf("fake: %w", fs.ErrNotExist)
}

func (l *fakeLedger) Topics(context.Context) ([]string, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []string
	for _, c := range l.channels {
		if root := c.machine.State().Root; root != nil {
			out = append(out, root.Topics...)
		}
	}
	return out, nil
}

func (l *fakeLedger) SomeOn(_ context.Context, topic string, most int) ([]channel.ID, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out []channel.ID
	for id, c := range l.channels {
		if root := c.machine.State().Root; root != nil && len(out) < most && onTopic(root.Topics, topic) {
			out = append(out, id)
		}
	}
	return out, nil
}

func (l *fakeLedger) Roots(_ context.Context, id channel.ID, from uint64, maxItems, _ int) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return part(l.channels[id].roots, from, 1<<62, maxItems), nil
}

func (l *fakeLedger) Manifests(_ context.Context, id channel.ID, log channel.PublicKey, from, to uint64, maxItems, _ int) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return part(l.channels[id].manifests[log], from, to, maxItems), nil
}

func part(list [][]byte, from, to uint64, most int) [][]byte {
	n := uint64(len(list))
	if from == 0 || from > n {
		return nil
	}
	list = list[from-1 : min(to, n)]
	return slices.Clone(list[:min(most, len(list))])
}

func (l *fakeLedger) Heads(_ context.Context, id channel.ID) ([][]byte, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var out [][]byte
	for _, log := range l.channels[id].machine.State().Logs {
		if log.Head != nil {
			out = append(out, log.Head.Envelope)
		}
		if log.Claim != nil {
			out = append(out, log.Claim.Envelope)
		}
	}
	return out, nil
}

func (l *fakeLedger) Forks(_ context.Context, id channel.ID) ([]feed.Fork, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.channels[id].forks, nil
}

func (l *fakeLedger) seq(a *author) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.channels[a.id]; c != nil {
		return c.machine.Log(a.key.Public()).Seq
	}
	return 0
}

// holding returns a fake ledger that follows the author's channel and has its
// founding, releases so far and newest head.
func holding(t testing.TB, a *author) *fakeLedger {
	t.Helper()
	l := newFakeLedger()
	_ = l.Expect(t.Context(), a.id, catalog.Followed)
	for _, e := range append([][]byte{a.founding}, a.all...) {
		if o := l.offer(e, false); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if a.head != nil {
		if o := l.offer(a.head, false); o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	return l
}

// following returns a fake ledger that follows the channel and has nothing.
func following(t testing.TB, a *author) *fakeLedger {
	t.Helper()
	l := newFakeLedger()
	_ = l.Expect(t.Context(), a.id, catalog.Followed)
	return l
}

// wire is the asking end of the protocol against an answering end that does as
// it likes. It returns what the asking end made of it.
func wire(t testing.TB, l Ledger, a *author, patience time.Duration, answers func(net.Conn)) error {
	t.Helper()
	near, far := bufferedPipe()
	var done sync.WaitGroup
	done.Go(func() {
		defer far.Close()
		answers(far)
		_, _ = io.Copy(io.Discard, far)
	})
	p := newPuller(l, &claims{}, near, patience, func(feed.Outcome) {})
	sections, err := p.heads([]channel.ID{a.id})
	if err == nil {
		if s, ok := sections[a.id]; ok {
			_, err = p.channel(t.Context(), a.id, s)
		} else {
			err = ErrNotFollowed
		}
	}
	_ = near.Close()
	done.Wait()
	return err
}

// bufferedPipe is net.Pipe with room for what is written, as a stream has.
func bufferedPipe() (net.Conn, net.Conn) {
	a, b := net.Pipe()
	return buffer(a), buffer(b)
}

type buffered struct {
	net.Conn
	out  chan []byte
	done chan struct{} // closed when all is written, or nothing can be
}

func buffer(c net.Conn) net.Conn {
	b := &buffered{Conn: c, out: make(chan []byte, 1024), done: make(chan struct{})}
	go func() {
		defer close(b.done)
		for data := range b.out {
			if _, err := c.Write(data); err != nil {
				return
			}
		}
		_ = c.Close()
	}()
	return b
}

func (b *buffered) SetWriteDeadline(time.Time) error { return nil }

func (b *buffered) Write(p []byte) (n int, err error) {
	defer func() {
		if recover() != nil { // closed by Close
			n, err = 0, io.ErrClosedPipe
		}
	}()
	select {
	case b.out <- slices.Clone(p):
		return len(p), nil
	case <-b.done:
		return 0, io.ErrClosedPipe
	}
}

// Close lets what was written reach the other end, if that one still reads.
func (b *buffered) Close() (err error) {
	defer func() { _ = recover() }() // closed before
	close(b.out)
	select {
	case <-b.done:
		return b.Conn.Close() // nobody reads any more
	default:
		return nil
	}
}

// honest answers from a ledger, n requests long.
func honest(c net.Conn, l Ledger, n int) {
	s := &server{ledger: l, knocked: func(channel.ID) {}, patience: time.Second, topicOf: func(context.Context, channel.Hash) (string, bool) { return "", false }}
	stop := errors.New("enough")
	_ = s.serve(context.Background(), c, func(context.Context, int) error {
		if n--; n < 0 {
			return stop
		}
		return nil
	})
}
