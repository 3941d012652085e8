package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/internal/smalldisk"
	"github.com/anonymous-media-library/aml/plugins"
)

// What is told while the disk has no room for a journal is kept when it has.
func TestAJournalOnAFullDiskIsMadeWhenThereIsRoom(t *testing.T) {
	dir := smalldisk.Mount(t, t.TempDir(), "2m")
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	j, err := OpenJournal(t.Context(), filepath.Join(dir, "plugins", "events.db"))
	if err != nil {
		t.Fatal(err)
	}
	if j.Full() == nil {
		t.Error("it does not say that it keeps nothing")
	}
	if some, err := j.After(t.Context(), 0, 10); err != nil || len(some) != 0 {
		t.Errorf("events: %v, %v", some, err)
	}
	if last, err := j.Last(t.Context()); err != nil || last != 0 {
		t.Errorf("the last: %d, %v", last, err)
	}
	j.check = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	j.Add("file", map[string]string{"event": "file"})
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	deadline := time.After(90 * time.Second)
	for {
		news := j.more()
		some, err := j.After(t.Context(), 0, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(some) > 0 {
			if some[0].Event != "file" || j.Full() != nil {
				t.Errorf("%+v, %v", some, j.Full())
			}
			break
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatal("nothing is kept")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// How many events a full disk took is told when there is room, though nothing else
// happens then.
func TestAJournalCountsAllThatAFullDiskTook(t *testing.T) {
	dir := smalldisk.Mount(t, t.TempDir(), "2m")
	j, err := OpenJournal(t.Context(), filepath.Join(dir, "events.db"))
	if err != nil {
		t.Fatal(err)
	}
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	j.check = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- j.Run(ctx) }()
	look, deadline := time.NewTicker(10*time.Millisecond), time.After(90*time.Second)
	defer look.Stop()
	until := func(what string, is func() bool) {
		t.Helper()
		for !is() {
			select {
			case <-look.C:
			case <-deadline:
				t.Fatalf("%s: missed %d, full %v", what, j.missed.Load(), j.Full())
			}
		}
	}
	large := strings.Repeat("x", maxEvent/2)
	add := func(n int) {
		for range n {
			j.Add("file", large)
		}
	}
	add(30)
	until("30 are missed", func() bool { return j.missed.Load() == 30 && j.Full() != nil })
	add(20)
	until("50 are missed", func() bool { return j.missed.Load() == 50 })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	until("it is full no more", func() bool { return j.Full() == nil })
	some, err := j.After(t.Context(), 0, 10)
	if err != nil || len(some) != 1 || some[0].JSON != `{"event":"missed","events":50}` {
		t.Errorf("events: %+v, %v", some, err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := j.Close(); err != nil {
		t.Error(err)
	}
}

// A plugin that cannot be started as the disk is full was not changed, has not failed,
// and works again by itself.
func TestAFullDiskTurnsNoPluginOff(t *testing.T) {
	x := run(t, options{kind: "good", host: func(c *Config) { c.Scarce = 10 * time.Millisecond }})
	copies := filepath.Join(x.dir, "plugins", ".run")
	if err := os.MkdirAll(copies, 0o700); err != nil {
		t.Fatal(err)
	}
	smalldisk.Mount(t, copies, "1m")
	ask := func() plugins.Decision {
		v, err := x.Filter(t.Context(), release("2.0", channel.Update))
		if err != nil {
			t.Fatal(err)
		}
		return v[0].Decision
	}
	for range 20 {
		if d := ask(); d != plugins.Quarantine {
			t.Fatalf("without an answer: %v", d)
		}
	}
	eventually(t, "it waits", func() bool { ask(); return x.Status()[0].State == Waiting })
	if s := x.Status()[0]; s.Failures != 0 || !strings.Contains(s.Reason, "no space left") || strings.Contains(s.Reason, "changed") {
		t.Errorf("without room: %+v", s)
	}
	if p, err := x.shelf.Get("tested"); err != nil || p.Off != nil {
		t.Errorf("the lock says off %+v, %v", p.Off, err)
	}
	smalldisk.Resize(t, copies, "500m")
	eventually(t, "it works", func() bool { return ask() == plugins.Allow })
	x.stop()
}

// How far an observer is cannot be kept on a full disk. It observes on.
func TestAFullDiskStopsNoObserver(t *testing.T) {
	x := run(t, options{kind: "acting"})
	cursors := filepath.Dir(x.shelf.CursorFile("tested"))
	eventually(t, "it has begun", func() bool { _, err := os.Stat(x.shelf.CursorFile("tested")); return err == nil })
	smalldisk.Mount(t, cursors, "100k")
	ballast := filepath.Join(cursors, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 1<<20), 0o600); err == nil {
		t.Fatal("the disk is not full")
	}
	events := func() int {
		text, _ := os.ReadFile(filepath.Join(x.dir, "plugins", ".state", "tested", "events"))
		return strings.Count(string(text), "\n")
	}
	for n := 1; n <= 3; n++ {
		x.Observed("file", map[string]int{"n": n})
		eventually(t, "it observes", func() bool { return events() == n })
	}
	eventually(t, "the log says so", func() bool {
		text, _ := os.ReadFile(x.shelf.LogFile("tested"))
		return strings.Contains(string(text), "is not kept for now")
	})
	if s := x.Status()[0]; s.State != Ready || s.Failures != 0 || s.Starts != 1 {
		t.Errorf("without room: %+v", s)
	}
	eventually(t, "nothing is left of what was tried", func() bool { left, _ := os.ReadDir(cursors); return len(left) == 1 })
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	x.Observed("file", map[string]int{"n": 4})
	eventually(t, "it is kept", func() bool { n, err := readCursor(x.shelf.CursorFile("tested")); return err == nil && n > 0 })
	x.stop()
}
