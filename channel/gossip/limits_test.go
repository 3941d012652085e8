package gossip

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

func TestBundleLimits(t *testing.T) {
	if _, err := EncodeBundle(); !errors.Is(err, channel.ErrLimit) {
		t.Errorf("no envelope: %v", err)
	}
	if _, err := EncodeBundle(make([][]byte, MaxBundle+1)...); !errors.Is(err, channel.ErrLimit) {
		t.Errorf("nine envelopes: %v", err)
	}
	if _, err := EncodeBundle(make([]byte, MaxMessage)); !errors.Is(err, channel.ErrTooLarge) {
		t.Errorf("too many bytes: %v", err)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "no array": {0x40}, "empty array": {0x80}, "empty envelope": {0x81, 0x40},
		"text": {0x81, 0x61, 'a'}, "trailing": {0x81, 0x41, 1, 0}, "indefinite": {0x9f, 0x41, 1, 0xff},
		"long length": {0x81, 0x58, 1, 1}, "nine": append([]byte{0x89}, slices.Repeat([]byte{0x41, 1}, 9)...),
		"over the limit": make([]byte, MaxMessage+1),
	} {
		if got, err := DecodeBundle(data); err == nil {
			t.Errorf("%s: read as %x", name, got)
		}
	}
}

func TestPackKeepsOrderAndLeavesOutWhatFitsNowhere(t *testing.T) {
	var in [][]byte
	for i := range 20 {
		in = append(in, slices.Repeat([]byte{byte(i)}, 20<<10))
	}
	in = append(in, make([]byte, MaxMessage), []byte("last"))
	messages, err := pack(in)
	if err != nil {
		t.Fatal(err)
	}
	var out [][]byte
	for _, m := range messages {
		es, err := DecodeBundle(m)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, es...)
	}
	want := slices.Delete(in, 20, 21)
	if !slices.EqualFunc(out, want, func(a, b []byte) bool { return string(a) == string(b) }) {
		t.Errorf("%d envelopes came out, want %d in order", len(out), len(want))
	}
}

func TestSubscriptionFloodIsCappedOverAllMessages(t *testing.T) {
	f := newSubFilter()
	yes, no := true, false
	room := func(i int) string { return channelRoom + channel.HashPayload([]byte(fmt.Sprint(i))).String() }
	sub := func(name string, on *bool) *pb.RPC_SubOpts { return &pb.RPC_SubOpts{Topicid: &name, Subscribe: on} }
	kept := 0
	for i := range 30 {
		var subs []*pb.RPC_SubOpts
		for j := range 100 {
			subs = append(subs, sub(room(100*i+j), &yes))
		}
		got, err := f.FilterIncomingSubscriptions("flooder", subs)
		if err != nil {
			t.Fatal(err)
		}
		kept += len(got)
	}
	if kept != MaxTopicsPerPeer {
		t.Errorf("kept %d, want %d", kept, MaxTopicsPerPeer)
	}
	if got, _ := f.FilterIncomingSubscriptions("flooder", []*pb.RPC_SubOpts{sub(room(0), &no), sub(room(9999), &yes)}); len(got) != 2 {
		t.Error("leaving one topic made no room for another")
	}
	for _, name := range []string{"", "x", channelRoom, channelRoom + "00", channelRoom + strings.Repeat("A", 64), "/aml/other/1/" + strings.Repeat("0", 64)} {
		if got, _ := f.FilterIncomingSubscriptions("other", []*pb.RPC_SubOpts{sub(name, &yes)}); len(got) != 0 || f.CanSubscribe(name) {
			t.Errorf("subscription to %q was let through", name)
		}
	}
	if got, _ := f.FilterIncomingSubscriptions("other", []*pb.RPC_SubOpts{sub(room(1), &yes)}); len(got) != 1 {
		t.Error("the flood of one peer kept out another")
	}
	f.prune(func(p peer.ID) bool { return p == "other" })
	if len(f.rooms) != 1 {
		t.Errorf("%d peers remembered, want 1", len(f.rooms))
	}
}

