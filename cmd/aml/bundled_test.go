package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
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

// An event that a receiver did not take is posted again, though the daemon was
// killed meanwhile, and signed.
func TestAWebhookGetsWhatItHasNotTakenAfterAKill(t *testing.T) {
	t.Parallel()
	const secret = "a secret of sixteen and more"
	dir := t.TempDir()
	home, audio := filepath.Join(dir, "h"), filepath.Join(dir, "audio")
	if err := os.Mkdir(audio, 0o700); err != nil {
		t.Fatal(err)
	}
	song, long := filepath.Join(audio, "song.mp3"), time.Now().Add(-time.Hour)
	if err := errors.Join(os.WriteFile(song, []byte("la la"), 0o600), os.Chtimes(song, long, long)); err != nil {
		t.Fatal(err)
	}
	type call struct{ delivery, signature, body string }
	var mu sync.Mutex // guards taken and calls
	var taken bool
	var calls []call
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, call{r.Header.Get("X-AML-Delivery"), r.Header.Get("X-AML-Signature"), string(body)})
		if !taken {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer s.Close()
	seen := func() []call {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(calls)
	}
	memory := "--memory=4GiB" // enough for a test binary with the race detector in it
	ok(t, home, "plugin-install", "bundled:webhook", memory, "--grant", "network")
	ok(t, home, "plugin-config", "webhook", "url="+s.URL, "secret="+secret, "events=source")
	ok(t, home, "plugin-enable", "webhook")
	ok(t, home, "plugin-install", "bundled:podcast", memory, "--grant", "publish,files", "--path", audio, "--partial", "--enable")
	daemon := start(t, home, "daemon")
	daemon.addr()
	until(t, "the plugin to watch", func() bool { // it begins with what happens from then on
		_, err := os.Stat(filepath.Join(home, "plugins", ".cursors", "webhook"))
		return err == nil
	})
	ok(t, home, "source-add", "podcast", "radio/talk", audio)
	until(t, "the first post", func() bool { return len(seen()) > 0 })
	daemon.kill()
	mu.Lock()
	taken = true
	before := len(calls)
	mu.Unlock()
	start(t, home, "daemon").addr()
	until(t, "the post after the kill", func() bool { return len(seen()) > before })
	all := seen()
	first, last := all[0], all[before]
	if first.delivery != last.delivery || first.body != last.body || !strings.Contains(last.body, `"event":"source"`) || !strings.Contains(last.body, `"published":1`) {
		t.Errorf("posted were %+v", all)
	}
	at, _, _ := strings.Cut(strings.TrimPrefix(last.signature, "t="), ",")
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(at + "." + last.body))
	if want := "t=" + at + ",v1=" + hex.EncodeToString(mac.Sum(nil)); last.signature != want {
		t.Errorf("signature %s, want %s", last.signature, want)
	}
}
