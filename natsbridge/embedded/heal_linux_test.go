package embedded

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// patience decides only how soon a broken build is noticed.
const patience = 3 * time.Minute

func TestAfterItsDiskWasFullItGoesOnByItself(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var full atomic.Bool
	full.Store(true)
	at, err := Loopback("0")
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: dir, Listen: "0"}
	if _, err := cfg.validate(); err != nil {
		t.Fatal(err)
	}
	s, err := start(cfg, at, func(dir string) error {
		if full.Load() {
			return syscall.ENOSPC
		}
		return room(dir)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	url := s.URL()
	user, password := s.Login()
	nc, err := nats.Connect("", nats.InProcessServer(s), nats.UserInfo(user, password), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ok", "full"} {
		if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: []string{name}, MaxBytes: 100_000}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := js.Publish(t.Context(), "ok", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	// The next file of messages lies on a full disk.
	device := filepath.Join(dir, "jetstream", "$G", "streams", "full", "msgs", "2.blk")
	if err := os.Symlink("/dev/full", device); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		if err := nc.Publish("full", make([]byte, 20<<10)); err != nil {
			t.Fatal(err)
		}
	}
	until(t, "it says why", func() bool { err := s.Trouble(); return err != nil && errors.Is(err, syscall.ENOSPC) })
	if text := s.Trouble().Error(); !strings.Contains(text, dir) || !strings.Contains(text, "free the disk") {
		t.Errorf("it says %s", text)
	}
	if err := os.Remove(device); err != nil {
		t.Fatal(err)
	}
	full.Store(false)
	until(t, "it has begun anew", func() bool { return s.Trouble() == nil })
	until(t, "it stores again", func() bool {
		_, err := js.Publish(t.Context(), "full", []byte("kept"))
		return err == nil
	})
	if err := s.Trouble(); err != nil {
		t.Errorf("it still says %v", err)
	}
	if s.URL() != url {
		t.Errorf("it listens at %s, no longer at %s", s.URL(), url)
	}
	if m, err := js.Stream(t.Context(), "ok"); err != nil || m.CachedInfo().State.Msgs != 1 {
		t.Errorf("what it had: %v", err)
	}
}

func until(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for late := time.After(patience); !holds(); {
		select {
		case <-tick.C:
		case <-late:
			t.Fatalf("after %v still not: %s", patience, what)
		}
	}
}
