package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The main job: publisher, mirror and late subscriber are three processes. The
// full sizes (256 MiB and 200 files) run with -tags large.
func TestALateSubscriberGetsEverythingFromAMirrorAfterThePublisherWasKilled(t *testing.T) {
	t.Parallel()
	threeProcesses(t, 9<<20+12345, 40)
}

func threeProcesses(t *testing.T, size, files int) {
	dir := t.TempDir()
	content := filepath.Join(dir, "content")
	noise(t, filepath.Join(content, "film.mkv"), size, 1)
	for i := range files {
		noise(t, filepath.Join(content, fmt.Sprintf("album/disc %d/track-%03d.ogg", i%3, i)), 100+i*997, uint64(i+2))
	}
	noise(t, filepath.Join(content, "empty.txt"), 0, 0)

	publisher := start(t, filepath.Join(dir, "p"), "channel-publish", "music/live", content)
	publisherAddr := publisher.addr()
	var pub struct {
		Address string `json:"address"`
		Entries int    `json:"entries"`
	}
	publisher.wait("published").decode(t, &pub)
	if pub.Entries != files+2 || !strings.HasPrefix(pub.Address, "aml://") {
		t.Fatalf("published %+v, want %d entries and an address", pub, files+2)
	}

	mirror := start(t, filepath.Join(dir, "m"), "channel-subscribe", pub.Address, "-o", filepath.Join(dir, "mirror"), "--peer", publisherAddr)
	mirrorAddr := mirror.addr()
	for range files + 2 {
		mirror.wait("file")
	}
	publisher.kill()

	late := start(t, filepath.Join(dir, "l"), "channel-subscribe", pub.Address, "-o", filepath.Join(dir, "late"), "--peer", mirrorAddr, "--once")
	if code := late.exit(); code != 0 {
		t.Fatalf("the late subscriber ended with exit code %d\n%s", code, late.stderr)
	}
	sameTree(t, filepath.Join(dir, "mirror"), content)
	sameTree(t, filepath.Join(dir, "late"), content)
}

func TestTenReleasesPublishedWhileASubscriberIsOfflineArriveInOrder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, home, out := filepath.Join(dir, "episode.txt"), filepath.Join(dir, "p"), filepath.Join(dir, "out")
	write(t, file, []byte("episode 0"))
	address := publish(t, home, "show", file, "--title", "release 1")

	subscribe := func(peer string) []string {
		sub := start(t, filepath.Join(dir, "s"), "channel-subscribe", address, "-o", out, "--peer", peer, "--once")
		var titles []string
		for e := range sub.events {
			if e.name == "manifest" {
				var m struct {
					Title string `json:"title"`
				}
				e.decode(t, &m)
				titles = append(titles, m.Title)
			}
		}
		if code := sub.exit(); code != 0 {
			t.Fatalf("subscribing: exit code %d\n%s", code, sub.stderr)
		}
		return titles
	}
	daemon := start(t, home, "daemon")
	if got := subscribe(daemon.addr()); fmt.Sprint(got) != "[release 1]" {
		t.Fatalf("first: %v", got)
	}
	var want []string
	for i := 2; i <= 11; i++ {
		write(t, file, fmt.Appendf(nil, "episode %d", i))
		title := fmt.Sprintf("release %d", i)
		publish(t, home, "show", file, "--title", title) // through the daemon
		want = append(want, title)
	}
	var status struct {
		Addrs []string `json:"addrs"`
	}
	if err := json.Unmarshal([]byte(ok(t, home, "status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	if got := subscribe(status.Addrs[0]); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("after ten releases: %v, want %v", got, want)
	}
	if got := tree(t, out); len(got) != 1 {
		t.Fatalf("files: %v", got)
	}
	sameTree(t, out, filepath.Dir(must(t, filepath.Join(dir, "want", "episode.txt"), "episode 11")))
}

func must(t *testing.T, path, content string) string {
	t.Helper()
	write(t, path, []byte(content))
	return path
}

func TestARemovedFileGoesAwayAtTheSubscriber(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := filepath.Join(dir, "p")
	content := filepath.Join(dir, "content")
	noise(t, filepath.Join(content, "keep.bin"), 1000, 1)
	noise(t, filepath.Join(content, "drop.bin"), 1000, 2)
	address := publish(t, home, "data", content)
	daemon := start(t, home, "daemon")
	sub := start(t, filepath.Join(dir, "s"), "channel-subscribe", address, "-o", filepath.Join(dir, "out"), "--peer", daemon.addr())
	sub.wait("file")
	sub.wait("file")
	write(t, filepath.Join(dir, "manifest.json"), []byte(`{"title":"fewer","remove":["drop.bin"]}`))
	publish(t, home, "data", "-i", filepath.Join(dir, "manifest.json"))
	sub.wait("removed")
	got := tree(t, filepath.Join(dir, "out"))
	if len(got) != 1 || got["keep.bin"] == "" {
		t.Fatalf("after the removal the folder holds %v", got)
	}
}

func TestATopicShowsItsChannelsAndFollowsThoseTrusted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var addresses, peers []string
	for i := range 2 {
		home, file := filepath.Join(dir, fmt.Sprint("p", i)), filepath.Join(dir, fmt.Sprintf("file-%d.bin", i))
		noise(t, file, 1000, uint64(i))
		addresses = append(addresses, publish(t, home, "music/live", file))
		args := []string{"daemon"}
		for _, p := range peers {
			args = append(args, "--peer", p)
		}
		peers = append(peers, start(t, home, args...).addr())
	}
	// The second publisher knows the first; the subscriber only the second.
	one, all := filepath.Join(dir, "one"), filepath.Join(dir, "all")
	ok(t, filepath.Join(dir, "s1"), "channel-subscribe", "music/live", "--trust", addresses[1], "-o", one, "--peer", peers[1], "--once")
	id := strings.TrimPrefix(addresses[1], "aml://")
	if got := tree(t, one); len(got) != 1 || got[id+"/file-1.bin"] == "" {
		t.Errorf("one channel was trusted; its folder holds %v", got)
	}
	sub := start(t, filepath.Join(dir, "s2"), "channel-subscribe", "music/live", "--trust-all", "-o", all, "--peer", peers[1])
	sub.wait("file")
	sub.wait("file")
	if got := tree(t, all); len(got) != 2 {
		t.Errorf("every channel is trusted; the folder holds %v", got)
	}
	for name := range tree(t, all) {
		if strings.Count(name, "/") != 1 {
			t.Errorf("%s is not in a folder of its channel's own", name)
		}
	}
}

