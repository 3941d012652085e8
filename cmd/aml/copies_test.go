package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/blobnet/exchange"
)

// boaster speaks the real exchange and says that it has every blob; what it gives
// is up to it.
type boaster struct {
	give func(blobnet.ID) ([]byte, error) // nil: it does not even answer what it has
}

func (b boaster) Has(ctx context.Context, ids ...blobnet.ID) ([]bool, error) {
	if b.give == nil {
		<-ctx.Done()
	}
	has := make([]bool, len(ids))
	for i := range has {
		has[i] = true
	}
	return has, nil
}

func (b boaster) Get(_ context.Context, id blobnet.ID, dst []byte) ([]byte, error) {
	blob, err := b.give(id)
	return append(dst, blob...), err
}

func (boaster) Put(context.Context, blobnet.ID, []byte) error { return blobnet.ErrFull }

// boasts connects a boaster to a peer and returns its id.
func boasts(t *testing.T, addr string, give func(blobnet.ID) ([]byte, error)) string {
	t.Helper()
	h, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		t.Fatal(err)
	}
	ex, err := exchange.New(exchange.Config{Host: h, Store: boaster{give}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- ex.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		h.Close()
	})
	info, err := peer.AddrInfoFromString(addr)
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Connect(ctx, *info); err != nil {
		t.Fatal(err)
	}
	return h.ID().String()
}

func nothing(blobnet.ID) ([]byte, error) { return nil, blobnet.ErrNotFound }

func wrong(blobnet.ID) ([]byte, error) { return make([]byte, 100_000), nil }

// copiesSeen is what the tests read of channel-status --json.
type copiesSeen struct {
	Checked  string `json:"checked"`
	Current  bool   `json:"current"`
	Cut      bool   `json:"cut"`
	Releases []struct {
		Seq                       uint64
		Title                     string
		Unread                    bool
		Files, Blobs, Asked, Here int
		Copies, Proved, Networks  int
		Weakest                   *struct {
			Name, Blob string
			Copies     int
		}
		Spread []struct{ Copies, Blobs int }
	} `json:"releases"`
	Holders []struct {
		Peer, Class           string
		Whole, Partly, Proved int
	} `json:"holders"`
	Liars []struct {
		Peer, Why string
		Said      int
	} `json:"liars"`
}

func copiesOf(t *testing.T, home string, args ...string) (v copiesSeen) {
	t.Helper()
	return decoded[copiesSeen](t, ok(t, home, append(append([]string{"channel-status"}, args...), "--json")...))
}

