package gossip

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/channel/reconcile"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// authors are n channels of one release each.
func authors(t testing.TB, n int) []*author {
	t.Helper()
	out := make([]*author, n)
	for i := range out {
		out[i] = newAuthor(t, fmt.Sprintf("channel %d", i))
		out[i].release()
	}
	return out
}

// carries makes a ledger that has the channels, up to each one's newest release.
func carries(t testing.TB, all []*author) *catalog.Catalog {
	t.Helper()
	l, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(t.TempDir(), "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	var batch [][]byte
	for _, a := range all {
		batch = append(append(append(batch, a.founding), a.all...), a.head)
	}
	if err := l.Append(t.Context(), batch...); err != nil {
		t.Fatal(err)
	}
	return l
}

// tap is a stream of which all bytes are kept.
type tap struct {
	network.Stream
	bytes *bytes.Buffer
}

func (s tap) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	s.bytes.Write(p[:n])
	return n, err
}

func (s tap) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	s.bytes.Write(p[:n])
	return n, err
}

// pair is a mirror that asks and one that answers, over a real connection, without
// gossip. What goes over sync streams is kept.
type pair struct {
	asks, answers *Gossip

	serving  sync.WaitGroup // streams that are answered
	mu       sync.Mutex
	requests int
	streams  []*bytes.Buffer
}

func newPair(t testing.TB, asks, answers *catalog.Catalog, ours, theirs []*author) *pair {
	t.Helper()
	p := &pair{}
	make := func(l *catalog.Catalog, all []*author) *Gossip {
		g, err := New(Config{Host: newHost(t), Ledger: l, Patience: waitLimit})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if err := g.add(target{channel: a.id}, nil); err != nil {
				t.Fatal(err)
			}
		}
		return g
	}
	p.asks, p.answers = make(asks, ours), make(answers, theirs)
	p.answers.cfg.Host.SetStreamHandler(SyncProtocol, func(stream network.Stream) {
		p.serving.Add(1) // before the first answer, and so before anybody waits
		defer p.serving.Done()
		wire := tap{stream, new(bytes.Buffer)}
		p.mu.Lock()
		p.streams = append(p.streams, wire.bytes)
		p.mu.Unlock()
		m := p.answers.newMirror(stream.Conn().RemotePeer())
		defer m.close()
		s := &server{ledger: answers, mirror: m, knocked: func(channel.ID) {}, patience: waitLimit}
		_ = s.serve(context.Background(), wire, func(context.Context, int) error {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.requests++
			return nil
		})
		_ = stream.Close()
	})
	connect(t, p.asks.cfg.Host, p.answers.cfg.Host)
	return p
}

// session compares all channels of the asker at once, or in the old way, 64 at a time.
func (p *pair) session(t testing.TB, ours []*author, atOnce int) (requests, size int) {
	t.Helper()
	p.mu.Lock()
	p.requests, p.streams = 0, nil
	p.mu.Unlock()
	for some := range slices.Chunk(ours, atOnce) {
		var wants []want
		for _, a := range some {
			wants = append(wants, want{target: target{channel: a.id}, knocked: true})
		}
		if _, err := p.asks.talk(t.Context(), p.answers.cfg.Host.ID(), wants); err != nil {
			t.Fatal(err)
		}
	}
	p.serving.Wait()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.streams {
		size += s.Len()
	}
	return p.requests, size
}

func seqIn(t testing.TB, l *catalog.Catalog, a *author) uint64 {
	t.Helper()
	info, err := l.Channel(t.Context(), a.id)
	if err != nil || len(info.Logs) != 1 {
		t.Fatal(info.Logs, err)
	}
	return info.Logs[0].Seq
}

