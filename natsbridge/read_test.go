package natsbridge

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

// newer is a statement of a version that nobody knows, signed by a stranger.
func newer(t *testing.T, typ string) []byte {
	t.Helper()
	env, err := channel.Sign(typ, []byte{0xa1, 1, 2}, channeltest.Key("thief"))
	return channeltest.Encode(t, env, err)
}

// resigned is a statement in an envelope that a stranger alone has signed.
func resigned(t *testing.T, data []byte) []byte {
	t.Helper()
	env, err := channel.DecodeEnvelope(data)
	if err != nil {
		t.Fatal(err)
	}
	env, err = channel.Sign(env.Type, env.Payload, channeltest.Key("thief"))
	return channeltest.Encode(t, env, err)
}

func (s *site) hasHead(c *channeltest.Channel) {
	s.t.Helper()
	s.has(c)
	until(s.t, s.name+" has the newest head", func() bool {
		l := s.info(c.ID).Logs[0]
		return l.Head != nil && l.Head.Seq == c.Seq && l.Head.Hash == c.Hash
	})
}

// passed waits until a site's own consumer has nothing more of a stream.
func (s *site) passed(js jetstream.JetStream, what string) {
	s.t.Helper()
	until(s.t, s.name+" has passed what lies in "+what, func() bool {
		st, err := js.Stream(s.t.Context(), newNames(DefaultNetwork).stream(what))
		if err != nil {
			return false
		}
		for l := st.ListConsumers(s.t.Context()); ; {
			i, ok := <-l.Info()
			if !ok {
				return false
			}
			if i.Config.Durable != "" && i.Config.Durable == s.consumer() {
				return i.NumAckPending == 0 && i.NumPending == 0
			}
		}
	})
}

func TestAVersionThatNobodyKnowsHidesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	until(t, "the root crossed", func() bool { return right.info(c.ID).HasRoot })
	_, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	for name, data := range map[string][]byte{
		n.manifest(c.ID, 0, 2, c.Key()): newer(t, channel.TypeManifest), n.head(c.ID, c.Key()): newer(t, channel.TypeHead),
		n.manifest(c.ID, 5, 3, c.Key()): newer(t, channel.TypeManifest), n.root(c.ID, 2): newer(t, channel.TypeRoot),
	} {
		if _, err := js.Publish(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []*site{left, right} {
		at.passed(js, streamManifests)
		at.passed(js, streamHeads)
	}
	want := releases(c, 4)
	left.append(want...)
	left.append(c.Head(time.Hour))
	right.hasHead(c)
	right.whole(c, want)
	left.append(c.Replace(func(*channel.Root) {}))
	until(t, "the next root crossed", func() bool { return right.info(c.ID).Root.Version == 2 })
	// And so it is when it comes after them.
	if _, err := js.Publish(t.Context(), n.head(c.ID, c.Key()), newer(t, channel.TypeHead)); err != nil {
		t.Fatal(err)
	}
	late := newSite(t, "late", c.ID)
	late.bridge(late.config(s.ClientURL()))
	late.hasHead(c)
}

func TestWhatCameBeforeAChannelIsBridgedHidesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c, x := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "x")
	left, right := newSite(t, "left", x.ID), newSite(t, "right", x.ID)
	left.append(x.Envelope)
	left.append(releases(x, 1)...)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	right.has(x)
	_, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	want := releases(c, 4)
	head := c.Head(time.Hour)
	for name, data := range map[string][]byte{
		n.root(c.ID, 1): resigned(t, c.Envelope), n.manifest(c.ID, 0, 1, c.Key()): resigned(t, want[0]), n.manifest(c.ID, 0, 2, c.Key()): []byte("junk"),
		n.manifest(c.ID, 9, 3, c.Key()): []byte("junk"), n.manifest(c.ID, 0, 4, c.Key()): newer(t, channel.TypeManifest), n.head(c.ID, c.Key()): resigned(t, head),
	} {
		if _, err := js.Publish(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
	}
	for _, at := range []*site{left, right} { // neither carries it
		at.passed(js, streamManifests)
		at.passed(js, streamHeads)
	}
	left.append(c.Envelope)
	left.append(want...)
	left.append(head)
	left.follow(c.ID)
	right.follow(c.ID)
	right.hasHead(c)
	right.whole(c, want)
}

