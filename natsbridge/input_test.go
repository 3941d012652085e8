package natsbridge

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestAStrangerDoesNotChooseWhereABridgeWrites(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c, other := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "other")
	left := newSite(t, "left", c.ID)
	left.append(c.Envelope)
	cfg := left.config(s.ClientURL())
	cfg.Server.Inbox = "_INBOX_bridge"
	left.bridge(cfg)
	nc, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	until(t, "the root is there", func() bool { return messages(t, js, streamManifests) == 1 })
	heard, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	for _, reply := range []string{
		n.manifest(c.ID, 0, 7, c.Key()), n.head(c.ID, other.Key()), n.of(kindEvent, c.ID), "$JS.API.STREAM.PURGE." + n.stream(streamHeads), "$O.aml_main_blobs.M.x",
		"_INBOX_bridge.x", "_INBOX_bridge", "_INBOXES.x", "x._INBOX.y",
	} {
		if err := nc.PublishMsg(&nats.Msg{Subject: n.of(kindIn, c.ID), Reply: reply, Data: []byte("junk")}); err != nil {
			t.Fatal(err)
		}
	}
	// The last one is answered, and input is taken in turn.
	until(t, "who asks is answered", func() bool {
		m, err := nc.Request(n.of(kindIn, c.ID), []byte("junk"), time.Second)
		var a Answer
		return err == nil && json.Unmarshal(m.Data, &a) == nil && a.Refused == 1
	})
	for {
		m, err := heard.NextMsg(time.Millisecond)
		if err != nil {
			break
		}
		if strings.Contains(string(m.Data), `"refused":1`) && !strings.HasPrefix(m.Subject, "_INBOX.") {
			t.Errorf("%s on %s", m.Data, m.Subject)
		}
	}
	if a, b := everWritten(t, js, streamManifests), everWritten(t, js, streamHeads); a != 1 || b != 0 {
		t.Errorf("%d messages were written to MANIFESTS and %d to HEADS, want 1 and none", a, b)
	}
}

func TestWhoHandsInNeedsAnInboxThatIsAnswered(t *testing.T) {
	t.Parallel()
	cfg := newSite(t, "author").config("nats://127.0.0.1:4222")
	cfg.Submit, cfg.Server.Inbox = true, "answers"
	if _, err := New(cfg); !errors.Is(err, ErrConfig) {
		t.Errorf("an inbox that no bridge answers on: %v", err)
	}
	cfg.Server.Inbox = "_INBOX_author"
	if _, err := New(cfg); err != nil {
		t.Error(err)
	}
}

func TestAForgedCountOfHopsKeepsNoReleaseBack(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	left.bridge(left.config(s.ClientURL()))
	left.connected()
	cfg := right.config(s.ClientURL())
	cfg.ReadOnly = true
	right.bridge(cfg)
	until(t, "the root crossed", func() bool { return right.info(c.ID).HasRoot })
	nc, _ := client(t, s.ClientURL())
	want := releases(c, 2)
	hand := func(data []byte) {
		t.Helper()
		until(t, "a bridge takes it", func() bool {
			m, err := nc.RequestMsg(&nats.Msg{Subject: newNames(DefaultNetwork).of(kindIn, c.ID), Data: data, Header: nats.Header{headerHops: {"4"}}}, time.Second)
			var a Answer
			return err == nil && json.Unmarshal(m.Data, &a) == nil && a.Accepted+a.Known == 1
		})
	}
	hand(want[0]) // before the bridge has it
	left.append(want[1])
	hand(want[1]) // when it has it already
	head := c.Head(time.Hour)
	hand(head)
	right.has(c)
	until(t, "the head crossed too", func() bool { l := right.info(c.ID).Logs[0]; return l.Head != nil && l.Head.Seq == c.Seq })
}
