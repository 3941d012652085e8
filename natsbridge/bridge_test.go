package natsbridge

import (
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/channeltest"
)

func TestReleasesGoBothWaysBetweenLedgersThatKnowNothingElseOfEachOther(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	a, b := channeltest.NewChannel(t, "a"), channeltest.NewChannel(t, "b")
	left, right := newSite(t, "left", a.ID, b.ID), newSite(t, "right", a.ID, b.ID)
	before := releases(a, 5)
	left.append(a.Envelope)
	left.append(before...)
	left.append(a.Head(time.Hour))
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	right.has(a)
	right.append(b.Envelope)
	there := releases(b, 3)
	right.append(there...)
	right.append(b.Head(time.Hour))
	left.has(b)
	after := releases(a, 100) // more than one window
	left.append(after...)
	left.append(a.Head(time.Hour))
	right.has(a)
	right.whole(a, append(before, after...))
	left.whole(b, there)
	until(t, "the newest heads are everywhere", func() bool {
		for _, at := range []*site{left, right} {
			for _, c := range []*channeltest.Channel{a, b} {
				l := at.info(c.ID).Logs[0]
				if l.Head == nil || l.Head.Seq != c.Seq {
					return false
				}
			}
		}
		return true
	})
	_, js := client(t, s.ClientURL())
	if n := messages(t, js, streamManifests); n != 2+105+3 {
		t.Errorf("%d messages in the stream, want one for each root and release", n)
	}
	until(t, "one head for each log", func() bool { return messages(t, js, streamHeads) == 2 })
}

func TestARootThatRevokesCrosses(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	left.append(releases(c, 3)...)
	good, hash := c.Seq, c.Hash
	left.append(releases(c, 2)...)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	right.has(c)
	left.append(c.Replace(func(r *channel.Root) {
		r.Publishers = []channel.Publisher{{Key: channeltest.Pub("next"), Role: channel.RolePublish}}
		r.Revoked = []channel.Revoked{{Key: c.Key(), Seq: good, Hash: hash}}
	}))
	until(t, "the revocation is on the other side", func() bool {
		info := right.info(c.ID)
		return info.Root.Version == 2 && len(info.Logs) == 1 && info.Logs[0].Seq == good
	})
}

func TestAForkIsToldOfOverTheBridge(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	for _, at := range []*site{left, right} {
		at.append(c.Envelope)
	}
	other := c.Branch()
	left.append(c.Files("one"))
	right.append(other.Files("two"))
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	until(t, "both sides know that the key has signed two histories", func() bool {
		return left.info(c.ID).Forked && right.info(c.ID).Forked
	})
}

func TestAChannelThatIsFollowedLaterIsReadFromTheStream(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	a, b := channeltest.NewChannel(t, "a"), channeltest.NewChannel(t, "b")
	left, right := newSite(t, "left", a.ID, b.ID), newSite(t, "right", a.ID)
	left.append(a.Envelope)
	left.append(b.Envelope)
	want := releases(b, 70)
	left.append(want...)
	left.append(releases(a, 1)...)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	right.has(a)
	_, js := client(t, s.ClientURL())
	until(t, "all of it is in the stream", func() bool { return messages(t, js, streamManifests) == 73 })
	left.stop() // nobody is there to send it again
	right.follow(b.ID)
	right.has(b)
	right.whole(b, want)
}

func TestABridgeThatReadsOnlyWritesNothing(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	a, b := channeltest.NewChannel(t, "a"), channeltest.NewChannel(t, "b")
	left, right := newSite(t, "left", a.ID, b.ID), newSite(t, "right", a.ID, b.ID)
	right.append(b.Envelope)
	right.append(releases(b, 2)...)
	left.append(a.Envelope)
	left.bridge(left.config(s.ClientURL()))
	left.connected()
	cfg := right.config(s.ClientURL())
	cfg.ReadOnly = true
	right.bridge(cfg)
	left.append(releases(a, 2)...)
	right.has(a)
	_, js := client(t, s.ClientURL())
	if n := messages(t, js, streamManifests); n != 3 {
		t.Errorf("%d messages in the stream, want the 3 of the other side", n)
	}
}
