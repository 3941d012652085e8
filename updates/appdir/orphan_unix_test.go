//go:build unix

package appdir_test

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/updates/appdir"
)

// orphanEnv makes this test's own binary one that asks a health command until it is killed.
const orphanEnv = "APPDIR_ORPHAN"

// Who updates is killed while the health command runs: that ends with all that it has
// started, though it would have gone on.
func TestAHealthCommandEndsWithAKilledUpdate(t *testing.T) {
	if dir := os.Getenv(orphanEnv); dir != "" {
		_, err := apply(filepath.Join(dir, "app"), appdir.Version{Version: "1.0.0", Archive: filepath.Join(dir, "archive"), Name: "app",
			Health: appdir.Health{Command: "exec 9>" + filepath.Join(dir, "pipe") + "; echo runs >&9; sleep 300 & sleep 300", Timeout: time.Hour}})
		t.Fatalf("it went on: %v", err)
	}
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "archive"), []byte("a program"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestAHealthCommandEndsWithAKilledUpdate$")
	cmd.Env = append(os.Environ(), orphanEnv+"="+dir)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	said := make(chan error, 2)
	go func() {
		f, err := os.Open(filepath.Join(dir, "pipe")) // who writes holds it open as long as it runs
		if err == nil {
			defer f.Close()
			r := bufio.NewReader(f)
			_, err = r.ReadString('\n')
			said <- err
			_, err = io.Copy(io.Discard, r)
		}
		said <- err
	}()
	for _, step := range []struct {
		what string
		then func() error
	}{{"began", cmd.Process.Kill}, {"ended", func() error { return nil }}} {
		select {
		case err := <-said:
			if err != nil {
				t.Fatal(err)
			}
		case <-time.After(2 * time.Minute):
			t.Fatalf("the health command has not %s", step.what)
		}
		if err := step.then(); err != nil {
			t.Fatal(err)
		}
	}
}

// What a health command leaves running on purpose stays: it may have started the
// application.
func TestWhatAHealthCommandLeavesRunningStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := os.WriteFile(filepath.Join(dir, "archive"), []byte("a program"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := apply(filepath.Join(dir, "app"), appdir.Version{Version: "1.0.0", Archive: filepath.Join(dir, "archive"), Name: "app",
		Health: appdir.Health{Command: "cat " + pipe + " > copy 2>/dev/null && cat copy > " + pipe + " & test -e app", Timeout: time.Hour}}); err != nil {
		t.Fatal(err)
	}
	answer := make(chan string, 1)
	go func() {
		if err := os.WriteFile(pipe, []byte("are you there"), 0o600); err != nil {
			answer <- err.Error()
			return
		}
		text, _ := os.ReadFile(pipe)
		answer <- string(text)
	}()
	select {
	case got := <-answer:
		if got != "are you there" {
			t.Errorf("it says %q", got)
		}
	case <-time.After(2 * time.Minute):
		t.Error("it does not run any more")
	}
}
