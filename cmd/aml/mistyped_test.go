package main

import (
	"path/filepath"
	"strings"
	"testing"
)

// What an address names that is not there is said, and nothing of it stays.
func TestAMistypedAddressIsSaidAndLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file, home := filepath.Join(dir, "song.ogg"), filepath.Join(dir, "s")
	noise(t, file, 3000, 1)
	address := publish(t, filepath.Join(dir, "p"), "music/live", file)
	peer := start(t, filepath.Join(dir, "p"), "daemon").addr()

	_, stderr, code := amlRun(t, home, "channel-subscribe", address+"/nonexist.flac", "-o", filepath.Join(dir, "none"), "--peer", peer, "--once")
	if code != 4 || !strings.Contains(stderr, "nonexist.flac") {
		t.Errorf("a path that nothing is named by: exit code %d, %s", code, stderr)
	}
	if _, stderr, code := amlRun(t, home, "channel-set", address); code != 4 {
		t.Errorf("a subscription to it stays: exit code %d, %s", code, stderr)
	}
	ok(t, home, "channel-subscribe", address+"/song.ogg", "-o", filepath.Join(dir, "out"), "--peer", peer, "--once")

	const unknown = "aml://aebagbafaydqqcikbmga2dqpcaireeyuculbogazdinryhi6d4qa"
	if _, stderr, code := amlRun(t, home, "channel-subscribe", unknown, "--once", "--timeout", "1s"); code != 4 {
		t.Errorf("a channel that nobody has: exit code %d, %s", code, stderr)
	}
	if listed := ok(t, home, "channel-list"); strings.Contains(listed, unknown) || !strings.Contains(listed, address) {
		t.Errorf("listed: %s", listed)
	}
	if out, stderr, code := amlRun(t, home, "channel-show", unknown); code != 4 || !strings.Contains(stderr, "nothing of it is known") {
		t.Errorf("shown with exit code %d: %s%s", code, out, stderr)
	}
}
