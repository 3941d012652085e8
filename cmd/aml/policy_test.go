package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A daemon follows with a policy that is changed while it runs: what was left
// out comes, what came before stays, and the cursor is where it was.
func TestAPolicyChangedThroughADaemonHoldsAtOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	content, out, home := filepath.Join(dir, "content"), filepath.Join(dir, "out"), filepath.Join(dir, "s")
	noise(t, filepath.Join(content, "song.ogg"), 3000, 1)
	noise(t, filepath.Join(content, "film.mkv"), 300_000, 2)
	address := publish(t, filepath.Join(dir, "p"), "music/live", content)
	peer := start(t, filepath.Join(dir, "p"), "daemon").addr()

	ok(t, home, "channel-trust", address, "--as", "band")
	daemon := start(t, home, "daemon", "--peer", peer)
	daemon.addr()
	sub := start(t, home, "channel-subscribe", "@band", "-o", out, "--no-download")
	sub.wait("manifest")
	if e := sub.wait("passed"); !strings.Contains(string(e.raw), `"files":2`) {
		t.Errorf("told %s", e.raw)
	}
	if got := tree(t, out); len(got) != 0 {
		t.Errorf("only listed, but there is %v", got)
	}
	ok(t, home, "channel-set", "@band", "--download", "--max-size", "100KiB", "--quota", "1MiB", "--name", "{channel}/{name}{ext}", "--rate", "50MiB/s", "--priority", "low")
	sub.wait("file")
	song := filepath.Join(out, "music", "live", "song.ogg")
	if _, err := os.Stat(song); err == nil {
		t.Error("a channel's title makes folders")
	}
	song = filepath.Join(out, "music_live", "song.ogg")
	if _, err := os.Stat(song); err != nil {
		t.Errorf("with a looser policy: %v", err)
	}
	ok(t, home, "channel-subscribe", "@band", "--once") // all is recorded then
	if shown := ok(t, home, "channel-show", "band", "--json"); !strings.Contains(shown, `"reason":"maxSize","files":1`) || !strings.Contains(shown, `"petnames":["band"]`) {
		t.Errorf("shown: %s", shown)
	}
	if err := os.Remove(song); err != nil { // the user's wish, which a change does not undo
		t.Fatal(err)
	}
	ok(t, home, "channel-subscribe", "@band", "--once", "--max-size", "", "--name", "") // the same folder, as it is the only one
	if got := tree(t, out); len(got) != 1 || got["film.mkv"] == "" {
		t.Errorf("in the end there is %v", got)
	}
}

func TestAFileThatOneNodeHasWaitsForASecondWhereTwoAreWanted(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, out, home := filepath.Join(dir, "song.ogg"), filepath.Join(dir, "out"), filepath.Join(dir, "s")
	noise(t, file, 3000, 1)
	address := publish(t, filepath.Join(dir, "p"), "music/live", file)
	publisher := start(t, filepath.Join(dir, "p"), "daemon").addr()
	ok(t, home, "channel-subscribe", address, "-o", out, "--peer", publisher, "--min-sources", "2", "--once")
	if got := tree(t, out); len(got) != 0 {
		t.Errorf("one node has it, and there is %v", got)
	}
	mirror := start(t, filepath.Join(dir, "m"), "channel-subscribe", address, "-o", filepath.Join(dir, "mirror"), "--peer", publisher)
	peer := mirror.addr()
	mirror.wait("file")
	ok(t, home, "channel-subscribe", address, "--peer", publisher, "--peer", peer, "--once")
	if got := tree(t, out); len(got) != 1 {
		t.Errorf("two nodes have it, and there is %v", got)
	}
}

func TestEveryFlagOfAPolicyIsInTheDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/subscriptions.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range append(policyLists, policyTexts...) {
		if !strings.Contains(string(text), "| `"+f.field+"` | `--"+f.flag+"` |") {
			t.Errorf("--%s, which is %s, has no row", f.flag, f.field)
		}
	}
}
