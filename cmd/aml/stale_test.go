package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// A channel of updates whose only key is revoked has nobody who says what is the
// newest: that is shown wherever the channel is, and nothing is installed.
func TestStaleIsShownEverywhereAndStopsInstalls(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	owner, reader := filepath.Join(dir, "p"), filepath.Join(dir, "r")
	noise(t, filepath.Join(dir, "tool.bin"), 1000, 1)
	ok(t, owner, "channel-create", "soft/tool", "--kind", "update")
	address := publish(t, owner, "soft/tool", filepath.Join(dir, "tool.bin"))
	var s struct{ Logs []struct{ Log string } }
	if err := json.Unmarshal([]byte(ok(t, owner, "channel-show", address, "--json")), &s); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	daemon := start(t, owner, "daemon")
	addr := daemon.addr()
	if got := ok(t, reader, "channel-subscribe", address, "-o", out, "--peer", addr, "--once", "--json"); !strings.Contains(got, `"fresh":true`) {
		t.Errorf("while it is fresh: %s", got)
	}
	ok(t, owner, "channel-revoke", "soft/tool", s.Logs[0].Log, "--last-good", "1")

	var turn struct{ Turn, Channel string }
	if daemon.wait("turn").decode(t, &turn); turn.Turn != "root" || !strings.Contains(address, turn.Channel) {
		t.Errorf("the daemon tells %+v", turn)
	}

	again := filepath.Join(dir, "again")
	subscribe := []string{"channel-subscribe", address, "-o", again, "--peer", addr, "--once"}
	fails(t, 1, reader, subscribe, "not to be installed", "--stale")
	if got := tree(t, again); len(got) != 0 {
		t.Errorf("written were %v", got)
	}
	start(t, reader, "daemon", "--peer", addr).addr()
	for _, c := range [][]string{{"status"}, {"search", "tool"}, {"channel-browse", "soft/tool", "--offline"}, {"channel-set", address}, {"channel-list"}, {"channel-status", address, "--offline"}, {"channel-show", address}} {
		if got := ok(t, reader, c...); !strings.Contains(got, "stale") {
			t.Errorf("%s does not say it: %s", c[0], got)
		}
		if got := ok(t, reader, append(c, "--json")...); !strings.Contains(got, `"fresh":false`) {
			t.Errorf("%s --json does not say it: %s", c[0], got)
		}
	}
	for _, c := range [][]string{{"channel-status", address, "--offline"}, {"channel-show", address}} {
		if got := ok(t, reader, c...); !strings.Contains(got, "followers write none of its files now") || !strings.Contains(got, "--stale: all keys that might publish in the channel are revoked") {
			t.Errorf("%s does not say what follows: %s", c[0], got)
		}
		if got := ok(t, reader, append(c, "--json")...); !strings.Contains(got, `"held":"all keys that might publish in the channel are revoked`) {
			t.Errorf("%s --json does not say what follows: %s", c[0], got)
		}
	}
	if got := ok(t, reader, append(subscribe, "--stale")...); !strings.Contains(got, "stale: ") {
		t.Errorf("with --stale: %s", got)
	}
	if got := tree(t, again); len(got) != 1 {
		t.Errorf("written were %v", got)
	}
}
