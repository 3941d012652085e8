package natsbridge

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestAForgedMessageIDHidesNoRelease(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c, other := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "other")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	until(t, "the root crossed", func() bool { return right.info(c.ID).HasRoot })
	want := releases(c, 3)
	head := c.Head(time.Hour)
	// Who may write there knows the releases before the bridge sends them: he has
	// their ids noted for messages of a channel that nobody carries.
	_, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	for i, e := range append(append([][]byte{}, want...), head) {
		m := &nats.Msg{Subject: n.manifest(other.ID, 0, uint64(i+1), other.Key()), Data: []byte("x"), Header: nats.Header{}}
		if i == len(want) {
			m.Subject = n.head(other.ID, other.Key())
		}
		m.Header.Set(headerID, digestOf(e).String())
		if _, err := js.PublishMsg(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	left.append(want...)
	left.append(head)
	right.has(c)
	right.whole(c, want)
	until(t, "the head crossed too", func() bool { l := right.info(c.ID).Logs[0]; return l.Head != nil && l.Head.Seq == c.Seq })
}

func TestWhatLiesInThePlaceOfAReleaseIsTakenOut(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c, thief := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "thief")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	until(t, "the root crossed", func() bool { return right.info(c.ID).HasRoot })
	_, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	want := releases(c, 4)
	// The third is signed by a stranger in the name of the log, under a root that
	// nobody knows yet, so that nobody can say that it is wrong.
	m, err := manifestOf(want[2])
	if err != nil {
		t.Fatal(err)
	}
	m.Root = 99
	payload, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	env, err := channel.Sign(channel.TypeManifest, payload, channeltest.Key(thief.Name))
	forged := channeltest.Encode(t, env, err)
	for i, junk := range [][]byte{nil, []byte("junk"), forged, want[0]} {
		if _, err := js.Publish(t.Context(), n.manifest(c.ID, 0, uint64(i+1), c.Key()), junk); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(t.Context(), n.head(c.ID, c.Key()), []byte("junk")); err != nil {
		t.Fatal(err)
	}
	left.append(want...)
	left.append(c.Head(time.Hour))
	right.has(c)
	right.whole(c, want)
	until(t, "the head crossed too", func() bool { l := right.info(c.ID).Logs[0]; return l.Head != nil && l.Head.Seq == c.Seq })
	until(t, "what lies in the stream are the releases", func() bool {
		st, err := js.Stream(t.Context(), n.stream(streamManifests))
		if err != nil {
			t.Fatal(err)
		}
		for i := range want {
			at, err := st.GetLastMsgForSubject(t.Context(), n.manifest(c.ID, 0, uint64(i+1), c.Key()))
			if err != nil || string(at.Data) != string(want[i]) {
				return false
			}
		}
		return true
	})
}

func TestJunkOnEverySubjectChangesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c, other := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "other")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	want := releases(c, 3)
	left.append(want...)
	left.append(c.Head(time.Hour))
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	right.has(c)
	nc, _ := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	h := strings.Repeat("ab", 32)
	id := c.ID.String()
	subjects := []string{
		n.root(c.ID, 1), n.root(c.ID, 2), n.root(c.ID, 1<<62), n.prefix + "root." + id + ".01", n.prefix + "root." + id, n.prefix + "root.x.1", n.prefix + "root." + id + ".1.1",
		n.manifest(c.ID, 0, 1, c.Key()), n.manifest(c.ID, 0, 4, c.Key()), n.manifest(c.ID, 7, 4, c.Key()), n.manifest(c.ID, 0, 1<<62, c.Key()), n.manifest(other.ID, 0, 1, other.Key()),
		n.prefix + "m." + id + ".0.-1." + h, n.prefix + "m." + id + ".0.4", n.prefix + "m.x",
		n.head(c.ID, c.Key()), n.head(other.ID, other.Key()), n.head(c.ID, other.Key()), n.prefix + "head." + id, n.prefix + "head.x.y",
		n.snapshot(c.ID, c.Key()), n.snapshot(other.ID, other.Key()), n.snapshot(c.ID, other.Key()), n.prefix + "snap." + id, n.prefix + "snap.x.y",
		n.fork(c.ID, channel.Hash{}), n.prefix + "fork." + id + "." + h, n.prefix + "fork.x",
		n.of(kindIn, c.ID), n.of(kindIn, other.ID), n.prefix + "in.x", n.prefix + "in." + id + ".x",
		n.of(kindEvent, c.ID), n.prefix + "job.fetch." + h, n.prefix + "job.x", n.prefix + "dead.fetch." + h, "aml.v1", "aml.v1.main.>x", "aml.v2.main.m.x",
	}
	bundle, err := encodeFork(want[0], want[1]) // no fork: two releases that follow each other
	if err != nil {
		t.Fatal(err)
	}
	junk := [][]byte{nil, {0}, []byte("junk"), make([]byte, MaxMessage+1), bundle, other.Envelope, want[0][:len(want[0])-1], []byte(`{"a":1}`)}
	headers := []nats.Header{nil, {"Nats-Msg-Id": {"x"}, "Nats-Rollup": {"all"}}, {"Nats-Expected-Last-Sequence": {"0"}}, {headerHops: {"99"}, headerOrigin: {"left"}}, {headerOrigin: {strings.Repeat("x", 8<<10)}},
		{"Nats-TTL": {"1s"}}, {"Nats-Schedule": {"@every 1s"}}, {headerTrace: {"00-zz"}}}
	sent := 0
	for _, name := range subjects {
		if strings.Contains(name, ">x") {
			continue // nats.go refuses it
		}
		for i, data := range junk {
			m := &nats.Msg{Subject: name, Data: data, Header: headers[i%len(headers)]}
			if err := nc.PublishMsg(m); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			sent++
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	// After it the bridges do as before.
	more := releases(c, 3)
	left.append(more...)
	left.append(c.Head(time.Hour))
	right.has(c)
	right.whole(c, append(want, more...))
	for _, at := range []*site{left, right} {
		info := at.info(c.ID)
		if info.Forked || info.Root.Version != 1 || len(info.Logs) != 1 {
			t.Errorf("%s: %d messages of junk have changed what is known: %+v", at.name, sent, info)
		}
		if _, err := at.ledger.Channel(t.Context(), other.ID); err == nil {
			t.Errorf("%s knows a channel that it does not follow", at.name)
		}
	}
}

func TestUntrustedInputIsTakenInAsFromAStranger(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c, other := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "other")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	left.connected()
	nc, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	until(t, "the root crossed", func() bool { return right.info(c.ID).HasRoot })
	ask := func(data []byte, h nats.Header) (a Answer) {
		t.Helper()
		until(t, "a bridge answers", func() bool {
			m, err := nc.RequestMsg(&nats.Msg{Subject: n.of(kindIn, c.ID), Data: data, Header: h}, time.Second)
			if err != nil {
				return false
			}
			if err := json.Unmarshal(m.Data, &a); err != nil {
				t.Fatal(err)
			}
			return true
		})
		return a
	}
	m1 := c.Files("one")
	h1 := c.Head(time.Hour)
	bundle, err := encodeFork(m1, h1) // an array of two envelopes
	if err != nil {
		t.Fatal(err)
	}
	// Ids and orders to the stream come along; they go no further.
	if a := ask(bundle, nats.Header{"Nats-Msg-Id": {"forged"}, "Nats-Rollup": {"all"}, "Nats-Expected-Last-Sequence": {"7"}}); a.Accepted+a.Known != 2 || a.Error != "" && a.Known == 0 {
		t.Errorf("a release with its head: %+v", a)
	}
	left.has(c)
	right.has(c)
	m2 := c.Files("two")
	m3 := c.Files("three")
	if a := ask(m3, nil); a.Later != 1 || a.Accepted != 0 {
		t.Errorf("a release before its predecessor: %+v", a)
	}
	if a := ask(m2, nil); a.Accepted+a.Known != 1 {
		t.Errorf("its predecessor: %+v", a)
	}
	if a := ask(m3, nil); a.Accepted+a.Known != 1 {
		t.Errorf("a release after its predecessor: %+v", a)
	}
	for what, data := range map[string][]byte{"nothing": {}, "junk": []byte("junk"), "another channel's root": other.Envelope, "too much": make([]byte, MaxMessage+1), "cut": m1[:len(m1)-2]} {
		if a := ask(data, nil); a.Refused != 1 || a.Error == "" {
			t.Errorf("%s: %+v", what, a)
		}
	}
	right.has(c)
	stream, err := js.Stream(t.Context(), n.stream(streamManifests))
	if err != nil {
		t.Fatal(err)
	}
	until(t, "all are in the stream", func() bool { return messages(t, js, streamManifests) == 4 })
	for seq := uint64(1); seq <= 4; seq++ {
		m, err := stream.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		for k, v := range m.Header {
			switch k {
			case headerID, headerOrigin, headerHops, headerTrace, nats.ExpectedStreamHdr: // the last one is the bridge's own guard
			default:
				t.Errorf("message %d carries %s: %q", seq, k, v)
			}
		}
		if m.Header.Get(headerID) != digestOf(m.Data).String() {
			t.Errorf("message %d has the id %q", seq, m.Header.Get(headerID))
		}
	}
}

func TestAFloodOfInputIsHeldOff(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	left := newSite(t, "left", c.ID)
	left.append(c.Envelope)
	left.bridge(left.config(s.ClientURL()))
	left.connected()
	nc, _ := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	began := time.Now()
	for i := range 5000 {
		if err := nc.Publish(n.of(kindIn, c.ID), fmt.Appendf(nil, "junk %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	m1 := c.Files("one")
	until(t, "an honest one gets through", func() bool {
		m, err := nc.Request(n.of(kindIn, c.ID), m1, time.Second)
		var a Answer
		return err == nil && json.Unmarshal(m.Data, &a) == nil && a.Accepted+a.Known == 1
	})
	looked, most := 0, inputBurst+inputQueue+int(time.Since(began).Seconds()+1)*inputRate
	for _, e := range left.saw(EventJunk) {
		looked += e.Count
	}
	if looked > most {
		t.Errorf("%d of 5000 messages were looked at, want at most %d", looked, most)
	}
	if n := len(left.saw(EventJunk)); n > 100 {
		t.Errorf("5000 messages of junk were told of in %d events", n)
	}
}
