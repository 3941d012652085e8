package main

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// fails runs aml and wants that exit code and all of words on standard error.
func fails(t *testing.T, code int, home string, args []string, words ...string) {
	t.Helper()
	out, errs, got := amlRun(t, home, args...)
	if got != code {
		t.Fatalf("aml %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, out, errs)
	}
	for _, w := range words {
		if !strings.Contains(errs, w) {
			t.Errorf("aml %s: the error does not name %q: %s", strings.Join(args, " "), w, errs)
		}
	}
}

func TestATakenPortIsNamed(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	fails(t, 1, t.TempDir(), []string{"daemon", "--listen", "/ip4/127.0.0.1/tcp/" + port}, port, "taken")
}

func TestASecondDaemonOnOneHomeIsRefused(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	first := start(t, home, "daemon")
	first.addr()
	fails(t, 1, home, []string{"daemon"}, home)
	ok(t, home, "status")
	entry := filepath.Join(home, "entry.json")
	write(t, entry, []byte("{}"))
	fails(t, 2, home, []string{"blob-seed", "-i", entry, "--http"}, "aml daemon --http")
	if code := first.interrupt(); code != 130 {
		t.Errorf("an interrupted daemon ended with %d, want 130", code)
	}
	fails(t, 3, home, []string{"status"}, "aml daemon")
	again := start(t, home, "daemon")
	again.addr()
	if err := again.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := again.exit(); code != 0 {
		t.Errorf("a daemon asked to stop by SIGTERM ended with %d, want 0", code)
	}
}

func TestAnUnreachablePeerIsNamedAndNothingIsWritten(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, entry := filepath.Join(dir, "file"), filepath.Join(dir, "entry.json")
	noise(t, file, 1000, 1)
	ok(t, filepath.Join(dir, "p"), "ingest", "-i", file, "-o", entry)
	address := publish(t, filepath.Join(dir, "p"), "data", file)
	const gone = "/ip4/127.0.0.1/tcp/1/p2p/12D3KooWGzxzKZYveHXtpG6AsrUJBcWxHBFS2HsEoGTxrMLvKXtf"
	out := filepath.Join(dir, "out")
	fails(t, 4, filepath.Join(dir, "f"), []string{"blob-fetch", "-i", entry, "-o", out, "--peer", gone, "--timeout", "2s"})
	fails(t, 4, filepath.Join(dir, "s"), []string{"channel-subscribe", address, "-o", out + "-channel", "--peer", gone, "--once", "--timeout", "2s"}, "--peer")
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
	fails(t, 2, filepath.Join(dir, "f"), []string{"blob-fetch", "-i", entry, "-o", out, "--peer", "127.0.0.1:4001"}, "127.0.0.1:4001")
	fails(t, 2, filepath.Join(dir, "s"), []string{"channel-subscribe", "aml://nonsense", "-o", out})
}

func TestAWrongKeyOpensNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, entry, out := filepath.Join(dir, "file"), filepath.Join(dir, "entry.json"), filepath.Join(dir, "out")
	noise(t, file, 1000, 1)
	doc := ok(t, filepath.Join(dir, "p"), "ingest", "-i", file)
	at := strings.Index(doc, `"key": "`) + len(`"key": "`)
	wrong := doc[:at] + strings.Repeat("5", 64) + doc[at+64:]
	write(t, entry, []byte(wrong))
	fails(t, 5, filepath.Join(dir, "p"), []string{"blob-fetch", "-i", entry, "-o", out})
	if _, err := os.Stat(out); err == nil {
		t.Error("something was written")
	}
}