func TestNinthStreamOfOnePeerIsRefused(t *testing.T) {
	n := newNode(t, "")
	if _, err := n.gossip.up(t.Context()); err != nil {
		t.Fatal(err)
	}
	h := newHost(t)
	connect(t, h, n.host)
	var open []network.Stream
	ask := func() error { // opens a stream, has one request answered, and keeps it
		s, err := h.NewStream(t.Context(), n.host.ID(), SyncProtocol)
		if err != nil {
			return err
		}
		open = append(open, s)
		if err := writeFrame(s, request{Kind: askHeads, Keys: []channel.Hash{{1}}}, maxRequest, time.Second); err != nil {
			return err
		}
		_ = s.SetReadDeadline(time.Now().Add(waitLimit))
		_, err = readFrame(s, maxFrame)
		return err
	}
	for i := range MaxStreams {
		if err := ask(); err != nil {
			t.Fatalf("stream %d: %v", i+1, err)
		}
	}
	if err := ask(); err == nil {
		t.Error("the ninth stream was served")
	}
	for _, s := range open {
		_ = s.Reset()
	}
	n.poll("room for another", func() bool { return ask() == nil })
	for _, s := range open {
		_ = s.Reset()
	}
}

func TestSybilChannelsFloodOfAListingIsCapped(t *testing.T) {
	g, l := offline(t)
	if err := g.Listen("test"); err != nil {
		t.Fatal(err)
	}
	in := g.interest(target{topic: "test"})
	first := newAuthor(t, "honest")
	if r := g.judgeTopic(t.Context(), in, "p", bundle(t, first.founding)); r != pubsub.ValidationAccept {
		t.Fatalf("honest listing: %v", r)
	}
	for i := range MaxListed + 10 {
		a := newAuthor(t, fmt.Sprintf("sybil %d", i))
		want := pubsub.ValidationAccept
		if i >= MaxListed-1 {
			want = pubsub.ValidationIgnore
		}
		if r := g.judgeTopic(t.Context(), in, "p", bundle(t, a.founding)); r != want {
			t.Fatalf("sybil %d: %v, want %v", i, r, want)
		}
	}
	if len(l.channels) != MaxListed {
		t.Errorf("%d channels listed, want %d", len(l.channels), MaxListed)
	}
	first.release()
	if r := g.judgeTopic(t.Context(), in, "p", bundle(t, first.founding, first.head)); r != pubsub.ValidationAccept {
		t.Errorf("news of the honest channel under the flood: %v", r)
	}
}

func TestListingRejectsWhatIsNone(t *testing.T) {
	g, l := offline(t)
	if err := g.Listen("test"); err != nil {
		t.Fatal(err)
	}
	in := g.interest(target{topic: "test"})
	a, elsewhere := newAuthor(t, "here"), newAuthor(t, "there", "another/topic")
	m, h := a.release()
	_, other := elsewhere.release()
	for name, data := range map[string][]byte{
		"garbage":                    []byte("garbage"),
		"an envelope of garbage":     bundle(t, []byte("garbage")),
		"a channel of another topic": bundle(t, elsewhere.founding),
		"a manifest":                 bundle(t, a.founding, m),
		"a head alone":               bundle(t, h),
		"a head first":               bundle(t, h, a.founding),
		"another channel's head":     bundle(t, a.founding, other),
		"a root twice":               bundle(t, a.founding, a.founding),
		"a bad signature":            bundle(t, flip(a.founding)),
	} {
		if r := g.judgeTopic(t.Context(), in, "p", data); r != pubsub.ValidationReject {
			t.Errorf("%s: %v", name, r)
		}
	}
	if len(l.channels) != 0 {
		t.Errorf("%d channels became expected", len(l.channels))
	}
}

// offline is a Gossip with a fake ledger that is not running.
func offline(t testing.TB) (*Gossip, *fakeLedger) {
	t.Helper()
	l := newFakeLedger()
	g, err := New(Config{Host: newHost(t), Ledger: l})
	if err != nil {
		t.Fatal(err)
	}
	g.ctx = t.Context() // for what happens in the background
	return g, l
}

