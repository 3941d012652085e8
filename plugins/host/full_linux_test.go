package host

import (
	"context"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// What is told while the disk has no room for a journal is kept when it has.
func TestAJournalOnAFullDiskIsMadeWhenThereIsRoom(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("mounting a small disk needs root")
	}
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=2m"); err != nil {
		t.Skipf("mounting a small disk: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) })
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
