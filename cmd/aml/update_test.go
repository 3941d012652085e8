package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/channel"
	"github.com/anonymous-media-library/aml/updates"
	"github.com/anonymous-media-library/aml/updates/appdir"
)

// software publishes a version of an application that is one file, which says what it is.
func software(t *testing.T, home, version string, metadata map[string]string, flags ...string) string {
	t.Helper()
	return softwareIn(t, t.TempDir(), home, version, metadata, flags...)
}

// softwareIn is software that lies in a folder.
func softwareIn(t *testing.T, dir, home, version string, metadata map[string]string, flags ...string) string {
	t.Helper()
	name := "app-" + version
	write(t, filepath.Join(dir, name), []byte("#!/bin/sh\necho "+version+"\n"))
	if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
	meta := map[string]string{"version": version}
	for key, value := range metadata {
		meta[key] = value
	}
	doc, err := json.Marshal(map[string]any{
		"title": "App " + version, "description": "what is new", "metadata": meta,
		"entries": []any{map[string]any{"path": name, "attrs": map[string]string{"platform": runtime.GOOS + "/" + runtime.GOARCH}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "manifest.json"), doc)
	return publish(t, home, append([]string{"soft/app", "-i", filepath.Join(dir, "manifest.json")}, flags...)...)
}

// installed is the version that is in force in a folder, and what is known of it.
func installedIn(t *testing.T, folder string) (string, appdir.State) {
	t.Helper()
	state, err := appdir.Look(folder)
	if err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(filepath.Join(folder, "current"))
	if os.IsNotExist(err) {
		return "", state
	}
	if err != nil || len(names) != 1 {
		t.Fatalf("in %s: %v, %v", folder, names, err)
	}
	version := strings.TrimPrefix(names[0].Name(), "app-")
	if version != state.Version {
		t.Errorf("%s has %s in force and believes %s", folder, version, state.Version)
	}
	return version, state
}

func TestAnApplicationIsUpdatedFromItsChannel(t *testing.T) { updatesFromItsChannel(t, 4) }

// updatesFromItsChannel lets installations follow a channel of software.
func updatesFromItsChannel(t *testing.T, installations int) {
	if runtime.GOOS == "windows" {
		t.Skip("the application is a script of a Unix shell")
	}
	t.Parallel()
	dir := t.TempDir()
	owner, reader := filepath.Join(dir, "p"), filepath.Join(dir, "r")
	ok(t, owner, "channel-create", "soft/app", "--kind", "update")
	addr := start(t, owner, "daemon").addr()
	address := software(t, owner, "1.0.0", nil)
	start(t, reader, "daemon", "--peer", addr).addr()
	folders := make([]string, installations)
	for i := range folders {
		folders[i] = filepath.Join(dir, fmt.Sprint("app", i))
	}
	everywhere := func(want string) {
		t.Helper()
		for _, f := range folders {
			ok(t, reader, "update-apply", address, f, "--health", `test "$(./app-$AML_UPDATE_VERSION)" = $AML_UPDATE_VERSION`)
			if got, _ := installedIn(t, f); got != want {
				t.Errorf("%s has %q, want %q", f, got, want)
			}
		}
	}
	everywhere("1.0.0")
	if out := ok(t, reader, "update-check", address, folders[0]); !strings.Contains(out, "1.0.0 is installed") {
		t.Errorf("checked: %s", out)
	}

	// A share of them have the next one, those that the rule says.
	software(t, owner, "2.0.0", map[string]string{"rollout": "30"})
	parsed, err := channel.ParseAddress(address)
	if err != nil {
		t.Fatal(err)
	}
	share := 0
	for _, f := range folders {
		out := ok(t, reader, "update-apply", address, f)
		got, state := installedIn(t, f)
		want := "1.0.0"
		if updates.In(parsed.ID, updates.Release{Version: "2.0.0", Rollout: 30}, state.Installation) {
			want, share = "2.0.0", share+1
		} else if !strings.Contains(out, "2.0.0 has not come to this installation yet") {
			t.Errorf("%s is told: %s", f, out)
		}
		if got != want {
			t.Errorf("%s has %s, want %s", f, got, want)
		}
	}
	t.Logf("%d of %d installations have version 2.0.0", share, installations)
	if off := share*100 - 30*installations; installations >= 200 && (off < -1000*installations/100 || off > 1000*installations/100) {
		t.Errorf("that is too far from 30 %%")
	}
	software(t, owner, "2.0.0", nil)
	everywhere("2.0.0")

	// What does not work goes, and is not tried again.
	app := folders[0]
	software(t, owner, "3.0.0", nil)
	fails(t, 1, reader, []string{"update-apply", address, app, "--health", "./app-3.0.0 >&2; exit 7"}, "3.0.0 did not pass its health command and was taken back", `exit status 7: its last words: "3.0.0"`)
	if got, state := installedIn(t, app); got != "2.0.0" || state.Previous != "1.0.0" {
		t.Errorf("in force is %s: %+v", got, state)
	}
	if out := ok(t, reader, "update-apply", address, app); !strings.Contains(out, "2.0.0 is installed; 3.0.0 did not work here") {
		t.Errorf("the next time: %s", out)
	}

	if out := ok(t, reader, "update-check", address, app, "--retry"); !strings.Contains(out, "3.0.0 is there") {
		t.Errorf("tried again: %s", out)
	}

	// Rollback: what is lower never comes.
	ok(t, owner, "channel-retract", address, "app-3.0.0", "app-2.0.0", "--reason", "withdrawn")
	if out := ok(t, reader, "update-apply", address, app); !strings.Contains(out, "the channel has only 1.0.0, and it is not gone back from 2.0.0") {
		t.Errorf("after a retraction: %s", out)
	}

	// Freeze: nobody says any more what is the newest.
	software(t, owner, "4.0.0", nil)
	if out := ok(t, reader, "update-check", address, app, "--json"); !strings.Contains(out, `"newer":true,"version":"4.0.0"`) || strings.Contains(out, `"held"`) {
		t.Errorf("checked: %s", out)
	}
	var s struct {
		Logs []struct {
			Log string
			Seq int
		}
	}
	if err := json.Unmarshal([]byte(ok(t, owner, "channel-show", address, "--json")), &s); err != nil {
		t.Fatal(err)
	}
	ok(t, owner, "channel-revoke", "soft/app", s.Logs[0].Log, "--last-good", fmt.Sprint(s.Logs[0].Seq))
	fails(t, 1, reader, []string{"update-apply", address, app}, "version 4.0.0 of "+address+" is not installed", "the channel is stale")
	if out := ok(t, reader, "update-check", address, app); !strings.Contains(out, "4.0.0 is there, and 2.0.0 is installed") || !strings.Contains(out, "stale") {
		t.Errorf("checked: %s", out)
	}
	if got, _ := installedIn(t, app); got != "2.0.0" {
		t.Errorf("in force is %s", got)
	}
}

// Where nothing is installed yet, who looks is told what is installed then: the draw of
// a roll-out is not made anew each time.
func TestWhatACheckNamesIsWhatANewFolderGets(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the application is a script of a Unix shell")
	}
	t.Parallel()
	dir := t.TempDir()
	owner, home := filepath.Join(dir, "p"), filepath.Join(dir, "h")
	ok(t, owner, "channel-create", "soft/app", "--kind", "update")
	addr := start(t, owner, "daemon").addr()
	address := software(t, owner, "1.0.0", nil)
	software(t, owner, "2.0.0", map[string]string{"rollout": "50"})
	start(t, home, "daemon", "--peer", addr).addr()
	named := func(app string) string {
		var res struct{ Version string }
		if err := json.Unmarshal([]byte(ok(t, home, "update-check", address, app, "--json")), &res); err != nil {
			t.Fatal(err)
		}
		return res.Version
	}
	for i := range 3 {
		app := filepath.Join(dir, fmt.Sprint("app", i))
		first := named(app)
		if again := named(app); again != first {
			t.Errorf("%s: first %s, then %s is named", app, first, again)
		}
		if _, err := os.Stat(app); !os.IsNotExist(err) {
			t.Errorf("a check left %s: %v", app, err)
		}
		ok(t, home, "update-apply", address, app)
		if got, _ := installedIn(t, app); got != first {
			t.Errorf("%s: %s is named, and %s installed", app, first, got)
		}
	}
	// Nothing for a system is an answer to the question, and no installation.
	if out := ok(t, home, "update-check", address, filepath.Join(dir, "none"), "--platform", "plan9/mips"); !strings.Contains(out, "not there for plan9/mips") {
		t.Errorf("checked: %s", out)
	}
	fails(t, 4, home, []string{"update-apply", address, filepath.Join(dir, "none"), "--platform", "plan9/mips"}, "nothing is installed in "+filepath.Join(dir, "none"), "not there for plan9/mips")
	// Without a daemon, too, and nobody has two numbers.
	reader := filepath.Join(dir, "r")
	app := filepath.Join(dir, "app")
	var res struct{ Version string }
	if err := json.Unmarshal([]byte(ok(t, reader, "update-check", address, app, "--peer", addr, "--json")), &res); err != nil {
		t.Fatal(err)
	}
	ok(t, reader, "update-apply", address, app, "--peer", addr)
	if got, _ := installedIn(t, app); got != res.Version {
		t.Errorf("%s is named, and %s installed", res.Version, got)
	}
}

// A copied key signs two next versions. Neither is installed.
func TestNoUpdateIsInstalledFromAForkedKey(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the application is a script of a Unix shell")
	}
	t.Parallel()
	dir := t.TempDir()
	home, twin, reader, app := filepath.Join(dir, "p"), filepath.Join(dir, "twin"), filepath.Join(dir, "r"), filepath.Join(dir, "app")
	ok(t, home, "channel-create", "soft/app", "--kind", "update")
	address := software(t, home, "1.0.0", nil)
	copyHome(t, home, twin)
	if err := os.Remove(filepath.Join(twin, "keys", "node.key")); err != nil { // one name is one node
		t.Fatal(err)
	}
	software(t, twin, "2.0.0", nil, "--only-holder")
	software(t, home, "2.0.1", nil)
	peers := []string{"--peer", start(t, home, "daemon").addr(), "--peer", start(t, twin, "daemon").addr()}
	follower := start(t, reader, append([]string{"daemon"}, peers...)...)
	follower.addr()
	until(t, "the reader sees the fork", func() bool {
		_, _, _ = amlRun(t, reader, "update-check", address, app)
		out, _, code := amlRun(t, reader, "channel-show", address)
		return code == 0 && strings.Contains(out, "FROZEN")
	})
	fails(t, 1, reader, []string{"update-apply", address, app}, "signed two histories")
	if got, _ := installedIn(t, app); got != "" {
		t.Errorf("%s is in force", got)
	}
}