func TestChannelRoomVerdicts(t *testing.T) {
	g, l := offline(t)
	a, stranger := newAuthor(t, "verdicts"), newAuthor(t, "stranger")
	for range 6 {
		a.release()
	}
	if err := l.Expect(t.Context(), a.id, catalog.Followed); err != nil {
		t.Fatal(err)
	}
	if err := g.Follow(a.id); err != nil {
		t.Fatal(err)
	}
	in := g.interest(target{channel: a.id})
	foreign, foreignHead := stranger.release()
	env, _ := a.manifest(1, channel.Hash{}, "x")
	env.Signatures[0].Sig[5] ^= 1
	tampered := encode(t, env, nil)
	const accept, reject, ignore = pubsub.ValidationAccept, pubsub.ValidationReject, pubsub.ValidationIgnore
	for _, step := range []struct {
		name string
		data []byte
		want pubsub.ValidationResult
	}{
		{"a stranger's root", bundle(t, stranger.founding), reject},
		{"root", bundle(t, a.founding), accept},
		{"root again", bundle(t, a.founding), ignore},
		{"first release", bundle(t, a.all[0], a.headOf(1, hashOf(t, a.all[0]))), accept},
		{"a tampered one", bundle(t, tampered), reject},
		{"a stranger's manifest", bundle(t, foreign), reject},
		{"a stranger's head beside news", bundle(t, a.all[1], foreignHead), reject},
		{"second and third", bundle(t, a.all[1], a.all[2]), accept},
		{"news with two known ones", bundle(t, a.all[0], a.all[1], a.all[3]), accept},
		{"news with three known ones", bundle(t, a.all[0], a.all[1], a.all[2], a.all[4]), ignore},
		{"all known", bundle(t, a.all[0]), ignore},
	} {
		if got := g.judgeChannel(t.Context(), in, "p", step.data); got != step.want {
			t.Errorf("%s: %v, want %v", step.name, got, step.want)
		}
	}
}

func hashOf(t testing.TB, envelope []byte) channel.Hash {
	env, err := channel.DecodeEnvelope(envelope)
	if err != nil {
		t.Fatal(err)
	}
	return channel.HashPayload(env.Payload)
}

func TestMessageThatOvertookItsPredecessorIsRelayed(t *testing.T) {
	g, _ := offline(t)
	a := newAuthor(t, "overtaken")
	const releases = 12
	for range releases {
		a.release()
	}
	if err := g.Follow(a.id); err != nil {
		t.Fatal(err)
	}
	in := g.interest(target{channel: a.id})
	if r := g.judgeChannel(t.Context(), in, "p", bundle(t, a.founding)); r != pubsub.ValidationAccept {
		t.Fatal(r)
	}
	results := make(chan pubsub.ValidationResult, releases)
	var all sync.WaitGroup
	for i := range releases {
		all.Go(func() { results <- g.judgeChannel(t.Context(), in, "p", bundle(t, a.all[releases-1-i])) })
	}
	all.Wait()
	for range releases {
		if r := <-results; r != pubsub.ValidationAccept {
			t.Errorf("a message that came too early: %v", r)
		}
	}
}

func TestMessageWhosePredecessorNeverComesIsIgnoredInTheEnd(t *testing.T) {
	a := newAuthor(t, "hole")
	for range 3 {
		a.release()
	}
	g, l := offline(t)
	if err := g.Follow(a.id); err != nil {
		t.Fatal(err)
	}
	_ = l.offer(a.founding, false)
	in := g.interest(target{channel: a.id})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if r := g.judgeChannel(ctx, in, "p", bundle(t, a.all[2])); r != pubsub.ValidationIgnore {
		t.Errorf("%v", r)
	}
	if in.waiting != 0 {
		t.Errorf("%d still waiting", in.waiting)
	}
}

func TestConductForgivesFailureSoonAndLiesLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newConduct()
		for _, want := range []time.Duration{2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
			c.failed("slow")
			if got := c.pause("slow"); got != want*time.Second {
				t.Fatalf("pause %s, want %s", got, want*time.Second)
			}
		}
		c.good("slow")
		c.lied("liar")
		c.good("liar")
		c.failed("liar")
		if c.pause("slow") != 0 || !c.banned("liar") || c.score("liar") >= graylistThreshold || c.score("slow") != 0 {
			t.Error("wrong books")
		}
		<-time.After(banFor)
		if c.banned("liar") {
			t.Error("banned for ever")
		}
		for i := range maxRecords + 100 {
			c.lied(peer.ID(fmt.Sprint(i)))
		}
		if len(c.records) > maxRecords {
			t.Errorf("%d records", len(c.records))
		}
	})
}

