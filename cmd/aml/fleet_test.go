package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

type mirrorEvent struct {
	State   string
	Seq     int
	Blobs   int
	Fetched int
	Missing int
}

// mirrored waits until a mirror has a release whole that it had to fetch.
func (p *program) mirrored(seq int) mirrorEvent {
	p.t.Helper()
	for {
		var e mirrorEvent
		if p.wait("mirror").decode(p.t, &e); e.State == "kept" && e.Seq == seq && e.Missing == 0 {
			return e
		}
	}
}

// The promise of a mirror: a channel, public or private, goes on without whoever
// published it, and what it takes back is let go of.
func TestAMirrorKeepsChannelsWhenTheirPublisherIsGone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	origin, home := filepath.Join(dir, "p"), filepath.Join(dir, "m")
	content := filepath.Join(dir, "content")
	noise(t, filepath.Join(content, "film.mkv"), 3<<20+1, 1)
	noise(t, filepath.Join(content, "notes.bin"), 5000, 2)
	public := publish(t, origin, "music/live", content)
	ok(t, origin, "channel-create", "secrets", "--private")
	ok(t, origin, "channel-publish", "secrets", filepath.Join(content, "film.mkv"), "--once")
	keyed := strings.TrimSpace(ok(t, origin, "channel-show", "secrets", "--read-key"))
	for _, word := range strings.Fields(keyed) {
		if strings.HasPrefix(word, "aml://") && strings.Contains(word, "#") {
			keyed = word
		}
	}
	private, _, _ := strings.Cut(keyed, "#")

	daemon := start(t, origin, "daemon")
	mirror := start(t, home, "mirror", public, private, "--peer", daemon.addr())
	mirror.addr()
	for range 2 {
		if e := mirror.mirrored(1); e.Blobs < 5 {
			t.Errorf("a release has %d blobs", e.Blobs)
		}
	}
	// News come by themselves; what is replaced is let go of.
	noise(t, filepath.Join(content, "notes.bin"), 6000, 3)
	publish(t, origin, "music/live", filepath.Join(content, "notes.bin"), "--title", "two")
	for whole, letGo := false, false; !whole || !letGo; { // in either order
		var e mirrorEvent
		mirror.wait("mirror").decode(t, &e)
		whole = whole || e.State == "kept" && e.Seq == 2 && e.Missing == 0
		letGo = letGo || e.State == "letGo"
	}
	daemon.kill()
	if err := os.RemoveAll(origin); err != nil {
		t.Fatal(err)
	}
	mirror.kill() // and the mirror may be killed, too
	mirror = start(t, home, "mirror")
	addr := mirror.addr()
	for i, address := range []string{public, keyed} {
		out := filepath.Join(dir, fmt.Sprint("late", i))
		late := start(t, filepath.Join(dir, fmt.Sprint("l", i)), "channel-subscribe", address, "-o", out, "--peer", addr, "--once")
		if code := late.exit(); code != 0 {
			t.Fatalf("a late subscriber ended with exit code %d\n%s", code, late.stderr)
		}
		if i == 0 {
			sameTree(t, out, content)
		} else if got := tree(t, out); len(got) != 1 {
			t.Errorf("of the private channel: %v", got)
		}
	}
	if got := tree(t, filepath.Join(home, "files")); len(got) != 0 {
		t.Errorf("a mirror wrote files: %v", got)
	}
	if _, errs, code := amlRun(t, home, "mirror", public, "--once"); code != 1 || !strings.Contains(errs, "mirrored by this node already") {
		t.Errorf("mirrored twice: %d %s", code, errs)
	}
	mirror.interrupt()
	if out := ok(t, home, "mirror", public, "--end", "--json"); !strings.Contains(out, `"channels":1`) || strings.Contains(out, `"letGo":0`) {
		t.Errorf("ending: %s", out)
	}
}
