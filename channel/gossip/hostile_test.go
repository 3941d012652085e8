package gossip

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/codec/dcbor"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// errEnd is what a net.Pipe says when the other end has closed.
var errEnd = io.ErrClosedPipe

// send writes frames as they are.
func send(c io.Writer, answers ...answer) {
	for _, a := range answers {
		data, err := dcbor.Marshal(a)
		if err != nil {
			panic(err)
		}
		var head [4]byte
		binary.BigEndian.PutUint32(head[:], uint32(len(data)))
		if _, err := c.Write(append(head[:], data...)); err != nil {
			return
		}
	}
}

// skip reads and drops one request.
func skip(c io.Reader) { _, _ = readFrame(c, maxRequest) }

// attacks are answering ends that lie. Each says with which error the asking
// end must end, and is free to say part of the truth before.
func attacks(t testing.TB, a *author) map[string]struct {
	want error
	run  func(net.Conn)
} {
	stranger := newAuthor(t, "stranger")
	stranger.release()
	key := a.id.Discovery()
	truth := section{Key: key, Root: 1, Hash: firstRoot(a.id), Logs: []logState{{Log: a.key.Public(), Seq: a.seq, Hash: a.prev}}, Items: [][]byte{a.head}}
	with := func(change func(*section)) section {
		s := truth
		change(&s)
		return s
	}
	heads := func(c net.Conn) { skip(c); send(c, answer{Sections: []section{truth}}) }
	items := func(es ...[]byte) answer { return answer{Sections: []section{{Key: key, Items: es}}} }
	roots := func(c net.Conn) { heads(c); skip(c); skip(c); send(c, items(a.founding)) }
	_, forged := a.manifest(1, channel.Hash{}, "forged")
	forged = bytes.Replace(forged, []byte("forged"), []byte("farged"), 1)

	type attack = struct {
		want error
		run  func(net.Conn)
	}
	return map[string]attack{
		"garbage": {ErrMisbehaved, func(c net.Conn) {
			skip(c)
			junk := make([]byte, 4096)
			_, _ = rand.Read(junk)
			copy(junk, []byte{0, 0, 8, 0})
			_, _ = c.Write(junk)
		}},
		"a frame without bytes": {ErrMisbehaved, func(c net.Conn) { skip(c); _, _ = c.Write(make([]byte, 4)) }},
		"a frame of 4 GiB":      {ErrMisbehaved, func(c net.Conn) { skip(c); _, _ = c.Write([]byte{255, 255, 255, 255}) }},
		"another channel": {ErrMisbehaved, func(c net.Conn) {
			skip(c)
			send(c, answer{Sections: []section{{Key: stranger.id.Discovery(), Root: 1, Hash: firstRoot(stranger.id)}}})
		}},
		"the same channel twice": {ErrMisbehaved, func(c net.Conn) {
			skip(c)
			send(c, answer{Sections: []section{truth}, More: true}, answer{Sections: []section{truth}})
		}},
		"no root":           {ErrMisbehaved, func(c net.Conn) { skip(c); send(c, answer{Sections: []section{with(func(s *section) { s.Root = 0 })}}) }},
		"nothing, for ever": {ErrMisbehaved, func(c net.Conn) { skip(c); send(c, answer{More: true}, answer{More: true}) }},
		"a log twice": {ErrMisbehaved, func(c net.Conn) {
			skip(c)
			send(c, answer{Sections: []section{with(func(s *section) { s.Logs = append(s.Logs, s.Logs[0]) })}})
		}},
		"a head with a bad sig": {ErrMisbehaved, func(c net.Conn) {
			skip(c)
			send(c, answer{Sections: []section{{Key: key, Root: 1, Hash: firstRoot(a.id), Items: [][]byte{flip(a.head)}}}})
			skip(c)
			send(c, items(a.founding))
		}},
		"a fork that is none": {ErrMisbehaved, func(c net.Conn) {
			skip(c)
			send(c, answer{Sections: []section{{Key: key, Root: 1, Hash: firstRoot(a.id), Forks: []fork{{A: a.all[0], B: a.all[1]}}}}})
			skip(c)
			send(c, items(a.founding))
		}},
		"a stranger's root":       {ErrMisbehaved, func(c net.Conn) { heads(c); skip(c); skip(c); send(c, items(stranger.founding)) }},
		"a root too many":         {ErrMisbehaved, func(c net.Conn) { heads(c); skip(c); skip(c); send(c, items(a.founding, a.founding)) }},
		"a stranger's manifest":   {ErrMisbehaved, func(c net.Conn) { roots(c); send(c, items(stranger.all[0])) }},
		"a forged manifest":       {ErrMisbehaved, func(c net.Conn) { roots(c); send(c, items(forged)) }},
		"a head for a manifest":   {ErrMisbehaved, func(c net.Conn) { roots(c); send(c, items(a.head)) }},
		"the second first":        {ErrMisbehaved, func(c net.Conn) { roots(c); send(c, items(a.all[1], a.all[0])) }},
		"the first again":         {ErrMisbehaved, func(c net.Conn) { roots(c); send(c, items(a.all[0], a.all[0])) }},
		"more than asked for":     {ErrMisbehaved, func(c net.Conn) { roots(c); send(c, items(append(a.all, a.all...)...)) }},
		"empty frames, for ever":  {ErrMisbehaved, func(c net.Conn) { roots(c); send(c, answer{More: true}) }},
		"more than there can be":  {ErrMisbehaved, func(c net.Conn) { roots(c); f := items(a.all...); f.More = true; send(c, f) }},
		"an end in mid-frame":     {errEnd, func(c net.Conn) { roots(c); _, _ = c.Write([]byte{0, 0, 1, 0, 1, 2, 3}); _ = c.Close() }},
		"an end between frames":   {errEnd, func(c net.Conn) { roots(c); f := items(a.all[0]); f.More = true; send(c, f); _ = c.Close() }},
		"that it does not follow": {ErrNotFollowed, func(c net.Conn) { skip(c); send(c, answer{}) }},
	}
}