// channelWithOneFile is a publisher's daemon and the address of its channel with one file.
func channelWithOneFile(t *testing.T, dir string) (address, peer string) {
	t.Helper()
	file := filepath.Join(dir, "file.bin")
	noise(t, file, 1000, 1)
	home := filepath.Join(dir, "p")
	address = publish(t, home, "data", file)
	return address, start(t, home, "daemon").addr()
}

func TestAFolderThatWasRemovedIsFilledAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address, peer := channelWithOneFile(t, dir)
	home, out := filepath.Join(dir, "s"), filepath.Join(dir, "out")
	for range 2 {
		ok(t, home, "channel-subscribe", address, "-o", out, "--peer", peer, "--once")
		if len(tree(t, out)) != 1 {
			t.Fatal("the file did not arrive")
		}
		if err := os.RemoveAll(out); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAMistypedSubscriptionIsNotKept(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, peer := channelWithOneFile(t, dir)
	home := filepath.Join(dir, "s")
	for _, target := range []string{"aml://baaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "nobody/here"} {
		args := []string{"channel-subscribe", target, "-o", filepath.Join(dir, "out"), "--peer", peer, "--once", "--timeout", "2s"}
		if !strings.HasPrefix(target, "aml:") {
			args = append(args, "--trust-all")
		}
		fails(t, 4, home, args, "--peer")
	}
	fails(t, 1, home, []string{"channel-subscribe", "data", "-o", filepath.Join(dir, "out"), "--peer", peer, "--once", "--timeout", "20s"}, "--trust")
	daemon := start(t, home, "daemon")
	daemon.addr()
	var status struct {
		Subscriptions []struct{ Target string }
	}
	if err := json.Unmarshal([]byte(ok(t, home, "status", "--json")), &status); err != nil {
		t.Fatal(err)
	}
	for _, s := range status.Subscriptions {
		if s.Target != "data" { // a real topic, which waits for a --trust
			t.Errorf("a subscription to %s was kept", s.Target)
		}
	}
}

func TestThroughADaemonASubscriptionGoesOnUntilItIsEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address, peer := channelWithOneFile(t, dir)
	home, out := filepath.Join(dir, "s"), filepath.Join(dir, "out")
	start(t, home, "daemon", "--peer", peer).addr()

	client := start(t, home, "channel-subscribe", address, "-o", out)
	client.wait("file")
	client.interrupt()
	more := filepath.Join(dir, "more.bin")
	noise(t, more, 1000, 2)
	again := start(t, home, "channel-subscribe", address, "-o", out)
	again.wait("listening")
	publish(t, filepath.Join(dir, "p"), "data", more)
	again.wait("file")
	if got := tree(t, out); len(got) != 2 {
		t.Errorf("the folder holds %v", got)
	}
	ok(t, home, "channel-unsubscribe", address)
	again.wait("unsubscribed")
	if code := again.exit(); code != 0 {
		t.Errorf("after the subscription was ended the client ended with %d", code)
	}
	fails(t, 4, home, []string{"channel-unsubscribe", address})
}

// A topic that is looked up leads to the same files as one that is listened to.
func TestATopicThatIsLookedUpIsFollowed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	address, peer := channelWithOneFile(t, dir)
	home, out := filepath.Join(dir, "s"), filepath.Join(dir, "out")
	ok(t, home, "channel-subscribe", "data", "--look-up", "--trust-all", "-o", out, "--once", "--peer", peer, "--set", "dht=false")
	id := strings.TrimPrefix(address, "aml://")
	if got := tree(t, filepath.Join(out, id)); len(got) != 1 {
		t.Errorf("got %v", got)
	}
	if _, stderr, code := amlRun(t, home, "channel-subscribe", address, "--look-up", "--once"); code != 2 || !strings.Contains(stderr, "goes with a topic") {
		t.Errorf("exit code %d: %s", code, stderr)
	}
}
