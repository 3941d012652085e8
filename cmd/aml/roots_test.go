package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/channel/catalog"
	"github.com/anonymous-media-library/aml/channel/keyfile"
	"github.com/anonymous-media-library/aml/internal/channeltest"
	"github.com/anonymous-media-library/aml/node/transport"
)

// newKey makes a key in a home and returns its public half.
func newKey(t *testing.T, home, name string) string {
	t.Helper()
	out, _, _ := strings.Cut(ok(t, home, "key-new", name), "\n")
	return out
}

// copyHome copies a home as backup tools do.
func copyHome(t *testing.T, from, to string) {
	t.Helper()
	if out, err := exec.Command("cp", "-a", from, to).CombinedOutput(); err != nil {
		t.Fatalf("copying a home: %v\n%s", err, out)
	}
}

// seqs are how many releases each log of a channel has, as channel-show says.
func seqs(t *testing.T, home, address string) (out []uint64, forks int) {
	t.Helper()
	var s struct {
		Logs  []struct{ Seq uint64 }
		Forks []struct{ Seq uint64 }
	}
	if err := json.Unmarshal([]byte(ok(t, home, "channel-show", address, "--json")), &s); err != nil {
		t.Fatal(err)
	}
	for _, l := range s.Logs {
		out = append(out, l.Seq)
	}
	return out, len(s.Forks)
}

// knows puts what was signed into a home's catalogue.
func knows(t *testing.T, home string, id channel.ID, envelopes ...[]byte) {
	t.Helper()
	ledger, err := catalog.Open(t.Context(), catalog.Config{Path: filepath.Join(home, "aml.db")})
	if err != nil {
		t.Fatal(err)
	}
	if err := ledger.Expect(t.Context(), id, catalog.Followed); err != nil {
		t.Fatal(err)
	}
	outcomes, err := ledger.OfferAll(t.Context(), envelopes)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range outcomes {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
	}
	if err := ledger.Close(); err != nil {
		t.Fatal(err)
	}
}

// Two publishers, each on a node of its own, write to one channel; whoever
// follows it has what both published.
func TestTwoPublishersOfOneChannelAreSeenAsOne(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, guest, reader := filepath.Join(dir, "p"), filepath.Join(dir, "g"), filepath.Join(dir, "r")
	noise(t, filepath.Join(dir, "a.bin"), 1000, 1)
	noise(t, filepath.Join(dir, "b.bin"), 1000, 2)
	address := publish(t, owner, "music/live", filepath.Join(dir, "a.bin"))
	ownerAddr := start(t, owner, "daemon").addr()
	key := newKey(t, guest, "studio")

	// Not let in yet.
	fails(t, 5, guest, []string{"channel-publish", address, filepath.Join(dir, "b.bin"), "--peer", ownerAddr}, "channel-delegate")
	ok(t, owner, "channel-delegate", "music/live", key)
	second := start(t, guest, "channel-publish", address, filepath.Join(dir, "b.bin"), "--peer", ownerAddr)
	secondAddr := second.addr()
	var pub struct{ Seq uint64 }
	if second.wait("published").decode(t, &pub); pub.Seq != 1 {
		t.Errorf("the guest's first release has the number %d", pub.Seq)
	}
	out := filepath.Join(dir, "out")
	ok(t, reader, "channel-subscribe", address, "-o", out, "--peer", secondAddr, "--once")
	if got := tree(t, out); len(got) != 2 || got["a.bin"] == "" || got["b.bin"] == "" {
		t.Errorf("the reader has %v", got)
	}
	if got, forks := seqs(t, reader, address); len(got) != 2 || forks != 0 {
		t.Errorf("logs %v, %d forks", got, forks)
	}
}

// The home is restored from a backup that lacks the newest release. It does not
// sign that number again: offline it refuses, and with a follower in reach it
// catches up first.
func TestARestoredBackupDoesNotForkItsLog(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a copy of a file is not told from it on this system")
	}
	t.Parallel()
	dir := t.TempDir()
	home, backup, reader := filepath.Join(dir, "p"), filepath.Join(dir, "backup"), filepath.Join(dir, "r")
	files := make([]string, 5)
	for i := range files {
		files[i] = filepath.Join(dir, string(rune('a'+i))+".bin")
		noise(t, files[i], 1000, uint64(i))
	}
	address := publish(t, home, "t", files[0])
	copyHome(t, home, backup)
	daemon := start(t, home, "daemon")
	follower := start(t, reader, "channel-subscribe", address, "-o", filepath.Join(dir, "out"), "--peer", daemon.addr())
	readerAddr := follower.addr()
	follower.wait("file")
	publish(t, home, "t", files[1])
	follower.wait("file")
	daemon.interrupt()

	if err := os.RemoveAll(home); err != nil {
		t.Fatal(err)
	}
	copyHome(t, backup, home)
	fails(t, 1, home, []string{"channel-publish", "t", files[2], "--once"}, "restored from a backup", "aml daemon --peer", "--only-holder")
	fails(t, 1, home, []string{"channel-rotate", "t"}, "restored from a backup")
	fails(t, 1, home, []string{"channel-delegate", "t", newKey(t, reader, "k")}, "restored from a backup")
	if got, _ := seqs(t, home, address); len(got) != 1 || got[0] != 1 {
		t.Errorf("something was signed: %v", got)
	}

	daemon = start(t, home, "daemon", "--peer", readerAddr)
	daemon.addr()
	publish(t, home, "t", files[2])
	follower.wait("file")
	if got, forks := seqs(t, reader, address); len(got) != 1 || got[0] != 3 || forks != 0 {
		t.Errorf("the follower has %v releases and %d forks", got, forks)
	}
	daemon.interrupt()
	if said := daemon.stderr.String(); !strings.Contains(said, "few answered") || !strings.Contains(said, "answers=1") {
		t.Errorf("that one follower alone could be asked is not said: %s", said)
	}
	publish(t, home, "t", files[3]) // and it is sure of itself again, also offline
	if got, _ := seqs(t, home, address); got[0] != 4 {
		t.Errorf("releases: %v", got)
	}
}

