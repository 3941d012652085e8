package natsbridge

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestWhatIsHandedInIsHandedInUntilABridgeHasIt(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	author, bridge := newSite(t, "author", c.ID), newSite(t, "bridge", c.ID)
	author.append(c.Envelope)
	want := releases(c, 10)
	author.append(want...)
	cfg := author.config(s.ClientURL())
	cfg.Submit = true
	author.bridge(cfg)
	until(t, "it says that nobody is there", func() bool {
		for _, e := range author.saw(EventFailed) {
			if errors.Is(e.Err, ErrNoAnswer) {
				return true
			}
		}
		return false
	})
	bridge.bridge(bridge.config(s.ClientURL()))
	bridge.has(c)
	more := releases(c, 2)
	author.append(more...)
	author.append(c.Head(time.Hour))
	bridge.has(c)
	bridge.whole(c, append(want, more...))
	_, js := client(t, s.ClientURL())
	until(t, "all of it is in the stream", func() bool { return messages(t, js, streamManifests) == 13 })
}

func TestAnAnswerThatIsNoneHoldsNothingUp(t *testing.T) {
	t.Parallel()
	s := startServer(t, "", nil) // who only hands in needs no JetStream
	c := channeltest.NewChannel(t, "c")
	author := newSite(t, "author", c.ID)
	author.append(c.Envelope)
	author.append(releases(c, 1)...)
	nc, _ := client(t, s.ClientURL())
	answers := make(chan string, 8)
	for _, a := range []Answer{{Later: 1, Error: "busy"}, {Accepted: -7, Refused: 1, Error: "\x1b[31mno"}, {Known: 1}} {
		data, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		answers <- string(data)
	}
	answers <- "junk"
	heard := make(chan *nats.Msg, 8)
	if _, err := nc.Subscribe(newNames(DefaultNetwork).prefix+"in.*", func(m *nats.Msg) {
		a := "{}"
		select {
		case a = <-answers:
		default:
		}
		_ = m.Respond([]byte(a))
		select {
		case heard <- m:
		default:
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	cfg := author.config(s.ClientURL())
	cfg.Submit = true
	author.bridge(cfg)
	for i := range 3 {
		m := <-heard
		if m.Header.Get(headerID) != "" || m.Header.Get(headerHops) != "1" {
			t.Errorf("message %d has the headers %v", i, m.Header)
		}
	}
	until(t, "it says what was refused", func() bool { return len(author.saw(EventFailed)) > 0 })
}
