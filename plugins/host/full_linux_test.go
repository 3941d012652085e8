package host

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/internal/smalldisk"
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
