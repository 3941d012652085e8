package natsbridge

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/feed"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/internal/natslab"
)

func TestOfAClusterWhoseLeaderIsKilledEveryReleaseArrivesOnceAndInOrder(t *testing.T) {
	t.Parallel()
	killTheLeader(t, 300, 60)
}

// killTheLeader publishes n releases on one side of a cluster of three and a tenth
// of that on the other, and kills the stream's leader when at of them have crossed.
func killTheLeader(t *testing.T, n, at int) {
	began := time.Now()
	servers := natslab.Cluster(t)
	a, b := channeltest.NewChannel(t, "a"), channeltest.NewChannel(t, "b")
	left, right := newSite(t, "left", a.ID, b.ID), newSite(t, "right", a.ID, b.ID)
	left.append(a.Envelope)
	right.append(b.Envelope)
	for _, s := range []*site{left, right} {
		cfg := s.config(servers.URLs()...)
		cfg.Replicas = 3
		s.bridge(cfg)
		s.connected()
	}
	wantA, wantB := releases(a, n), releases(b, n/10)
	published := make(chan struct{})
	go func() { // as fast as the ledgers take them
		defer close(published)
		for i := range n {
			left.append(wantA[i])
			if i%10 == 0 {
				right.append(wantB[i/10])
			}
		}
	}()
	until(t, "the first have crossed", func() bool {
		info := right.info(a.ID)
		return len(info.Logs) == 1 && info.Logs[0].Seq >= uint64(at)
	})
	killLeader(t, servers, newNames(DefaultNetwork).stream(streamManifests))
	killed := time.Since(began)
	<-published
	right.has(a)
	left.has(b)
	right.whole(a, wantA)
	left.whole(b, wantB)
	t.Logf("%d releases one way, %d the other: leader killed after %v, all there after %v", n, n/10, killed.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
	_, js := client(t, strings.Join(servers.URLs(), ","))
	got, want := uint64(0), uint64(2+n+n/10)
	until(t, "one message for each statement", func() bool {
		if now := messages(t, js, streamManifests); now != got {
			got = now
			t.Logf("%d of %d messages lie in the stream", got, want)
		}
		return got == want
	})
}

func TestABridgeThatIsCutComesBack(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	port := freePorts(t, 1)[0]
	at := func(o *server.Options) { o.Port = port }
	s := startServer(t, dir, at)
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	want := releases(c, 5)
	left.append(want...)
	left.bridge(left.config(s.ClientURL()))
	right.bridge(right.config(s.ClientURL()))
	right.has(c)
	s.Shutdown()
	s.WaitForShutdown()
	more := releases(c, 80)
	left.append(more...)
	left.append(c.Head(time.Hour))
	cut := func(at *site) bool { // the server may have said that it ends before the connection did
		return len(at.saw(EventDisconnected))+len(at.saw(EventFailed)) > 0
	}
	until(t, "both say that they are cut", func() bool { return cut(left) && cut(right) })
	startServer(t, dir, at)
	right.has(c)
	right.whole(c, append(want, more...))
}

func TestAStreamThatIsLostIsFilledAnew(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	left, right := newSite(t, "left", c.ID), newSite(t, "right", c.ID)
	left.append(c.Envelope)
	want := releases(c, 5)
	left.append(want...)
	left.bridge(left.config(s.ClientURL()))
	left.connected()
	_, js := client(t, s.ClientURL())
	until(t, "all is there", func() bool { return messages(t, js, streamManifests) == 6 })
	for _, what := range []string{streamManifests, streamHeads} {
		if err := js.DeleteStream(t.Context(), newNames(DefaultNetwork).stream(what)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "all is there again", func() bool { return messages(t, js, streamManifests) == 6 })
	right.bridge(right.config(s.ClientURL()))
	right.has(c)
	right.whole(c, want)
}

func TestTwoBridgesInACycleTurnNothingTwice(t *testing.T) {
	t.Parallel()
	// Two networks of aml with two members each, bridged twice: by one NATS
	// between the first of both and by another between the second of both.
	one, two := startServer(t, t.TempDir(), nil), startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	var sites []*site
	for _, name := range []string{"a1", "a2", "b1", "b2"} {
		sites = append(sites, newSite(t, name, c.ID))
	}
	a1, a2, b1, b2 := sites[0], sites[1], sites[2], sites[3]
	a1.tellsTo, a2.tellsTo, b1.tellsTo, b2.tellsTo = []*site{a2}, []*site{a1}, []*site{b2}, []*site{b1}
	for _, x := range []struct {
		at *site
		on *server.Server
	}{{a1, one}, {b1, one}, {a2, two}, {b2, two}} {
		x.at.bridge(x.at.config(x.on.ClientURL()))
		x.at.connected()
	}
	const n = 20
	want := releases(c, n)
	a1.append(c.Envelope)
	if err := a1.tell(t.Context(), c.ID, c.Envelope); err != nil {
		t.Fatal(err)
	}
	for _, e := range want {
		a1.append(e)
		if err := a1.tell(t.Context(), c.ID, e); err != nil {
			t.Fatal(err)
		}
	}
	head := c.Head(time.Hour)
	a1.append(head)
	for _, at := range sites {
		at.has(c)
		at.whole(c, want)
	}
	until(t, "the head is everywhere", func() bool {
		for _, at := range sites {
			if l := at.info(c.ID).Logs[0]; l.Head == nil || l.Head.Seq != c.Seq {
				return false
			}
		}
		return true
	})
	for i, s := range []*server.Server{one, two} {
		_, js := client(t, s.ClientURL())
		until(t, "all is in the stream", func() bool { return messages(t, js, streamManifests) == n+1 })
		if written := everWritten(t, js, streamManifests); written != n+1 {
			t.Errorf("NATS %d took %d messages of manifests and roots, want %d", i+1, written, n+1)
		}
		if written := everWritten(t, js, streamHeads); written > 2 {
			t.Errorf("NATS %d took %d messages of heads, want one", i+1, written)
		}
	}
}

func TestAMessageMakesFourHopsAndNoMore(t *testing.T) {
	t.Parallel()
	c := channeltest.NewChannel(t, "c")
	const n = 6
	var servers []string
	for range n {
		servers = append(servers, startServer(t, t.TempDir(), nil).ClientURL())
	}
	// A chain: each ledger lies between two NATS, with two bridges and one trail.
	var sites []*site
	for i := range n {
		at := newSite(t, string(rune('a'+i)), c.ID)
		sites = append(sites, at)
		trail := NewTrail()
		for _, url := range servers[max(i-1, 0) : i+1] {
			cfg := at.config(url)
			cfg.Trail = trail
			at.bridge(cfg)
		}
	}
	sites[0].append(c.Envelope)
	sites[0].append(releases(c, 2)...)
	sites[MaxHops].has(c)
	_, js := client(t, servers[MaxHops-1])
	st, err := js.Stream(t.Context(), newNames(DefaultNetwork).stream(streamManifests))
	if err != nil {
		t.Fatal(err)
	}
	m, err := st.GetMsg(t.Context(), 1)
	if err != nil {
		t.Fatal(err)
	}
	if m.Header.Get(headerHops) != "4" || m.Header.Get(headerOrigin) != "a" || !validTrace(m.Header.Get(headerTrace)) {
		t.Errorf("on the last hop: %v", m.Header)
	}
	// It ends here by count alone. What a bridge puts there afterwards shows that
	// it had the time to.
	other := channeltest.NewChannel(t, "other")
	sites[MaxHops].follow(other.ID)
	sites[MaxHops].append(other.Envelope)
	_, js = client(t, servers[MaxHops])
	until(t, "the bridge has passed it over", func() bool { return messages(t, js, streamManifests) == 1 })
	if info := sites[MaxHops+1].info(c.ID); info.HasRoot {
		t.Errorf("a fifth hop was made")
	}
}

func TestAGapIsRepairedFromTheStreamOrFromAmlsOwnNetwork(t *testing.T) {
	t.Parallel()
	s := startServer(t, t.TempDir(), nil)
	c := channeltest.NewChannel(t, "c")
	right := newSite(t, "right", c.ID)
	_, js := client(t, s.ClientURL())
	n := newNames(DefaultNetwork)
	if _, err := js.CreateStream(t.Context(), n.manifests(1)); err != nil {
		t.Fatal(err)
	}
	all := releases(c, 20)
	put := func(seq int) {
		t.Helper()
		if _, err := js.Publish(t.Context(), n.manifest(c.ID, 0, uint64(seq), c.Key()), all[seq-1]); err != nil {
			t.Fatal(err)
		}
	}
	for seq := 10; seq > 0; seq-- { // the wrong way round
		put(seq)
	}
	if _, err := js.Publish(t.Context(), n.root(c.ID, 1), c.Envelope); err != nil {
		t.Fatal(err)
	}
	for seq := 20; seq > 11; seq-- { // the eleventh is nowhere in NATS
		put(seq)
	}
	cfg := right.config(s.ClientURL())
	asked := make(chan struct{}, 1)
	cfg.Sync = func(ctx context.Context, id channel.ID) error {
		select {
		case asked <- struct{}{}:
		default:
		}
		for _, l := range right.info(id).Logs {
			if l.Seq == 10 {
				o, err := right.ledger.Offer(ctx, all[10])
				if err == nil && o.Verdict != feed.Accepted && o.Verdict != feed.Duplicate {
					err = o.Err
				}
				return err
			}
		}
		return nil
	}
	right.bridge(cfg)
	right.has(c)
	right.whole(c, all)
	<-asked
}