func flip(data []byte) []byte {
	data = bytes.Clone(data)
	data[len(data)-1] ^= 1
	return data
}

func TestLyingPeerIsCaught(t *testing.T) {
	a := newAuthor(t, "attacked")
	a.release()
	a.release()
	a.release()
	for name, attack := range attacks(t, a) {
		t.Run(name, func(t *testing.T) {
			l := following(t, a)
			err := wire(t, l, a, 5*time.Second, attack.run)
			if !errors.Is(err, attack.want) && !(attack.want == errEnd && errors.Is(err, io.ErrUnexpectedEOF)) {
				t.Errorf("got %v, want %v", err, attack.want)
			}
			// Whatever the lie was, an honest peer completes it afterwards.
			if err := wire(t, l, a, 5*time.Second, func(c net.Conn) { honest(c, holding(t, a), 9) }); err != nil {
				t.Errorf("honest peer afterwards: %v", err)
			}
			if l.seq(a) != 3 {
				t.Errorf("have %d releases, want 3", l.seq(a))
			}
		})
	}
}

func TestPeerWithLessThanItSaysIsNoLiar(t *testing.T) {
	a := newAuthor(t, "pruned")
	a.release()
	a.release()
	short := following(t, a)
	_ = short.offer(a.founding, false)
	_ = short.offer(a.all[0], false)
	_ = short.offer(a.head, false) // a claim: it heard of the second release
	l := following(t, a)
	if err := wire(t, l, a, time.Second, func(c net.Conn) { honest(c, short, 9) }); err != nil {
		t.Errorf("incomplete peer: %v", err)
	}
	if l.seq(a) != 1 {
		t.Errorf("have %d releases, want 1", l.seq(a))
	}
}

func TestSlowMirrorThatIsSilentIsCutOff(t *testing.T) {
	a := newAuthor(t, "silent")
	a.release()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := wire(t, following(t, a), a, 15*time.Second, skip2)
		if took := time.Since(start); err == nil || took > 16*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func skip2(c net.Conn) { skip(c) }

func TestSlowMirrorThatDripsIsCutOff(t *testing.T) {
	a := newAuthor(t, "drip")
	a.release()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		err := wire(t, following(t, a), a, 15*time.Second, func(c net.Conn) {
			skip(c)
			_, _ = c.Write([]byte{0, 16, 0, 0})
			for range 1 << 20 { // a byte a second would take twelve days
				<-time.After(time.Second)
				if _, err := c.Write([]byte{0x80}); err != nil {
					return
				}
			}
		})
		if took := time.Since(start); err == nil || took > 25*time.Second {
			t.Errorf("after %s: %v", took, err)
		}
	})
}

func TestSlowMirrorThatIsHonestIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAuthor(t, "modem")
		for range 300 {
			a.release()
		}
		full := holding(t, a)
		l := following(t, a)
		err := wire(t, l, a, 15*time.Second, func(c net.Conn) {
			near, far := bufferedPipe()
			go func() { honest(far, full, 9); _ = far.Close() }()
			go func() { _, _ = io.Copy(near, c); _ = near.Close() }()
			buf := make([]byte, 2048)
			for { // 20 KiB a second
				n, err := near.Read(buf)
				if err != nil {
					return
				}
				<-time.After(time.Duration(n) * time.Second / (20 << 10))
				if _, err := c.Write(buf[:n]); err != nil {
					return
				}
			}
		})
		if err != nil || l.seq(a) != 300 {
			t.Errorf("have %d releases, want 300; %v", l.seq(a), err)
		}
	})
}

