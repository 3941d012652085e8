package main

import (
	"path/filepath"
	"testing"
)

// A channel and a folder of it are followed at once through one daemon; nothing that one
// of the two is told to do happens to the other.
func TestSubscriptionsToOneChannelAreHeldApart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content, home := filepath.Join(dir, "content"), filepath.Join(dir, "s")
	all, part := filepath.Join(dir, "all"), filepath.Join(dir, "part")
	for i, name := range []string{"2026/a.ogg", "2026/b/a.ogg", "2026 old/a.ogg", "a.ogg"} {
		noise(t, filepath.Join(content, filepath.FromSlash(name)), 1000, uint64(i))
	}
	address := publish(t, filepath.Join(dir, "p"), "music/live", content)
	peer := start(t, filepath.Join(dir, "p"), "daemon").addr()
	start(t, home, "daemon", "--peer", peer).addr()

	ok(t, home, "channel-subscribe", address+"/2026", "-o", part, "--once")
	if got := tree(t, part); len(got) != 2 || got["2026/a.ogg"] == "" || got["2026/b/a.ogg"] == "" {
		t.Errorf("the folder of the channel is %v", got)
	}
	whole := start(t, home, "channel-subscribe", address, "-o", all)
	whole.wait("file")
	ok(t, home, "channel-subscribe", address, "-o", all, "--once")
	if got := tree(t, all); len(got) != 4 {
		t.Errorf("the channel is %v", got)
	}
	ok(t, home, "channel-subscribe", address+"/a.ogg", "-o", filepath.Join(dir, "one"), "--once")
	if got := tree(t, filepath.Join(dir, "one")); len(got) != 1 || got["a.ogg"] == "" {
		t.Errorf("the file of the channel is %v", got)
	}

	fails(t, 2, home, []string{"channel-subscribe", address + "/2026", "-o", all, "--once"}, "writes to "+all+" already")
	fails(t, 2, home, []string{"channel-subscribe", address + "/2026", "-o", part, "--path", "*", "--once"}, `the address names "2026", and the policy other paths`)
	fails(t, 2, home, []string{"channel-subscribe", address, "--once"}, "there are 3 subscriptions to "+address, all, part)

	ok(t, home, "channel-unsubscribe", address, "-o", part)
	ok(t, home, "channel-unsubscribe", address, "-o", all)
	whole.wait("unsubscribed")
	if code := whole.exit(); code != 0 {
		t.Errorf("after the subscription was ended the client ended with %d", code)
	}
	for e := range whole.events {
		t.Errorf("after its end the client says %s", e.raw)
	}
	if got := tree(t, all); len(got) != 4 {
		t.Errorf("afterwards the channel is %v", got)
	}
	ok(t, home, "channel-unsubscribe", address)
}