// A disk that is put back as a whole carries no trace of it. A publisher asks
// followers before it signs, and finds out.
func TestADiskPutBackAsAWholeIsFoundOutByAskingFollowers(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, later, reader := filepath.Join(dir, "p"), filepath.Join(dir, "later"), filepath.Join(dir, "r")
	file := func(name string) string { return must(t, filepath.Join(dir, name), name) }
	address := publish(t, home, "t", file("one"))
	copyHome(t, home, later) // the disk as it went on; home is the snapshot
	publish(t, later, "t", file("two"), "--only-holder")
	daemon := start(t, later, "daemon")
	follower := start(t, reader, "channel-subscribe", address, "-o", filepath.Join(dir, "out"), "--peer", daemon.addr())
	readerAddr := follower.addr()
	follower.wait("file")
	follower.wait("file")
	daemon.interrupt()

	again := start(t, home, "channel-publish", "t", file("three"), "--peer", readerAddr)
	var pub struct{ Seq uint64 }
	if again.wait("published").decode(t, &pub); pub.Seq != 3 {
		t.Errorf("published as release %d, want 3", pub.Seq)
	}
	follower.wait("file")
	if got, forks := seqs(t, reader, address); len(got) != 1 || got[0] != 3 || forks != 0 {
		t.Errorf("the follower has %v releases and %d forks", got, forks)
	}
}