func TestServerCutsOffWhoBreaksTheRules(t *testing.T) {
	a := newAuthor(t, "served")
	a.release()
	l := holding(t, a)
	key := a.id.Discovery()
	log := a.key.Public()
	bad := map[string]request{
		"no kind":                    {Keys: []channel.Hash{key}},
		"no keys":                    {Kind: askHeads},
		"the same key twice":         {Kind: askHeads, Keys: []channel.Hash{key, key}},
		"too many keys":              {Kind: askHeads, Keys: make([]channel.Hash, MaxKeys+1)},
		"heads with a range":         {Kind: askHeads, Keys: []channel.Hash{key}, From: 1, To: 2},
		"roots from 0":               {Kind: askRoots, Keys: []channel.Hash{key}, From: 0, To: 2},
		"roots backwards":            {Kind: askRoots, Keys: []channel.Hash{key}, From: 3, To: 2},
		"too many manifests":         {Kind: askManifests, Keys: []channel.Hash{key}, Log: &log, From: 1, To: 1 + MaxRange},
		"all manifests there can be": {Kind: askManifests, Keys: []channel.Hash{key}, Log: &log, From: 1, To: 1<<64 - 1},
		"manifests of no log":        {Kind: askManifests, Keys: []channel.Hash{key}, From: 1, To: 2},
		"a topic and a log":          {Kind: askListing, Keys: []channel.Hash{key}, Log: &log},
	}
	for name, r := range bad {
		t.Run(name, func(t *testing.T) {
			near, far := bufferedPipe()
			go func() { honest(far, l, 9); _ = far.Close() }()
			_ = writeFrame(near, r, 1<<20, time.Second)
			if data, err := readFrame(near, maxFrame); err == nil {
				t.Errorf("got an answer: %x", data)
			}
			_ = near.Close()
		})
	}
}

func TestServerSaysNothingOfWhatItDoesNotFollow(t *testing.T) {
	a, other := newAuthor(t, "known"), newAuthor(t, "unknown")
	a.release()
	l := holding(t, a)
	near, far := bufferedPipe()
	go func() { honest(far, l, 9); _ = far.Close() }()
	defer near.Close()
	log := other.key.Public()
	for _, r := range []request{
		{Kind: askHeads, Keys: []channel.Hash{other.id.Discovery()}},
		{Kind: askRoots, Keys: []channel.Hash{other.id.Discovery()}, From: 1, To: 9},
		{Kind: askManifests, Keys: []channel.Hash{other.id.Discovery()}, Log: &log, From: 1, To: 9},
		{Kind: askListing, Keys: []channel.Hash{channel.TopicKey("unknown")}},
	} {
		if err := writeFrame(near, r, maxRequest, time.Second); err != nil {
			t.Fatal(err)
		}
		data, err := readFrame(near, maxFrame)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeAnswer(data)
		if err != nil || len(got.Sections) != 0 || got.More {
			t.Errorf("request of kind %d: %+v, %v", r.Kind, got, err)
		}
	}
}

// hostileHost answers sync with run, and is in the gossip of the channel.
func hostileHost(t testing.TB, id channel.ID, run func(net.Conn)) (host.Host, *pubsub.Topic) {
	t.Helper()
	h := newHost(t)
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	cfg := Config{Host: h, Ledger: newFakeLedger()}
	ps, err := newMesh(ctx, cfg, newSubFilter(), newConduct(), newGrafts())
	if err != nil {
		t.Fatal(err)
	}
	topic, err := ps.Join(channelRoomName(id))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Relay(); err != nil {
		t.Fatal(err)
	}
	if run != nil {
		h.SetStreamHandler(SyncProtocol, func(s network.Stream) {
			run(streamConn{s})
			_, _ = io.Copy(io.Discard, s) // a reset could overtake what was sent
			_ = s.Reset()
		})
	}
	return h, topic
}

// streamConn makes a net.Conn of a stream, for the attacks.
type streamConn struct{ network.Stream }

func (streamConn) LocalAddr() net.Addr  { return nil }
func (streamConn) RemoteAddr() net.Addr { return nil }

