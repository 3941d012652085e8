package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Bundled plugins run as processes of their own, confined to what was granted,
// and what they say of a release and a file counts.
func TestBundledPluginsLeaveOutWhatIsListedAndWhatIsNotWhatItSays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, reader, lists, out := filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "lists"), filepath.Join(dir, "out")
	files := filepath.Join(dir, "files")
	for path, text := range map[string]string{
		filepath.Join(files, "song.txt"):  "la la",
		filepath.Join(files, "cover.png"): "<!doctype html><title>404</title>",
		filepath.Join(files, "Setup.EXE"): "MZ",
		filepath.Join(lists, "a.txt"):     "# signed by somebody\nname *.exe\n",
	} {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := publish(t, owner, "music/live", files)
	peer := start(t, owner, "daemon").addr()

	memory := "--memory=4GiB" // enough for a test binary with the race detector in it
	ok(t, reader, "plugin-install", "bundled:blocklist", memory)
	ok(t, reader, "plugin-config", "blocklist", "lists="+lists)
	ok(t, reader, "plugin-enable", "blocklist", "--grant", "files", "--path", lists)
	ok(t, reader, "plugin-install", "bundled:scan", memory, "--grant", "plaintext", "--partial", "--enable")
	ok(t, reader, "channel-subscribe", address, "-o", out, "--peer", peer, "--once")
	var got []string
	for name := range tree(t, out) {
		got = append(got, filepath.Base(name))
	}
	if !slices.Equal(got, []string{"song.txt"}) {
		t.Errorf("written were %v", got)
	}
	if log := ok(t, reader, "plugin-logs", "blocklist"); !strings.Contains(log, "1 rules are in force") {
		t.Errorf("blocklist says: %s", log)
	}

	// Lists that are out of its reach are said to be; and it was not let through then.
	other := filepath.Join(dir, "other")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	ok(t, reader, "plugin-enable", "blocklist", "--path", other)
	ok(t, reader, "channel-subscribe", address, "-o", filepath.Join(dir, "out2"), "--peer", peer, "--once")
	if log := ok(t, reader, "plugin-logs", "blocklist"); !strings.Contains(log, "grant the capability files") {
		t.Skipf("this system cannot keep files from a plugin: %s", log)
	}
}