// The same where nothing runs: a command that ends at once asks the followers that
// --peer names before it signs a root, or a release.
func TestACommandThatEndsAtOnceAsksTheFollowersThatItIsGiven(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, later, reader := filepath.Join(dir, "p"), filepath.Join(dir, "later"), filepath.Join(dir, "r")
	file := func(name string) string { return must(t, filepath.Join(dir, name), name) }
	ruled := publish(t, home, "ruled", file("one"))
	newKey(t, home, "other")
	other := filepath.Join(home, "keys", "other.pem")
	written := publish(t, home, "written", file("one"), "-k", other)
	copyHome(t, home, later) // the disk as it went on; home is the snapshot
	ok(t, later, "channel-delegate", ruled, newKey(t, reader, "k1"), "--only-holder")
	publish(t, later, written, file("two"), "--only-holder")
	daemon := start(t, later, "daemon")
	laterAddr := daemon.addr()
	follower := start(t, reader, "channel-subscribe", written, "-o", filepath.Join(dir, "out"), "--peer", laterAddr)
	readerAddr := follower.addr()
	follower.wait("file")
	follower.wait("file")
	second := start(t, reader, "channel-subscribe", ruled, "-o", filepath.Join(dir, "out 2"))
	second.wait("file")
	until(t, "the follower has the second root", func() bool {
		return strings.Contains(ok(t, reader, "channel-show", ruled), "version 2")
	})
	daemon.interrupt()

	if out := ok(t, home, "channel-delegate", ruled, newKey(t, reader, "k2"), "--peer", readerAddr); !strings.Contains(out, "root version 3") {
		t.Errorf("delegated by: %s", out)
	}
	publish(t, home, written, file("three"), "--peer", readerAddr)
	if got, _ := seqs(t, home, written); len(got) != 1 || got[0] != 3 {
		t.Errorf("the publisher has the releases %v, want 3 of one log", got)
	}
	for _, address := range []string{ruled, written} {
		if out := ok(t, reader, "channel-show", address); strings.Contains(out, "FORK") {
			t.Errorf("a fork: %s", out)
		}
	}

	// Nobody answers: that is said, and the user's word counts. And what asks nobody says so.
	const nobody = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu"
	_, stderr, code := amlRun(t, home, "channel-publish", written, file("four"), "--once", "--peer", nobody)
	if code != 0 || !strings.Contains(stderr, "12D3KooWHHzSeKaY8xuZVzkLbKFfvNgPPeKhFBGrMbNzbm5akpqu did not answer") {
		t.Errorf("exit code %d, and %s", code, stderr)
	}
	// Nor can it ask itself, as who names the original of a copied home has it do.
	key, err := transport.LoadOrCreateIdentity(filepath.Join(home, "keys", "node.key"))
	if err != nil {
		t.Fatal(err)
	}
	own, err := peer.IDFromPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	if _, stderr, code := amlRun(t, home, "channel-publish", written, file("five"), "--once", "--peer", "/ip4/127.0.0.1/tcp/1/p2p/"+own.String()); code != 0 || !strings.Contains(stderr, own.String()+" is this very node") {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	if _, stderr, code := amlRun(t, home, "channel-show", written, "--peer", nobody); code != 0 || !strings.Contains(stderr, "--peer is not used") {
		t.Errorf("exit code %d, and %s", code, stderr)
	}
}

// A copied key publishes on two nodes, and signs one number twice. The key is
// frozen, the channel goes on with another, and everybody is shown why; a
// revocation ends it.
func TestAForkFreezesTheKeyAndTheChannelGoesOn(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home, twin, guest, reader := filepath.Join(dir, "p"), filepath.Join(dir, "twin"), filepath.Join(dir, "g"), filepath.Join(dir, "r")
	file := func(name string) string { return must(t, filepath.Join(dir, name), name) }
	address := publish(t, home, "t", file("one"))
	ok(t, home, "channel-delegate", "t", newKey(t, guest, "studio"))
	copyHome(t, home, twin)
	if err := os.Remove(filepath.Join(twin, "keys", "node.key")); err != nil { // one name is one node
		t.Fatal(err)
	}
	publish(t, twin, "t", file("hers"), "--only-holder")
	publish(t, home, "t", file("his"))

	homeAddr, twinAddr := start(t, home, "daemon").addr(), start(t, twin, "daemon").addr()
	follower := start(t, reader, "channel-subscribe", address, "-o", filepath.Join(dir, "out"), "--peer", homeAddr, "--peer", twinAddr)
	readerAddr := follower.addr()
	until(t, "the reader sees the fork", func() bool {
		out, _, code := amlRun(t, reader, "channel-show", address)
		return code == 0 && strings.Contains(out, "FORKED") && strings.Contains(out, "FROZEN") && strings.Contains(out, "signed two releases 2")
	})
	until(t, "its publisher sees the fork", func() bool {
		return strings.Contains(ok(t, home, "channel-show", address), "--last-good SEQ")
	})
	fails(t, 5, home, []string{"channel-publish", "t", file("more"), "--once"}, "frozen")
	var frozen string
	for _, line := range strings.Split(ok(t, reader, "channel-show", address), "\n") {
		if f := strings.Fields(line); len(f) > 3 && f[0] == "FORK" {
			frozen = f[2]
		}
	}
	fails(t, 2, home, []string{"channel-revoke", "t", frozen}, "say which release", "last good")

	second := start(t, guest, "channel-publish", address, file("guest"), "--peer", readerAddr)
	second.wait("published")
	until(t, "the reader has the guest's file", func() bool { return tree(t, filepath.Join(dir, "out"))["guest"] != "" })

	ok(t, home, "channel-revoke", "t", frozen, "--last-good", "1")
	until(t, "the reader sees that it is settled", func() bool {
		out := ok(t, reader, "channel-show", address)
		return strings.Contains(out, "which settled it") && !strings.Contains(out, "FORKED")
	})
	ok(t, filepath.Join(dir, "late"), "channel-subscribe", address, "-o", filepath.Join(dir, "late out"), "--peer", readerAddr, "--once")
}

// Its publisher is gone, and its head has expired. A daemon that has nothing but
// a head key and follows the channel makes it fresh again.
func TestAHeadKeyOnAnAlwaysOnNodeKeepsAChannelFresh(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock, reader := filepath.Join(dir, "c"), filepath.Join(dir, "r")
	ok(t, clock, "init")
	if err := keyfile.Write(filepath.Join(clock, "keys", "clock.pem"), channeltest.Key("clock")); err != nil {
		t.Fatal(err)
	}
	c := channeltest.NewChannel(t, "gone")
	first := c.Envelope
	c.Now = time.Now().Add(-10 * 24 * time.Hour)
	root2 := c.Replace(func(r *channel.Root) {
		r.Publishers = append(r.Publishers, channel.Publisher{Key: channeltest.Pub("clock"), Role: channel.RoleHead})
		if r.Publishers[0].Key.Compare(r.Publishers[1].Key) > 0 {
			r.Publishers[0], r.Publishers[1] = r.Publishers[1], r.Publishers[0]
		}
	})
	known := [][]byte{first, root2, c.Release(channel.Body{Title: "the last"}), c.Head(24 * time.Hour)}
	knows(t, clock, c.ID, known...)
	address := "aml://" + c.ID.String()
	if out := ok(t, clock, "channel-show", address); !strings.Contains(out, "stale") || !strings.Contains(out, "signs heads") {
		t.Fatalf("before: %s", out)
	}
	clockAddr := start(t, clock, "daemon").addr()
	start(t, reader, "channel-subscribe", address, "-o", filepath.Join(dir, "out"), "--peer", clockAddr).wait("manifest")
	until(t, "the reader's channel is fresh", func() bool {
		return strings.Contains(ok(t, reader, "channel-show", address), "1 release, fresh until")
	})
}
