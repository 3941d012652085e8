package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// fillWhole leaves not a byte on the disk of path.
func fillWhole(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	block := make([]byte, 64<<10)
	for len(block) > 0 {
		if _, err := f.Write(block); err != nil {
			block = block[:len(block)/2]
		}
	}
}

// A daemon whose disk is full when it starts for the first time serves what there
// is, says what it cannot do, and does that when there is room.
func TestADaemonStartsForTheFirstTimeOnAFullDisk(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	small := smallDisk(t, dir, "24m")
	home, file := filepath.Join(small, "home"), filepath.Join(dir, "file")
	noise(t, file, 100_000, 1)
	entry := filepath.Join(dir, "entry.json")
	ok(t, home, "ingest", "-i", file, "-o", entry, "--set", "minfree=0")
	if _, err := os.Stat(filepath.Join(home, "plugins", ".events.db")); err == nil {
		t.Fatal("there is a journal of events already")
	}
	ballast := filepath.Join(small, "ballast")
	fillWhole(t, ballast)

	daemon := start(t, home, "daemon")
	peer := daemon.addr()
	ok(t, filepath.Join(dir, "other"), "blob-fetch", "-i", entry, "-o", filepath.Join(dir, "got"), "--peer", peer)
	sameFile(t, filepath.Join(dir, "got"), file)
	events := func() (kept bool) {
		t.Helper()
		var s struct {
			EventsLost string `json:"eventsLost"`
		}
		if err := json.Unmarshal([]byte(ok(t, home, "status", "--json")), &s); err != nil {
			t.Fatal(err)
		}
		return s.EventsLost == ""
	}
	if events() {
		t.Error("status does not say that events are not kept")
	}
	if out := ok(t, home, "status"); !strings.Contains(out, "events are not kept for plugins") {
		t.Errorf("status: %s", out)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until(t, "events are kept when there is room", events)
	if err := daemon.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := daemon.exit(); code != 0 && code != 130 || !strings.Contains(daemon.stderr.String(), "events are not kept for plugins") {
		t.Errorf("exit code %d: %s", code, daemon.stderr)
	}
}
