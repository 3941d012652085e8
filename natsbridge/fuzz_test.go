package natsbridge

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func FuzzSubject(f *testing.F) {
	n := newNames(DefaultNetwork)
	c := channeltest.NewChannel(f, "c")
	for _, s := range []string{
		n.root(c.ID, 1), n.manifest(c.ID, 0, 1, c.Key()), n.manifest(c.ID, 3, 1<<62, c.Key()), n.head(c.ID, c.Key()), n.snapshot(c.ID, c.Key()), n.fork(c.ID, channel.Hash{1}), n.of(kindIn, c.ID),
		"", "aml.v1.main.", "aml.v1.main.m", n.prefix + "m." + c.ID.String() + ".00.1." + c.Key().String(), n.root(c.ID, 1) + ".", strings.ToUpper(n.root(c.ID, 1)), n.root(c.ID, 1<<63),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sub, err := n.parse(s)
		if err != nil {
			return
		}
		var again string
		switch sub.kind {
		case kindRoot:
			again = n.root(sub.channel, sub.seq)
		case kindManifest:
			again = n.manifest(sub.channel, sub.epoch, sub.seq, sub.log)
		case kindHead:
			again = n.head(sub.channel, sub.log)
		case kindSnapshot:
			again = n.snapshot(sub.channel, sub.log)
		case kindFork:
			again = n.fork(sub.channel, sub.hash)
		case kindIn:
			again = n.of(kindIn, sub.channel)
		}
		if again != s {
			t.Errorf("%q is read as %q", s, again)
		}
	})
}

func FuzzHeaders(f *testing.F) {
	f.Add("left", "1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "x")
	f.Add("", "", "", "")
	f.Add("LEFT", "05", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "x")
	f.Add("a", "4", "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "Nats-Rollup")
	f.Fuzz(func(t *testing.T, origin, hops, trace, other string) {
		w, err := readWay(nats.Header{headerOrigin: {origin}, headerHops: {hops}, headerTrace: {trace}, other: {other}, "Nats-Rollup": {"all"}})
		if err != nil {
			return
		}
		next, ok := w.onward("self")
		if !ok {
			if w.hops < MaxHops {
				t.Errorf("%+v goes no further", w)
			}
			return
		}
		h := headers(digest{}, next)
		if len(h) != 4 {
			t.Errorf("what goes on has the headers %v", h)
		}
		again, err := readWay(h)
		if err != nil || again != next || again.hops != w.hops+1 || again.hops > MaxHops || !validTrace(again.trace) {
			t.Errorf("%+v goes on as %+v and is read as %+v: %v", w, next, again, err)
		}
	})
}

func FuzzInput(f *testing.F) {
	c := channeltest.NewChannel(f, "c")
	m := c.Files("a")
	both, err := encodeFork(c.Envelope, m)
	if err != nil {
		f.Fatal(err)
	}
	for _, data := range [][]byte{{}, {0x80}, {0x81, 0x40}, c.Envelope, m, both, both[:len(both)-1], {0x9f}, {0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
		f.Add(data)
	}
	n := newNames(DefaultNetwork)
	f.Fuzz(func(t *testing.T, data []byte) {
		all, err := decodeInput(data)
		if err == nil && len(data) > 0 && data[0]>>5 == 4 {
			size := 0
			for _, e := range all {
				size += len(e)
			}
			if len(all) == 0 || len(all) > MaxBundle || size >= len(data) {
				t.Errorf("%d bytes are %d envelopes of %d", len(data), len(all), size)
			}
		}
		for _, name := range []string{n.root(c.ID, 1), n.root(c.ID, 2), n.manifest(c.ID, 0, 1, c.Key()), n.head(c.ID, c.Key()), n.fork(c.ID, channel.Hash{})} {
			sub, err := n.parse(name)
			if err != nil {
				t.Fatal(err)
			}
			if sub.check(data) == nil && sub.kind == kindRoot && sub.seq == 1 && string(data) != string(c.Envelope) {
				// another envelope of the same payload: its signatures are the ledger's business
				env, err := channel.DecodeEnvelope(data)
				if err != nil || channel.IDOf(env.Payload) != c.ID {
					t.Errorf("%x passes for the founding root", data)
				}
			}
		}
	})
}

func FuzzDeadLetter(f *testing.F) {
	good, err := json.Marshal(DeadLetter{Kind: "fetch", ID: "abc", Payload: []byte("x"), Reason: "why", Deliveries: 5})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"kind":"fetch","id":"abc","reason":"\u001b[31m"}`))
	f.Add([]byte(`[]`))
	j := &Jobs{c: &Conn{names: newNames(DefaultNetwork)}}
	f.Fuzz(func(t *testing.T, data []byte) {
		d, ok := j.readDead(rawOn(j.c.names.job(kindDead, "fetch", "abc"), data))
		if ok && (d.Kind != "fetch" || d.ID != "abc" || len(d.Payload) > MaxJob || len(d.Reason) > maxReason || strings.ContainsAny(d.Reason, "\x1b\n\r")) {
			t.Errorf("%q is read as %+v", data, d)
		}
	})
}

// What is read as a snapshot with its pages is the same when it is written again.
func FuzzSnapshot(f *testing.F) {
	p := newPast(f, 5, 2)
	good, err := (bundle{envelope: p.snapshot, anchor: p.all[4], pages: p.pages}).encode()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:len(good)-1])
	f.Add([]byte{0x80})
	f.Add([]byte{0x83, 0x40, 0x40, 0x40})
	f.Fuzz(func(t *testing.T, data []byte) {
		b, err := decodeSnapshot(data)
		if err != nil {
			return
		}
		if again, err := b.encode(); err != nil && len(data) <= MaxMessage || err == nil && string(again) != string(data) {
			t.Errorf("%x is read, and written as %x, %v", data, again, err)
		}
	})
}