func TestAChannelThatIsBridgedLaterIsReadWithItsHeads(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c, x := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "x")
	left, right := newSite(t, "left", c.ID, x.ID), newSite(t, "right", x.ID)
	for _, of := range []*channeltest.Channel{c, x} {
		left.append(of.Envelope)
		left.append(releases(of, 3)...)
		left.append(of.Head(time.Hour))
	}
	left.bridge(left.config(s.ClientURL()))
	cfg := right.config(s.ClientURL())
	cfg.ReadOnly = true
	left.connected()
	_, js := client(t, s.ClientURL())
	until(t, "all is in the streams", func() bool { return messages(t, js, streamManifests) == 8 && messages(t, js, streamHeads) == 2 })
	left.stop()
	right.bridge(cfg)
	right.hasHead(x)
	right.passed(js, streamManifests)
	right.passed(js, streamHeads)
	right.follow(c.ID)
	right.hasHead(c)
	// Also by the next run.
	right.stop()
	d := channeltest.NewChannel(t, "d")
	left.follow(d.ID)
	left.append(d.Envelope)
	left.append(releases(d, 2)...)
	left.append(d.Head(time.Hour))
	left.bridge(left.config(s.ClientURL()))
	until(t, "the next one is there too", func() bool { return messages(t, js, streamManifests) == 11 && messages(t, js, streamHeads) == 3 })
	right.bridge(cfg)
	right.passed(js, streamManifests)
	right.passed(js, streamHeads)
	right.stop()
	right.follow(d.ID)
	right.bridge(cfg)
	right.hasHead(d)
}

func TestJunkInAGapKeepsNobodyFromAsking(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	right := newSite(t, "right", c.ID)
	_, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	for _, st := range []jetstream.StreamConfig{n.manifests(1), n.heads(1)} {
		if _, err := js.CreateStream(t.Context(), st); err != nil {
			t.Fatal(err)
		}
	}
	all := releases(c, 4)
	asked := make(chan struct{}, 1)
	cfg := right.config(s.ClientURL())
	cfg.ReadOnly = true // what lies there stays
	cfg.Sync = func(ctx context.Context, _ channel.ID) error {
		select {
		case asked <- struct{}{}:
		default:
		}
		_, err := right.ledger.OfferAll(ctx, all[1:2])
		return err
	}
	for name, data := range map[string][]byte{n.root(c.ID, 1): c.Envelope, n.manifest(c.ID, 0, 2, c.Key()): []byte("junk"), n.manifest(c.ID, 0, 1, c.Key()): all[0], n.manifest(c.ID, 0, 3, c.Key()): all[2], n.manifest(c.ID, 0, 4, c.Key()): all[3]} {
		if _, err := js.Publish(t.Context(), name, data); err != nil {
			t.Fatal(err)
		}
	}
	right.bridge(cfg)
	until(t, "aml's own network is asked", func() bool { return len(asked) > 0 })
	right.has(c)
	right.whole(c, all)
}

func TestARootOfAnotherChannelHidesNone(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c, x := channeltest.NewChannel(t, "c"), channeltest.NewChannel(t, "x")
	left, right := newSite(t, "left", c.ID, x.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	left.append(x.Envelope)
	next := x.Replace(func(*channel.Root) {})
	left.append(next) // it is what left has put there itself
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	_, js := client(t, s.ClientURL())
	until(t, "the roots are there", func() bool { return messages(t, js, streamManifests) == 3 })
	if _, err := js.Publish(t.Context(), newNames(DefaultNetwork).root(c.ID, 2), next); err != nil {
		t.Fatal(err)
	}
	left.passed(js, streamManifests)
	left.append(c.Replace(func(*channel.Root) {}))
	until(t, "the next root crossed", func() bool { return right.info(c.ID).Root.Version == 2 })
}
