package main

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// Whoever has the newest build hides it. An installation takes what is between, is told
// loudly, asks for the newest first the next time, and never goes back; one that has
// nothing yet is not made to begin with something old.
func TestFreezeByAHiddenBuildIsToldAndHoldsUpNothingBetween(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the application is a script of a Unix shell")
	}
	t.Parallel()
	dir := t.TempDir()
	owner, reader, app := filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "app")
	ok(t, owner, "channel-create", "soft/app", "--kind", "update")
	address := software(t, owner, "1.0.0", nil)
	addr := start(t, owner, "daemon").addr()
	start(t, reader, "daemon", "--peer", addr).addr()
	ok(t, reader, "update-apply", address, app)
	software(t, owner, "2.0.0", nil)
	ok(t, reader, "update-apply", address, filepath.Join(dir, "other")) // so that 2.0.0 is here, however slow all is
	hidden := filepath.Join(dir, "hidden")
	if err := os.Mkdir(hidden, 0o755); err != nil {
		t.Fatal(err)
	}
	softwareIn(t, hidden, owner, "3.0.0", nil, "--in-place")
	if err := os.Remove(filepath.Join(hidden, "app-3.0.0")); err != nil {
		t.Fatal(err)
	}

	if out := ok(t, reader, "update-check", address, app); !strings.Contains(out, "3.0.0 is there, and 1.0.0 is installed") {
		t.Fatalf("checked: %s", out)
	}
	short := []string{"--timeout", "1s"} // all that is to come is here; what is not here never comes
	out, errs, code := amlRun(t, reader, append([]string{"update-apply", address, app}, short...)...)
	if code != 0 || !strings.Contains(errs, "version 3.0.0 cannot be had now from anyone") || !strings.Contains(out, "3.0.0 is newer and CANNOT BE HAD") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
	if got, _ := installedIn(t, app); got != "2.0.0" {
		t.Errorf("in force is %s", got)
	}
	fails(t, 4, reader, append([]string{"update-apply", address, app}, short...), "version 3.0.0, app-3.0.0: ")
	if got, _ := installedIn(t, app); got != "2.0.0" {
		t.Errorf("the next time in force is %s", got)
	}
	fails(t, 4, reader, append([]string{"update-apply", address, filepath.Join(dir, "new")}, short...), "version 3.0.0, app-3.0.0: ")
	if got, _ := installedIn(t, filepath.Join(dir, "new")); got != "" {
		t.Errorf("begun with %s", got)
	}
	software(t, owner, "3.0.0", nil)
	ok(t, reader, "update-apply", address, app, "--json")
	if got, _ := installedIn(t, app); got != "3.0.0" {
		t.Errorf("when it is there again, in force is %s", got)
	}
}
