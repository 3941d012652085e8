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

// A daemon whose disk is full when it starts for the first time, in a home that is
// there, serves what there is, says what it cannot do, and does that when there is room.
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

// A home is not begun without room: that is said, with how much it takes, and nothing
// that stays hinders the next start.
func TestAHomeThatIsNewNeedsRoomAndSaysHowMuch(t *testing.T) {
	t.Parallel()
	small := smallDisk(t, t.TempDir(), "4m")
	home, ballast := filepath.Join(small, "home"), filepath.Join(small, "ballast")
	for _, free := range []int64{0, 20 << 10, 200 << 10, 400 << 10} { // before the identity, the databases, the catalogue is whole
		if err := os.RemoveAll(home); err != nil {
			t.Fatal(err)
		}
		fillWhole(t, ballast)
		info, err := os.Stat(ballast)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(ballast, info.Size()-free); err != nil {
			t.Fatal(err)
		}
		for _, command := range []string{"init", "daemon"} {
			_, stderr, code := amlRun(t, home, command, "--set", "minfree=0")
			if code != 1 || !strings.Contains(stderr, "the disk of the home "+home+" is full: make room, 2 MiB") || strings.Contains(stderr, "rollback") {
				t.Errorf("%s with %d bytes free: exit code %d: %s", command, free, code, stderr)
			}
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(home, "config.yaml")); err == nil {
			t.Error("a configuration was written")
		}
		ok(t, home, "init", "--set", "minfree=0")
		for _, pattern := range []string{".aml-*", "*/.aml-*"} {
			if left, _ := filepath.Glob(filepath.Join(home, pattern)); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
		}
	}
	config := filepath.Join(home, "config.yaml")
	if err := os.Truncate(config, 0); err != nil { // as versions before this one left it
		t.Fatal(err)
	}
	if _, stderr, code := amlRun(t, home, "init"); code != 1 || !strings.Contains(stderr, config+" is empty") || !strings.Contains(stderr, "delete it") {
		t.Errorf("an empty configuration: exit code %d: %s", code, stderr)
	}
}
