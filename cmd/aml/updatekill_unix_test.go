//go:build unix

package main

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/anonymous-media-library/aml/updates/appdir"
)

// filesOfApp is how many files a version of the application has, all of which name it.
const filesOfApp = 50

// publishApp publishes a version as one archive.
func publishApp(t *testing.T, home, version string) string {
	t.Helper()
	dir, name := t.TempDir(), "app-"+version+".tar"
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	for n := range filesOfApp {
		if err := w.WriteHeader(&tar.Header{Name: fmt.Sprint("lib/", n), Mode: 0o644, Size: int64(len(version))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(version)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, name), archive.Bytes())
	doc, err := json.Marshal(map[string]any{
		"title": "App " + version, "description": "what is new", "metadata": map[string]string{"version": version},
		"entries": []any{map[string]any{"path": name, "attrs": map[string]string{"platform": runtime.GOOS + "/" + runtime.GOARCH}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "manifest.json"), doc)
	return publish(t, home, "soft/app", "-i", filepath.Join(dir, "manifest.json"))
}

// wholeApp is the version in force; it fails unless all of it is there.
func wholeApp(t *testing.T, folder string) string {
	t.Helper()
	link, err := os.Readlink(filepath.Join(folder, "current"))
	if err != nil {
		t.Fatal(err)
	}
	version := filepath.Base(link)
	for n := range filesOfApp {
		got, err := os.ReadFile(filepath.Join(folder, "current", "lib", fmt.Sprint(n)))
		if err != nil || string(got) != version {
			t.Fatalf("version %s is not whole: file %d is %q, %v", version, n, got, err)
		}
	}
	return version
}

// aml update-apply is killed (SIGKILL) at points of its way. Its health command does not
// end, so that no process passes the switch: those that are killed from its first step on
// are killed in it, whatever the machine's load.
func TestUpdateApplyKilledInASwitchLeavesTheOldOrTheNewVersion(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, reader, app, asked := filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "app"), filepath.Join(dir, "asked")
	ok(t, owner, "channel-create", "soft/app", "--kind", "update")
	addr := start(t, owner, "daemon").addr()
	address := publishApp(t, owner, "1.0.0")
	start(t, reader, "daemon", "--peer", addr).addr()
	ok(t, reader, "update-apply", address, app)
	publishApp(t, owner, "2.0.0")

	there := func(name string) bool { _, err := os.Stat(name); return err == nil }
	switching := func() bool {
		s, err := appdir.Look(app)
		return err == nil && s.Switching != nil
	}
	const wanted = 4
	kills, seen := 0, map[string]int{}
	for round := 0; kills < wanted; round++ {
		if round == 5*wanted {
			t.Fatalf("of %d kills %d came in a switch, want %d", round, kills, wanted)
		}
		_ = os.Remove(asked)
		p := start(t, reader, "update-apply", address, app, "--retry", "--health-timeout", "10m",
			"--health", "echo $$ >'"+asked+".new'; mv '"+asked+".new' '"+asked+"'; exec sleep 600")
		reached := []struct {
			what string
			is   func() bool
		}{
			{"the health command is asked", func() bool { return there(asked) }},
			{"a switch has begun", switching},
			{"a version is staged", func() bool { return there(filepath.Join(app, "versions", "2.0.0")) }},
		}[round%3]
		until(t, reached.what, func() bool {
			select {
			case <-p.done:
				t.Fatalf("update-apply ended by itself: %s", p.stderr)
			default:
			}
			return reached.is()
		})
		p.kill()
		endOf(t, asked)
		if switching() {
			kills++
		}
		seen[wholeApp(t, app)]++
		if round%2 == 0 { // killed again, while it ends the switch
			continue
		}
		_, said, code := amlRun(t, reader, "update-apply", address, app, "--retry", "--health", "exit 1")
		if code != 1 || !strings.Contains(said, "2.0.0 did not pass its health command and was taken back") {
			t.Fatalf("after a kill: exit code %d, %s", code, said)
		}
		if got := wholeApp(t, app); got != "1.0.0" || switching() {
			t.Fatalf("after it was taken back %s is in force", got)
		}
	}
	t.Logf("%d kills came in a switch; in force was then: %v", kills, seen)
	ok(t, reader, "update-apply", address, app, "--retry", "--health", "exit 0")
	if got := wholeApp(t, app); got != "2.0.0" || switching() {
		t.Errorf("in the end %s is in force", got)
	}
}

// endOf ends the health command that wrote its process id into a file, if it has.
func endOf(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		return
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 2 {
		t.Fatalf("its process id: %q", text)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}