// TestMirrorsOf2000ChannelsFindTenReleasesInAFewRequests, and no key of a channel that
// only one of them has is seen by the other.
func TestMirrorsOf2000ChannelsFindTenReleasesInAFewRequests(t *testing.T) {
	all := authors(t, 2003)
	ours, theirs := all[:2000], all[3:]
	asks := carries(t, ours)
	moved := []*author{}
	for i := range 10 {
		a := theirs[i*150] // all of them common
		a.release()
		moved = append(moved, a)
	}
	answers := carries(t, theirs)
	p := newPair(t, asks, answers, ours, theirs)

	requests, size := p.session(t, ours, len(ours))
	for _, a := range moved {
		if seqIn(t, asks, a) != 2 {
			t.Errorf("a release was not found")
		}
	}
	// One opens, two ask for ranges, one for heads, and one for each release.
	if requests > 3+1+2*len(moved) {
		t.Errorf("%d requests for %d releases", requests, len(moved))
	}
	for _, s := range p.streams {
		for _, a := range all[:3] {
			if key := a.id.Discovery(); bytes.Contains(s.Bytes(), key[:]) || bytes.Contains(s.Bytes(), a.id[:]) {
				t.Fatal("the asker told of a channel that the other has not")
			}
		}
		for _, a := range all[2000:] {
			if key := a.id.Discovery(); bytes.Contains(s.Bytes(), key[:]) || bytes.Contains(s.Bytes(), a.id[:]) {
				t.Fatal("the answerer told of a channel that the asker has not")
			}
		}
	}

	again, idle := p.session(t, ours, len(ours))
	if again > 2+1+2 {
		t.Errorf("%d requests where nothing differs", again)
	}
	oldRequests, oldSize := p.session(t, ours, MaxKeys)
	t.Logf("2,000 channels, 10 releases: %d requests, %d bytes; nothing differs: %d requests, %d bytes; one by one: %d requests, %d bytes",
		requests, size, again, idle, oldRequests, oldSize)
	if size*10 > oldSize {
		t.Errorf("%d bytes, %d in the old way", size, oldSize)
	}
}