// Who is confined to a folder says nothing of versions, and holds nobody up.
func TestAGuestSaysNothingOfVersions(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the application is a script of a Unix shell")
	}
	t.Parallel()
	dir := t.TempDir()
	home, reader, app := filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "app")
	ok(t, home, "channel-create", "soft/app", "--kind", "update")
	addr := start(t, home, "daemon").addr()
	address := software(t, home, "1.0.0", nil)
	guest := newKey(t, home, "guest")
	ok(t, home, "channel-delegate", "soft/app", guest, "--scope", "guests")
	key := filepath.Join(home, "keys", "guest.pem")
	evil := filepath.Join(dir, "manifest.json")
	write(t, filepath.Join(dir, "evil"), []byte("#!/bin/sh\n"))
	for _, metadata := range []string{`{"version": "9.0.0"}`, `{"version": "1.0.0", "rollout": "0"}`} {
		write(t, evil, []byte(`{"description": "n", "metadata": `+metadata+`, "entries": [{"path": "evil", "name": "guests/evil", "attrs": {"platform": "any"}}]}`))
		ok(t, home, "channel-publish", address, "-i", evil, "-k", key, "--once", "--only-holder")
	}
	ok(t, reader, "update-apply", address, app, "--peer", addr)
	if got, _ := installedIn(t, app); got != "1.0.0" {
		t.Errorf("in force is %q", got)
	}
	ok(t, home, "channel-revoke", "soft/app", guest, "--last-good", "2")
	if out := ok(t, reader, "update-check", address, app, "--peer", addr); !strings.Contains(out, "1.0.0 is installed") {
		t.Errorf("after the guest has gone: %s", out)
	}
	other := ok(t, home, "channel-create", "soft/other", "--kind", "update", "--json")
	var made struct{ Address string }
	if err := json.Unmarshal([]byte(other), &made); err != nil {
		t.Fatal(err)
	}
	fails(t, 1, reader, []string{"update-apply", made.Address, app, "--peer", addr}, "comes from another channel")
	fails(t, 1, reader, []string{"update-check", made.Address, app, "--peer", addr}, "comes from another channel")
	if out := ok(t, reader, "channel-unsubscribe", address); !strings.Contains(out, "followed no longer; there was no subscription") {
		t.Errorf("unsubscribed: %s", out)
	}
	fails(t, 4, reader, []string{"channel-unsubscribe", address}, "no subscription")
}

