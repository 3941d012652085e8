package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Who publishes a file in place and deletes it must not stop the channel for those
// who come after that.
func TestAFileThatWasPublishedInPlaceAndIsGoneStopsNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, reader, out := filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "out")
	gone := must(t, filepath.Join(dir, "gone.txt"), "gone")
	address := publish(t, owner, "t", gone, "--in-place")
	if err := os.Remove(gone); err != nil {
		t.Fatal(err)
	}
	publish(t, owner, "t", must(t, filepath.Join(dir, "next.txt"), "next"))
	addr := start(t, owner, "daemon").addr()

	follows := start(t, reader, "channel-subscribe", address, "-o", out, "--peer", addr)
	var passed struct{ Name, Reason string }
	if follows.wait("passed").decode(t, &passed); passed.Name != "gone.txt" || passed.Reason != "missing" {
		t.Errorf("left out is %+v", passed)
	}
	var file struct{ Name string }
	if follows.wait("file").decode(t, &file); file.Name != "next.txt" {
		t.Errorf("what came is %+v", file)
	}
	follows.interrupt()
	for _, c := range []string{"channel-set", "channel-show"} {
		if got := ok(t, reader, c, address); !strings.Contains(got, "1 file, 4 B: missing") {
			t.Errorf("%s does not say what is missing: %s", c, got)
		}
	}
	stdout, stderr, code := amlRun(t, reader, "channel-subscribe", address, "--peer", addr, "--once")
	if code == 0 || !strings.Contains(stderr, "gone.txt") || !strings.Contains(stderr, "nobody has blob") {
		t.Errorf("--once ends with %d, says %q and %q", code, stdout, stderr)
	}
	if got := tree(t, out); len(got) != 1 || got["next.txt"] == "" {
		t.Errorf("what is there is %v", got)
	}
}
