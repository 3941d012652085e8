package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
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
	if code := first.interrupt(); code != 130 {
		t.Errorf("an interrupted daemon ended with %d, want 130", code)
	}
	fails(t, 3, home, []string{"status"}, "aml daemon")
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
	fails(t, 1, filepath.Join(dir, "s"), []string{"channel-subscribe", address, "-o", out + "-channel", "--peer", gone, "--once", "--timeout", "2s"}, "--peer")
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

func TestAFullDiskIsNamedAndTheFetchGoesOnLater(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 {
		t.Skip("mounting a small tmpfs needs root")
	}
	dir := t.TempDir()
	small := filepath.Join(dir, "small")
	if err := os.Mkdir(small, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=12m"); err != nil {
		t.Skipf("mounting a small tmpfs: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(small, 0) })

	file, entry := filepath.Join(dir, "film"), filepath.Join(dir, "entry.json")
	noise(t, file, 16<<20, 1)
	ok(t, filepath.Join(dir, "p"), "ingest", "-i", file, "-o", entry)
	seeder := start(t, filepath.Join(dir, "p"), "blob-seed", "-i", entry)
	peer := seeder.addr()

	home, out := filepath.Join(small, "home"), filepath.Join(dir, "out")
	fetch := []string{"blob-fetch", "-i", entry, "-o", out, "--peer", peer, "--timeout", "5s", "--set", "minfree=0"}
	fails(t, 1, home, fetch, "full")
	if _, err := os.Stat(out); err == nil {
		t.Error("a half file stands under its final name")
	}
	ok(t, home, "blob-status", "--set", "minfree=0") // the home is still whole
	if err := syscall.Mount("", small, "", syscall.MS_REMOUNT, "size=64m"); err != nil {
		t.Fatal(err)
	}
	ok(t, home, fetch...)
	sums := tree(t, dir)
	if sums["out"] != sums["film"] {
		t.Error("the fetched file differs")
	}
	// The output's own disk can be full as well.
	if err := syscall.Mount("", small, "", syscall.MS_REMOUNT, "size=40m"); err != nil {
		t.Fatal(err)
	}
	outFull := filepath.Join(small, "out")
	noise(t, filepath.Join(small, "ballast"), 10<<20, 2)
	fails(t, 1, filepath.Join(dir, "f2"), []string{"blob-fetch", "-i", entry, "-o", outFull, "--peer", peer, "--timeout", "5s"}, "space")
	if _, err := os.Stat(outFull); err == nil {
		t.Error("a half file stands under its final name")
	}
}

// An output folder that may not be written to is named before anything is
// fetched.
func TestAnOutputFolderWithoutPermissionIsNamed(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	noise(t, file, 1000, 1)
	address := publish(t, filepath.Join(dir, "p"), "data", file)
	locked, home := filepath.Join(dir, "locked"), filepath.Join(dir, "s")
	for _, d := range []string{locked, home} {
		if err := os.Mkdir(d, 0o500); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(home, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := command(t.Context(), home, "channel-subscribe", address, "-o", filepath.Join(locked, "out"), "--once", "--timeout", "5s")
	if os.Getuid() == 0 { // root may write anywhere: become nobody
		const nobody = 65534
		if err := os.Chown(home, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		openTo(t, dir)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		program := filepath.Join(dir, "aml")
		copyFile(t, program, os.Args[0])
		cmd.Path, cmd.Dir = program, dir
	}
	var errs bytes.Buffer
	cmd.Stderr = &errs
	_ = cmd.Run()
	if code := cmd.ProcessState.ExitCode(); code != 1 || !strings.Contains(errs.String(), "locked") || !strings.Contains(errs.String(), "permission") {
		t.Errorf("exit code %d: %s", code, &errs)
	}
}

// openTo lets others pass through the folders above dir.
func openTo(t *testing.T, dir string) {
	t.Helper()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(t *testing.T, dst, src string) {
	t.Helper()
	if out, err := exec.Command("cp", src, dst).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if err := os.Chmod(dst, 0o755); err != nil {
		t.Fatal(err)
	}
}