func TestPlanGathersAndNeverRunsTwoSessionsWithOnePeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		active := make(map[peer.ID]int)
		sessions := make(map[peer.ID]int)
		got := make(map[target]int)
		most := 0
		ctx, cancel := context.WithCancel(t.Context())
		pl := newPlan(newConduct(), func(_ context.Context, p peer.ID, ts []want) {
			mu.Lock()
			active[p]++
			sessions[p]++
			if active[p] > 1 {
				t.Error("two sessions with one peer")
			}
			most = max(most, len(active))
			for _, x := range ts {
				got[x.target]++
			}
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			if active[p]--; active[p] == 0 {
				delete(active, p)
			}
			mu.Unlock()
		})
		var work sync.WaitGroup
		work.Go(func() { pl.run(ctx, func(f func()) bool { work.Go(f); return true }) })
		for i := range 40 {
			p := peer.ID(fmt.Sprint("peer ", i))
			for j := range 10 {
				pl.want(p, target{topic: fmt.Sprint(i, j)}, 0, false)
				pl.want(p, target{topic: fmt.Sprint(i, j)}, time.Minute, false)
			}
		}
		pl.want("dropped", target{topic: "dropped"}, time.Second, false)
		pl.drop(target{topic: "dropped"})
		<-time.After(time.Minute)
		cancel()
		work.Wait()
		if len(got) != 400 || most > maxSessions || sessions["dropped"] != 0 {
			t.Errorf("%d of 400 targets, %d sessions at once, %d dropped ones", len(got), most, sessions["dropped"])
		}
		for p, n := range sessions {
			if n > 3 {
				t.Errorf("%d sessions with %s", n, p)
			}
		}
	})
}

// Identities cost nothing: every second a new peer comes that is to be asked and
// says nothing. Who has an answer is asked all the same, and soon.
func TestSlowMirrorsByTheHundredKeepNobodyFromBeingAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		asked := make(map[peer.ID]time.Time)
		var mu sync.Mutex
		pl := newPlan(newConduct(), func(ctx context.Context, p peer.ID, _ []want) {
			mu.Lock()
			asked[p] = time.Now()
			mu.Unlock()
			if p == "honest" {
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(15 * time.Second): // a session's whole patience
			}
		})
		var work sync.WaitGroup
		work.Go(func() { pl.run(ctx, func(f func()) bool { work.Go(f); return true }) })
		work.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				for j := range 4 {
					pl.want(peer.ID(fmt.Sprint("silent ", i, j)), target{topic: "t"}, 0, false)
				}
				<-time.After(time.Second)
			}
		})
		<-time.After(time.Minute)
		came := time.Now()
		pl.want("honest", target{topic: "t"}, 0, false)
		<-time.After(time.Minute)
		cancel()
		work.Wait()
		if at, ok := asked["honest"]; !ok || at.Sub(came) > 10*time.Second {
			t.Errorf("of %d peers that were asked the honest one was %v, after %v", len(asked), ok, at.Sub(came))
		}
	})
}

func TestClaimMakesOthersWaitButNotForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c claims
		release := c.take(t.Context(), channel.ID{1})
		start := time.Now()
		c.take(t.Context(), channel.ID{2})()
		if time.Since(start) != 0 {
			t.Error("another channel had to wait")
		}
		c.take(t.Context(), channel.ID{1})()
		if time.Since(start) != claimWait {
			t.Errorf("waited %s for a staller, want %s", time.Since(start), claimWait)
		}
		time.AfterFunc(time.Second, release)
		start = time.Now()
		c.take(t.Context(), channel.ID{1})()
		if time.Since(start) != time.Second {
			t.Errorf("waited %s, want until it was released", time.Since(start))
		}
	})
}

func TestLongAnswersComeInFramesWithinTheLimits(t *testing.T) {
	a := newAuthor(t, "long")
	for range 700 {
		a.release()
	}
	full := holding(t, a)
	near, far := bufferedPipe()
	go func() { honest(far, full, 9); _ = far.Close() }()
	defer near.Close()
	log := a.key.Public()
	r := request{Kind: askManifests, Keys: []channel.Hash{a.id.Discovery()}, Log: &log, From: 101, To: 100 + 600}
	if err := writeFrame(near, r, maxRequest, time.Second); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for {
		data, err := readFrame(near, maxFrame)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeAnswer(data)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range got.Sections {
			sizes = append(sizes, len(s.Items))
			if string(s.Items[0]) != string(a.all[100+sum(sizes)-len(s.Items)]) {
				t.Error("out of order")
			}
		}
		if !got.More {
			break
		}
	}
	if !slices.Equal(sizes, []int{256, 256, 88}) {
		t.Errorf("frames of %v items", sizes)
	}
}

func sum(ns []int) int {
	t := 0
	for _, n := range ns {
		t += n
	}
	return t
}