// Who publishes sees who has a private channel: readers and mirrors by name of file,
// a mirror by number alone; who boasts does not count.
func TestStatusCountsReadersAndMirrorsOfAPrivateChannelAndNamesWhoLies(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := func(name string) string { return filepath.Join(dir, name) }
	big, small := filepath.Join(dir, "in", "unmistakable-big.bin"), filepath.Join(dir, "in", "unmistakable-small.bin")
	noise(t, big, 300_000, 1)
	noise(t, small, 1000, 2)
	channel := privateChannel(t, home("p"))
	publish(t, home("p"), "a/topic", big, small, "--chunk-size", "64KiB", "--title", "unmistakable title")

	p := start(t, home("p"), "daemon", "--set", "dht=false")
	at := p.addr()
	liar, forger := boasts(t, at, nothing), boasts(t, at, wrong)
	reader := start(t, home("reader"), "channel-subscribe", channel.ReadAddress, "-o", home("out"), "--peer", at, "--set", "dht=false")
	reader.wait("file")
	reader.wait("file")
	mirror := start(t, home("mirror"), "channel-subscribe", channel.Address, "--peer", at, "--set", "dht=false")
	mirror.wait("mirrored")

	// Through a daemon, publishing waits as well.
	third := filepath.Join(dir, "in", "unmistakable-third.bin")
	noise(t, third, 5000, 3)
	if out := ok(t, home("p"), "channel-publish", "a/topic", third, "--wait-copies", "2", "--wait-timeout", "80s"); strings.Count(out, "copy at") != 2 {
		t.Errorf("published through a daemon: %s", out)
	}

	got := copiesOf(t, home("p"), "a/topic", "--check")
	if len(got.Releases) != 2 || len(got.Holders) != 2 || !got.Current {
		t.Fatalf("%+v\n%s", got, p.stderr)
	}
	r, said := got.Releases[1], got.Releases[0].Asked+got.Releases[1].Asked
	if r.Seq != 1 || r.Title != "unmistakable title" || r.Files != 2 || r.Blobs < 7 || r.Asked != r.Blobs || r.Here != r.Blobs {
		t.Errorf("the release: %+v", r)
	}
	if r.Copies != 2 || r.Proved != 2 || r.Networks != 2 || r.Weakest == nil || r.Weakest.Copies != 2 || !strings.HasPrefix(r.Weakest.Name, "unmistakable-") {
		t.Errorf("its copies: %+v", r)
	}
	if len(r.Spread) != 1 || r.Spread[0].Copies != 2 || r.Spread[0].Blobs != r.Blobs {
		t.Errorf("spread: %+v", r.Spread)
	}
	for _, h := range got.Holders {
		if h.Class != "loopback" || h.Whole != 2 || h.Proved < 3 || h.Peer == liar || h.Peer == forger {
			t.Errorf("holder %+v", h)
		}
	}
	lies := map[string]bool{}
	for _, l := range got.Liars {
		lies[l.Peer] = l.Said == said && strings.Contains(l.Why, "does not give it")
	}
	if len(lies) != 2 || !lies[liar] || !lies[forger] {
		t.Errorf("liars: %+v, want %s and %s", got.Liars, liar, forger)
	}

	// The mirror asks by the inventory. The reader has that, too.
	seen := copiesOf(t, home("mirror"), channel.Address, "--check")
	if len(seen.Releases) != 2 {
		t.Fatalf("%+v\n%s", seen, mirror.stderr)
	}
	if m := seen.Releases[1]; !m.Unread || m.Seq != 1 || m.Title != "" || m.Here != m.Asked || m.Asked <= r.Blobs-1 || m.Copies < 1 || m.Proved < 1 || m.Weakest == nil || m.Weakest.Name != "" {
		t.Errorf("seen by the mirror: %+v", m)
	}
	findIn(t, filepath.Join(home("mirror"), "copies"), map[string][]byte{"a name": []byte("unmistakable")})

	// What was found is kept, for who owns the home alone.
	p.interrupt()
	if again := copiesOf(t, home("p"), "a/topic"); again.Checked != got.Checked || again.Checked == "" || again.Releases[1].Copies != 2 {
		t.Errorf("without a daemon: %+v", again)
	}
	notes, err := filepath.Glob(filepath.Join(home("p"), "copies", "*.json"))
	if err != nil || len(notes) != 1 {
		t.Fatal(notes, err)
	}
	if info, err := os.Stat(notes[0]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	// A reader asks, too, and finds the mirror and not the publisher, who is gone.
	ask := copiesOf(t, home("reader"), channel.Address, "--check", "--peer", mirror.addrs(t))
	if len(ask.Releases) != 2 || ask.Releases[1].Copies != 1 || ask.Releases[1].Title != "unmistakable title" {
		t.Errorf("seen by the reader: %+v", ask)
	}
	// Somebody who never answers costs no more than the time that is given.
	boasts(t, reader.addrs(t), nil)
	if slow := copiesOf(t, home("reader"), channel.Address, "--check", "--wait", "8s"); !slow.Cut || slow.Releases[1].Copies != 1 || len(slow.Liars) != 0 {
		t.Errorf("beside a silent one: %+v", slow)
	}
}

// addrs is where a program that was waited for earlier is reached.
func (p *program) addrs(t *testing.T) string {
	t.Helper()
	var home string
	for i, a := range p.cmd.Args {
		if a == "--home" {
			home = p.cmd.Args[i+1]
		}
	}
	var s struct {
		Addrs []string `json:"addrs"`
	}
	if err := json.Unmarshal([]byte(ok(t, home, "status", "--json")), &s); err != nil || len(s.Addrs) == 0 {
		t.Fatal(s, err)
	}
	return s.Addrs[0]
}

// A publication that waits for copies ends when followers have everything, and not
// a moment sooner because somebody says that he has.
func TestPublishWaitsUntilOthersHaveEverythingAndIsNotTakenInByABoast(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := filepath.Join(dir, "in")
	noise(t, filepath.Join(in, "a.bin"), 400_000, 1)
	noise(t, filepath.Join(in, "b", "c.bin"), 70_000, 2)
	p := start(t, filepath.Join(dir, "p"), "channel-publish", "a/topic", in, "--chunk-size", "64KiB", "--once", "--wait-copies", "2", "--wait-timeout", "80s", "--set", "dht=false")
	at := p.addr()
	var published struct{ Address string }
	p.wait("published").decode(t, &published)
	asked := make(chan string, 1<<10)
	tell := func(who string, give func(blobnet.ID) ([]byte, error)) func(blobnet.ID) ([]byte, error) {
		return func(id blobnet.ID) ([]byte, error) {
			asked <- who
			return give(id)
		}
	}
	liar, forger := boasts(t, at, tell("liar", nothing)), boasts(t, at, tell("forger", wrong))
	for met := map[string]bool{}; len(met) < 2; { // they have been asked for proof before anybody has anything
		select {
		case who := <-asked:
			met[who] = true
		case <-p.done:
			t.Fatalf("it ended with nobody there\n%s", p.stderr)
		}
	}
	followers := map[string]bool{}
	for _, name := range []string{"s1", "s2"} {
		s := start(t, filepath.Join(dir, name), "channel-subscribe", published.Address, "-o", filepath.Join(dir, "out", name), "--peer", at, "--set", "dht=false")
		var l struct {
			PeerID string `json:"peerId"`
		}
		s.wait("listening").decode(t, &l)
		followers[l.PeerID] = true
	}
	for range 2 {
		var c struct {
			Peer, Class, Network string
			Seq                  uint64
			Blobs, Proved        int
		}
		p.wait("copy").decode(t, &c)
		if !followers[c.Peer] || c.Seq != 1 || c.Class != "loopback" || c.Proved != 4 || c.Blobs < 9 {
			t.Errorf("a copy at %+v; the followers are %v, the liars %s and %s", c, followers, liar, forger)
		}
		delete(followers, c.Peer)
	}
	var end struct {
		Have, Wanted, Networks int
		TimedOut               bool
	}
	p.wait("copies").decode(t, &end)
	if code := p.exit(); code != 0 || end.Have != 2 || end.Networks != 2 || end.TimedOut {
		t.Errorf("exit code %d, %+v\n%s", code, end, p.stderr)
	}
	for _, name := range []string{"s1", "s2"} { // it did not end before they had it
		sameTree(t, filepath.Join(dir, "out", name), in)
	}
	for _, id := range []string{liar, forger} {
		if !strings.Contains(p.stderr.String(), id) {
			t.Errorf("%s is not named:\n%s", id, p.stderr)
		}
	}
}

// Who waits for copies is told at once when the release is taken back, and when the
// node that it asks ends, that the release stands.
func TestWaitingForCopiesEndsWhenTheReleaseIsRetractedOrTheNodeEnds(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, one, two := filepath.Join(dir, "p"), filepath.Join(dir, "one.bin"), filepath.Join(dir, "two.bin")
	noise(t, one, 5000, 1)
	noise(t, two, 5000, 2)
	daemon := start(t, home, "daemon", "--set", "dht=false")
	daemon.addr()
	wait := func(files ...string) *program {
		return start(t, home, append([]string{"channel-publish", "a/topic", "--wait-copies", "1", "--wait-timeout", "1h"}, files...)...)
	}
	p := wait(one, two)
	p.wait("published")
	ok(t, home, "channel-retract", "a/topic", "two.bin", "--reason", "wrong cut")
	var end struct{ Retracted string }
	p.wait("copies").decode(t, &end)
	if code := p.exit(); code != 1 || end.Retracted != "two.bin: wrong cut" || !strings.Contains(p.stderr.String(), "release 1 was retracted, by then 0 of 1 other node had everything of it: two.bin: wrong cut") {
		t.Errorf("exit code %d, %+v\n%s", code, end, p.stderr)
	}
	p = wait(two)
	p.wait("published")
	daemon.kill()
	if code := p.exit(); code != 1 || !strings.Contains(p.stderr.String(), "release 3 stays published") {
		t.Errorf("exit code %d\n%s", code, p.stderr)
	}
}
