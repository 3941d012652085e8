package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// A list with keys brings a private channel to another home, which then reads it;
// without them it brings a blind mirror. The file with keys is its owner's alone,
// whatever stood there before.
func TestAListWithKeysLetsAnotherHomeReadAndOneWithoutMakesABlindMirror(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := func(name string) string { return filepath.Join(dir, name) }
	file := filepath.Join(dir, "unmistakable.txt")
	write(t, file, bytes.Repeat([]byte("a line. "), 1000))
	channel := privateChannel(t, home("p"))
	publish(t, home("p"), "a/topic", file)
	p := start(t, home("p"), "daemon", "--set", "dht=false")
	at := p.addr()
	_, key, _ := strings.Cut(channel.ReadAddress, "#")
	ok(t, home("first"), "channel-trust", channel.ReadAddress, "--as", "ours")
	ok(t, home("first"), "channel-subscribe", channel.ReadAddress, "-o", home("out"), "--peer", at, "--once", "--timeout", "60s", "--set", "dht=false")

	secret, open := filepath.Join(dir, "secret.json"), filepath.Join(dir, "open.json")
	write(t, secret, []byte("it was readable by all"))
	ok(t, home("first"), "channel-export", "--with-keys", "-o", secret, "--replace")
	if info, err := os.Stat(secret); err != nil || runtime.GOOS != "windows" && info.Mode().Perm() != 0o600 {
		t.Errorf("the list with keys: %v, %v", info.Mode(), err)
	}
	ok(t, home("first"), "channel-export", "-o", open)
	for _, out := range [][]byte{read(t, open), []byte(ok(t, home("first"), "channel-export")), []byte(ok(t, home("first"), "channel-export", "--opml"))} {
		if bytes.Contains(out, []byte(key)) || !bytes.Contains(out, []byte(strings.TrimPrefix(channel.Address, "aml://"))) {
			t.Errorf("a list without keys:\n%s", out)
		}
	}
	if text := read(t, secret); bytes.Count(text, []byte(key)) != 2 { // the subscription and the name
		t.Errorf("the list with keys:\n%s", text)
	}
	// What was read is what is written again.
	again := filepath.Join(dir, "again.json")
	ok(t, home("second"), "channel-import", secret, "--trust")
	ok(t, home("second"), "channel-export", "--with-keys", "-o", again)
	if !sameSubscriptions(t, read(t, again), read(t, secret)) {
		t.Errorf("imported and exported again:\n%s\nwas\n%s", read(t, again), read(t, secret))
	}

	second := start(t, home("second"), "daemon", "--peer", at, "--set", "dht=false")
	var got struct {
		Name string `json:"name"`
	}
	if second.wait("file").decode(t, &got); got.Name != "unmistakable.txt" {
		t.Errorf("the second home has %+v", got)
	}
	if show := ok(t, home("second"), "channel-show", "@ours", "--json"); !strings.Contains(show, `"sealed":0`) && strings.Contains(show, `"sealed"`) {
		t.Errorf("by its name: %s", show)
	}
	ok(t, home("third"), "channel-import", open)
	third := start(t, home("third"), "daemon", "--peer", at, "--set", "dht=false")
	third.wait("mirrored")
	findIn(t, home("third"), secretsOf(t, home("p"), channel.ReadAddress))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// sameSubscriptions compares two lists but for the folders, which are a home's own.
func sameSubscriptions(t *testing.T, a, b []byte) bool {
	t.Helper()
	plain := func(text []byte) string {
		var list map[string]any
		if err := json.Unmarshal(text, &list); err != nil {
			t.Fatal(err)
		}
		for _, sub := range list["subscriptions"].([]any) {
			delete(sub.(map[string]any), "output")
		}
		out, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	return plain(a) == plain(b)
}

// Who keeps the members and was restored from a backup of before one was removed
// signs nothing: neither that member nor an address of then reads what comes.
func TestARestoredKeeperDoesNotLetARemovedMemberBackIn(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a copy of a file is not told from it on this system")
	}
	t.Parallel()
	dir := t.TempDir()
	home := func(name string) string { return filepath.Join(dir, name) }
	first, second := filepath.Join(dir, "first.txt"), filepath.Join(dir, "second.txt")
	write(t, first, []byte("first"))
	write(t, second, []byte("second"))
	channel := privateChannel(t, home("p"))
	stays := strings.TrimSpace(ok(t, home("stays"), "key-member"))
	leaves := strings.TrimSpace(ok(t, home("leaves"), "key-member"))
	ok(t, home("p"), "channel-member-add", "a/topic", stays, leaves)
	publish(t, home("p"), "a/topic", first)
	copyHome(t, home("p"), home("backup"))

	daemon := start(t, home("p"), "daemon", "--set", "dht=false")
	follower := start(t, home("stays"), "channel-subscribe", channel.Address, "-o", home("out"), "--peer", daemon.addr(), "--set", "dht=false")
	at := follower.addr()
	follower.wait("file")
	ok(t, home("p"), "channel-member-remove", "a/topic", leaves)
	publish(t, home("p"), "a/topic", first) // once more, so that the follower tells that it has the new epoch
	follower.wait("manifest")
	daemon.interrupt()
	if err := os.RemoveAll(home("p")); err != nil {
		t.Fatal(err)
	}
	copyHome(t, home("backup"), home("p"))

	for _, args := range [][]string{
		{"channel-member-add", "a/topic", leaves},
		{"channel-member-remove", "a/topic", "--new-epoch"},
		{"channel-publish", "a/topic", second, "--once"},
	} {
		fails(t, 1, home("p"), args, "restored from a backup")
	}
	// It catches up, and knows then that an epoch began whose key it has not.
	daemon = start(t, home("p"), "daemon", "--peer", at, "--set", "dht=false")
	daemon.addr()
	for _, step := range []struct {
		why  string
		args []string
	}{
		{"In the list are: ", []string{"channel-member-add", "a/topic", leaves}},
		{"In the list are: ", []string{"channel-member-remove", "a/topic", "--new-epoch"}},
		{"read key is not here", []string{"channel-publish", "a/topic", second}},
		{"read key is not here", []string{"channel-rotate", "a/topic"}},
	} {
		_, stderr, code := amlRun(t, home("p"), step.args...)
		if code == 0 || !strings.Contains(stderr, step.why) || !strings.Contains(stderr, "--members-checked") {
			t.Errorf("%v: exit code %d\n%s", step.args, code, stderr)
		}
	}
	if _, stderr, code := amlRun(t, home("p"), "channel-member-list", "a/topic"); code != 0 || !strings.Contains(stderr, "the list is of epoch 1, and epoch 2 has begun") {
		t.Errorf("the list: exit code %d\n%s", code, stderr)
	}
	// Whoever kept them looks, says who had gone, and goes on in an epoch of its own.
	if out := ok(t, home("p"), "channel-member-remove", "a/topic", leaves, "--members-checked"); !strings.Contains(out, "epoch 3 begins, 1 member;") {
		t.Errorf("%s", out)
	}
	ok(t, home("p"), "channel-publish", "a/topic", second)
	if _, forks := seqs(t, home("stays"), channel.Address); forks != 0 {
		t.Errorf("%d forks", forks)
	}
	_, stderr, code := amlRun(t, home("leaves"), "channel-subscribe", channel.Address, "-o", home("left"), "--peer", at, "--once", "--timeout", "60s", "--set", "dht=false")
	if code == 0 || !strings.Contains(stderr, "sealed") {
		t.Errorf("the removed member: exit code %d\n%s", code, stderr)
	}
}

// Who looks at a topic and has no key sees that a private channel is there, and
// nothing of what it is called; who reads it sees that, and shows no key.
func TestBrowsingShowsAPrivateChannelWithoutItsTitleOrItsKey(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := func(name string) string { return filepath.Join(dir, name) }
	file := filepath.Join(dir, "unmistakable.txt")
	write(t, file, []byte("text"))
	channel := privateChannel(t, home("p"))
	publish(t, home("p"), "a/topic", file, "--title", "unmistakable release")
	p := start(t, home("p"), "daemon", "--set", "dht=false")
	at := p.addr()
	for _, topic := range []string{"a", "a/topic"} {
		text := ok(t, home("stranger"), "channel-browse", topic, "--peer", at, "--wait", "1m", "--json", "--set", "dht=false")
		if strings.Contains(text, "unmistakable") || strings.Contains(text, "#") || topic == "a/topic" && !strings.Contains(text, channel.Address) {
			t.Errorf("a stranger sees on %s: %s", topic, text)
		}
	}
	for _, args := range [][]string{{"search", "unmistakable"}, {"channel-list"}} {
		if text := ok(t, home("stranger"), append(args, "--json")...); strings.Contains(text, `unmistakable`) || strings.Contains(text, "#") {
			t.Errorf("a stranger's %v: %s", args, text)
		}
	}
	findIn(t, home("stranger"), secretsOf(t, home("p"), channel.ReadAddress))
	ok(t, home("reader"), "channel-subscribe", channel.ReadAddress, "-o", home("out"), "--peer", at, "--once", "--timeout", "60s", "--set", "dht=false")
	text := ok(t, home("reader"), "channel-browse", "a/topic", "--offline", "--json")
	if !strings.Contains(text, "unmistakable title of a channel") || !strings.Contains(text, `"release":"unmistakable release"`) || strings.Contains(text, "#") {
		t.Errorf("a reader sees %s", text)
	}
	if text := ok(t, home("reader"), "search", "unmistakable", "--json"); !strings.Contains(text, `"title":"unmistakable title of a channel"`) || strings.Contains(text, "#") {
		t.Errorf("a reader finds %s", text)
	}
}