// TestManyDueChannelsAreReconciledBeforeTheyAreNamed is the same by the nodes' own
// plan, with rooms and all.
func TestManyDueChannelsAreReconciledBeforeTheyAreNamed(t *testing.T) {
	if testing.Short() {
		t.Skip("600 rooms")
	}
	all := authors(t, reconcileOver+44)
	one, two := newNode(t, ""), newNode(t, "")
	load := func(n *node) {
		var batch [][]byte
		for _, a := range all {
			batch = append(append(append(batch, a.founding), a.all...), a.head)
		}
		if err := n.ledger.Append(t.Context(), batch...); err != nil {
			t.Fatal(err)
		}
		for _, a := range all {
			if err := n.gossip.add(target{channel: a.id}, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	load(one)
	var late []*author
	for i := range 5 {
		all[i*50].release()
		late = append(late, all[i*50])
	}
	load(two)
	connect(t, one.host, two.host)
	one.gossip.plan.mu.Lock() // all are due at once, however slowly the machine goes
	l := one.gossip.plan.lanes[two.host.ID()]
	if l == nil {
		l = &lane{due: make(map[target]appointment)}
		one.gossip.plan.lanes[two.host.ID()] = l
	}
	for _, a := range all {
		l.due[target{channel: a.id}] = appointment{at: time.Now()}
	}
	one.gossip.plan.mu.Unlock()
	one.gossip.plan.poke()
	for _, a := range late {
		one.awaitAll(a)
	}
	one.awaitEvent("a reconciliation", func(e Event) bool { return e.Kind == EventReconciled && e.Peer == two.host.ID() })
	one.awaitEvent("word of a channel that is the same", func(e Event) bool {
		return e.Kind == EventSynced && e.Channel == all[1].id && e.Peer == two.host.ID()
	})
}

func TestPlanGivesAllThatIsDueToOneSessionNowAndThen(t *testing.T) {
	pl := newPlan(newConduct(), nil)
	pl.again = time.Minute
	fill := func(n int) {
		for i := range n {
			pl.want("peer", target{channel: channel.ID{byte(i), byte(i >> 8), 1}}, 0, false)
		}
		pl.want("peer", target{topic: "topic"}, 0, false)
	}
	later := time.Now()
	take := func() []want {
		later = later.Add(time.Second)
		_, targets, _ := pl.next(later)
		v, _ := newVisit(context.Background())
		pl.done("peer", v)
		return targets
	}
	fill(reconcileOver)
	if got := take(); len(got) != MaxKeys {
		t.Errorf("%d of %d channels", len(got), reconcileOver)
	}
	fill(reconcileOver + 1)
	if got := take(); len(got) != reconcileOver+1 || slices.ContainsFunc(got, func(w want) bool { return w.topic != "" }) {
		t.Errorf("%d of %d channels", len(got), reconcileOver+1)
	}
	fill(reconcileOver + 1)
	if got := take(); len(got) != MaxKeys {
		t.Errorf("%d channels soon after", len(got))
	}
	later = later.Add(time.Minute)
	if got := take(); len(got) != MaxKeys {
		t.Errorf("%d channels, of less than %d", len(got), reconcileOver)
	}
	fill(reconcileOver + 1)
	if got := take(); len(got) != reconcileOver+1 {
		t.Errorf("%d channels a minute later", len(got))
	}
}

func TestOneReconciliationPerPeerAndFewInAll(t *testing.T) {
	var r reconciling
	if !r.begin("a") || r.begin("a") {
		t.Error("a peer has one place")
	}
	for i := range maxReconciled - 1 {
		if !r.begin(peer.ID(fmt.Sprint("b", i))) {
			t.Errorf("no place for peer %d", i)
		}
	}
	if r.begin("c") {
		t.Error("more than there are places")
	}
	r.end("a")
	if !r.begin("c") {
		t.Error("a place that was given back")
	}
}

// numberedChannels are n that no ledger needs to know.
func numberedChannels(n int) []reconcile.Channel {
	out := make([]reconcile.Channel, n)
	for i := range out {
		out[i].ID = channel.ID{byte(i), byte(i >> 8), 7}
		out[i].Key, out[i].Rooted = out[i].ID.Discovery(), true
	}
	return out
}

func listing300(context.Context) ([]reconcile.Channel, error) { return numberedChannels(300), nil }

// asksAgainst runs the asking end of a reconciliation against answers.
func asksAgainst(t testing.TB, answers func(net.Conn)) (same, differ int, err error) {
	t.Helper()
	near, far := bufferedPipe()
	var done sync.WaitGroup
	done.Go(func() {
		defer far.Close()
		answers(far)
		_, _ = io.Copy(io.Discard, far)
	})
	p := newPuller(nil, &claims{}, near, time.Second, func(feed.Outcome) {})
	s, d, err := p.reconcile(numberedChannels(300))
	_ = near.Close()
	done.Wait()
	return len(s), len(d), err
}

// lies answers as an honest mirror would, after change.
func lies(change func(n int, t *told)) func(net.Conn) {
	return func(c net.Conn) {
		m := &mirror{channels: func(context.Context) ([]reconcile.Channel, error) {
			all := numberedChannels(300)
			for i := range all {
				all[i].Digest[0] = byte(i % 2)
			}
			return all, nil
		}}
		for n := 0; ; n++ {
			data, err := readFrame(c, maxRequest)
			if err != nil {
				return
			}
			r, err := decodeRequest(data)
			if err != nil {
				return
			}
			t, err := m.answer(context.Background(), r.Question)
			if err != nil {
				return
			}
			change(n, &t)
			if writeFrame(c, t, maxFrame, time.Second) != nil {
				return
			}
		}
	}
}

func TestHonestAnswersShowWhatIsTheSameAndWhatDiffers(t *testing.T) {
	same, differ, err := asksAgainst(t, lies(func(int, *told) {}))
	if same != 150 || differ != 150 || err != nil {
		t.Errorf("%d the same, %d differ, %v", same, differ, err)
	}
}

func TestADeclinedReconciliationIsNoLie(t *testing.T) {
	if _, _, err := asksAgainst(t, lies(func(_ int, t *told) { *t = told{} })); !errors.Is(err, errDeclined) {
		t.Error(err)
	}
}

func TestEveryLieInReconciliationIsMisbehaviour(t *testing.T) {
	for what, lie := range map[string]func(int, *told){
		"ranges without a salt": func(_ int, t *told) { t.Salt = nil },
		"a salt once more":      func(_ int, t *told) { t.Salt = new(reconcile.Half) },
		"no range": func(n int, t *told) {
			if n > 0 {
				t.Ranges = nil
			}
		},
		"a part that is empty and has a fingerprint": func(_ int, t *told) { clear(t.Ranges[0].Parts[:min(4, len(t.Ranges[0].Parts))]) },
		"half of the parts":                          func(_ int, t *told) { t.Ranges[0].Parts = t.Ranges[0].Parts[len(t.Ranges[0].Parts)/2:] },
		"items that are not in the range": func(n int, t *told) {
			if n > 0 {
				for i := range t.Ranges[0].Items {
					t.Ranges[0].Items[i] = 0xff
				}
			}
		},
		"65 ranges": func(_ int, t *told) { t.Ranges = make([]reconcile.Told, 65) },
	} {
		if _, _, err := asksAgainst(t, lies(lie)); !errors.Is(err, ErrMisbehaved) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, _, err := asksAgainst(t, func(c net.Conn) { _, _ = c.Write([]byte{0xff, 0, 0, 0}) }); !errors.Is(err, ErrMisbehaved) {
		t.Errorf("a frame over the limit: %v", err)
	}
	if _, _, err := asksAgainst(t, func(c net.Conn) { _, _ = c.Write([]byte{0, 0, 0, 1, 0xff}) }); !errors.Is(err, ErrMisbehaved) {
		t.Errorf("a frame that is no answer: %v", err)
	}
}

// TestALiarHidesOnlyWhatItHas: who says that all is as we have it is believed, and so
// tells us nothing; nothing of the ledger moves by it.
func TestALiarHidesOnlyWhatItHas(t *testing.T) {
	same, differ, err := asksAgainst(t, func(c net.Conn) {
		m := &mirror{channels: listing300}
		for {
			data, err := readFrame(c, maxRequest)
			if err != nil {
				return
			}
			r, err := decodeRequest(data)
			if err != nil {
				return
			}
			answer, err := m.answer(context.Background(), r.Question)
			if err != nil || writeFrame(c, answer, maxFrame, time.Second) != nil {
				return
			}
		}
	})
	if same != 300 || differ != 0 || err != nil {
		t.Errorf("%d the same, %d differ, %v", same, differ, err)
	}
}

func TestQuestionsOutOfPlaceEndTheStream(t *testing.T) {
	salt := new(reconcile.Half)
	open := question{Salt: salt, Ranges: []reconcile.Range{reconcile.First(300)}}
	whole := question{Ranges: []reconcile.Range{{Bits: 1}}}
	for what, questions := range map[string][]question{
		"before the opening": {whole},
		"a second opening":   {open, open},
		"all of 150":         {open, whole},
	} {
		m := &mirror{channels: listing300}
		var err error
		for _, q := range questions {
			if !q.check() {
				t.Fatalf("%s: a question that is malformed by itself", what)
			}
			_, err = m.answer(t.Context(), &q)
		}
		if err == nil {
			t.Errorf("%s: was answered", what)
		}
	}
	m := &mirror{channels: listing300}
	if _, err := m.answer(t.Context(), &open); err != nil {
		t.Fatal(err)
	}
	m.close()
	if _, err := m.answer(t.Context(), &question{Ranges: []reconcile.Range{{Bits: 10}}}); err == nil {
		t.Error("after the asker went on to something else")
	}
	m.opened = m.opened.Add(-2 * reconcileLife)
	if _, err := m.answer(t.Context(), &question{Ranges: []reconcile.Range{{Bits: 10}}}); err == nil {
		t.Error("after its time")
	}
}

// TestTheGreatestQuestionFitsARequest: what the asker may ask at most is no more than a
// request holds, and its answer no more than a frame.
func TestTheGreatestQuestionFitsARequest(t *testing.T) {
	var q question
	for i := range reconcile.MaxRanges {
		r := reconcile.Range{Prefix: 1<<60 - 1, Bits: 60}
		if i < 2 {
			r.Points = make([]byte, 16*reconcile.MaxPoints/2)
		}
		q.Ranges = append(q.Ranges, r)
	}
	data, err := dcbor.Marshal(request{Kind: askReconcile, Question: &q})
	if err != nil || len(data) > maxRequest {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	var a told
	for range reconcile.MaxRanges {
		a.Ranges = append(a.Ranges, reconcile.Told{Items: make([]byte, 32*reconcile.MaxItems)})
	}
	if data, err = dcbor.Marshal(a); err != nil || len(data) > maxFrame {
		t.Errorf("%d bytes, %v", len(data), err)
	}
	if c := (request{Kind: askReconcile, Question: &q}).cost(); c > askBurst || reconcileCost > askBurst {
		t.Errorf("a question that costs %d could never be answered", c)
	}
}

func FuzzDecodeTold(f *testing.F) {
	for _, x := range []told{
		{},
		{Salt: &reconcile.Half{1}, Ranges: []reconcile.Told{{Parts: make([]byte, 20*64)}}},
		{Ranges: []reconcile.Told{{Items: make([]byte, 32)}, {}}},
	} {
		data, err := dcbor.Marshal(x)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		x, err := decodeTold(data)
		if err != nil {
			if !errors.Is(err, channel.ErrMalformed) && !errors.Is(err, channel.ErrLimit) {
				t.Errorf("error of no kind: %v", err)
			}
			return
		}
		again, err := dcbor.Marshal(x)
		if err != nil || !bytes.Equal(again, data) {
			t.Errorf("%x became %x, %v", data, again, err)
		}
	})
}