func TestHonestDeliveryGoesOnAmongHostilePeers(t *testing.T) {
	a := newAuthor(t, "besieged")
	a.release()
	a.release()
	a.release()
	mirror := newNode(t, "")
	if err := mirror.ledger.Append(t.Context(), append([][]byte{a.founding}, append(a.all, a.head)...)...); err != nil {
		t.Fatal(err)
	}
	n := newNode(t, "")
	var hints []peer.AddrInfo
	for _, attack := range attacks(t, a) {
		h, _ := hostileHost(t, a.id, attack.run)
		hints = append(hints, infoOf(h))
	}
	stalled := make(chan struct{})
	t.Cleanup(func() { close(stalled) })
	for range 3 {
		h, _ := hostileHost(t, a.id, func(c net.Conn) { skip(c); <-stalled })
		hints = append(hints, infoOf(h))
	}
	for _, h := range hints {
		ctx, cancel := context.WithTimeout(t.Context(), waitLimit)
		if err := n.host.Connect(ctx, h); err != nil {
			t.Fatal(err)
		}
		cancel()
	}
	n.follow(a, mirror)
	n.awaitAll(a)
	mirror.follow(a)
	a.publish(mirror, 1)
	n.awaitAll(a)
	// Some lies are heard only by who still has something to ask. These are
	// told at once, to everybody.
	n.await("liars to be found out", func() bool {
		return n.count(func(e Event) bool { return e.Kind == EventMisbehaved }) >= 5
	})
}

func TestSpamByNonPublishersIsPenalisedAndDoesNotStopTheHonest(t *testing.T) {
	a := newAuthor(t, "garbage")
	publisher := newNode(t, "")
	a.publish(publisher, 1)
	tr := &tracer{rejected: make(chan rejection, 1024)}
	n := newNode(t, "", func(c *Config) { c.tracer = tr })
	connect(t, n.host, publisher.host)
	n.follow(a)
	n.awaitAll(a)
	publisher.awaitFollower(a.id, n)

	h, topic := hostileHost(t, a.id, nil)
	connect(t, h, n.host)
	n.awaitEvent("the hostile one", func(e Event) bool { return e.Kind == EventFollower && e.Peer == h.ID() })
	events, err := topic.EventHandler()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := events.NextPeerEvent(t.Context()); err != nil {
		t.Fatal(err)
	}

	other := newAuthor(t, "elsewhere")
	foreign, _ := other.release()
	env, _ := a.manifest(2, a.prev, "tampered with")
	env.Signatures[0].Sig[3] ^= 1
	tampered := encode(t, env, nil)
	messages := [][]byte{[]byte("garbage"), {0x80}, bundle(t, []byte("no envelope")), bundle(t, foreign), bundle(t, tampered), bundle(t, flip(a.all[0]))}
	for i := range 4 {
		messages = append(messages, []byte(fmt.Sprintf("garbage %d", i)))
	}
	for _, m := range messages {
		if err := topic.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	// Six invalid ones cost 3,600, and the peer is not listened to any more.
	for i := range 6 {
		select {
		case r := <-tr.rejected:
			if r.from != h.ID() || r.reason != pubsub.RejectValidationFailed {
				t.Errorf("message %d: %s from %s", i, r.reason, r.from)
			}
		case <-time.After(waitLimit):
			t.Fatalf("only %d messages were rejected", i)
		}
	}
	a.publish(publisher, 2)
	n.awaitAll(a)
}

func TestWhatDependsOnOurStateIsNotPunished(t *testing.T) {
	a := newAuthor(t, "innocent")
	publisher := newNode(t, "")
	a.publish(publisher, 3)
	tr := &tracer{rejected: make(chan rejection, 1024)}
	n := newNode(t, "", func(c *Config) { c.tracer = tr })
	connect(t, n.host, publisher.host)
	n.follow(a)
	n.awaitAll(a)
	h, topic := hostileHost(t, a.id, nil)
	connect(t, h, n.host)
	n.awaitEvent("the peer", func(e Event) bool { return e.Kind == EventFollower && e.Peer == h.ID() })
	events, err := topic.EventHandler()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := events.NextPeerEvent(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, far := a.manifest(99, a.prev, "far ahead")
	a.issued = channel.TimeOf(time.Now().Add(24 * time.Hour))
	_, future := a.manifest(4, a.prev, "tomorrow's")
	messages := [][]byte{bundle(t, far), bundle(t, future), bundle(t, a.all[1], a.all[0]), bundle(t, a.all[0], a.all[1])}
	for _, m := range messages {
		if err := topic.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	// The last two may be passed on, where sync was quicker than gossip.
	for i := range len(messages) - 2 {
		select {
		case r := <-tr.rejected:
			if r.reason != pubsub.RejectValidationIgnored {
				t.Errorf("message %d: %s", i, r.reason)
			}
		case <-time.After(waitLimit):
			t.Fatalf("message %d was not decided about", i)
		}
	}
}

func bundle(t testing.TB, envelopes ...[]byte) []byte {
	t.Helper()
	data, err := EncodeBundle(envelopes...)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

type rejection struct {
	from   peer.ID
	reason string
}

// tracer hears what gossipsub rejects and ignores.
type tracer struct {
	noTrace
	rejected chan rejection
}

func (t *tracer) RejectMessage(m *pubsub.Message, reason string) {
	t.rejected <- rejection{m.ReceivedFrom, reason}
}