// A private channel is read with the key of its address, and what cannot be read is not
// called nothing.
func TestUpdatesOfAPrivateChannel(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("the application is a script of a Unix shell")
	}
	t.Parallel()
	dir := t.TempDir()
	home, reader, app := filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "app")
	var made struct{ ReadAddress string }
	if err := json.Unmarshal([]byte(ok(t, home, "channel-create", "soft/app", "--kind", "update", "--private", "--read-key", "--json")), &made); err != nil {
		t.Fatal(err)
	}
	addr := start(t, home, "daemon").addr()
	address := software(t, home, "1.0.0", nil)
	fails(t, 1, reader, []string{"update-check", address, app, "--peer", addr}, "nothing in "+address+" can be read", "read key")
	ok(t, reader, "update-apply", made.ReadAddress, app, "--peer", addr)
	if got, _ := installedIn(t, app); got != "1.0.0" {
		t.Errorf("in force is %q", got)
	}
}

func TestWhatIsWrongWithAnUpdate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	home := filepath.Join(dir, "h")
	write(t, filepath.Join(dir, "other", "file"), []byte("somebody's"))
	id := "aml://" + channel.ID{1}.String()
	for _, test := range []struct {
		code  int
		args  []string
		words []string
	}{
		{2, []string{"soft/app", dir}, []string{"is a topic", "channel-trust"}},
		{2, []string{"aml://nothing", dir}, []string{"reading address"}},
		{2, []string{id, filepath.Join(dir, "app"), "--track", "Be ta"}, []string{"track"}},
		{2, []string{id, filepath.Join(dir, "app"), "--platform", "linux"}, []string{"platform", "GOOS/GOARCH"}},
		{2, []string{id, filepath.Join(dir, "app"), "--timeout", "-1s"}, []string{"--timeout"}},
		{1, []string{id, filepath.Join(dir, "other")}, []string{"no application's folder"}},
		{4, []string{id, filepath.Join(dir, "app"), "--timeout", "1s"}, []string{"nobody who has", "--peer"}},
	} {
		for _, command := range []string{"update-check", "update-apply"} {
			fails(t, test.code, home, append([]string{command}, test.args...), test.words...)
		}
	}
	fails(t, 2, home, []string{"update-apply", id, filepath.Join(dir, "app"), "--health-timeout", "0s"}, "--health-timeout")
	fails(t, 2, home, []string{"update-apply", id, ""}, "FOLDER is empty")
}
