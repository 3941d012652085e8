package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// beLabeller is the argument by which the test binary is told to be the plugin labeller.
const beLabeller = "be-the-labeller"

// labeller is a plugin that lets everything pass, and says how loud it is.
func labeller() {
	sdk.Serve(sdk.Plugin{ID: "labeller", Version: "1.0.0", FilterManifest: func(_ context.Context, r *sdk.Release) (*sdk.Verdict, error) {
		v := sdk.Allow()
		v.Labels = map[string]string{"tone": "calm"}
		if strings.ToUpper(r.Title) == r.Title {
			v.Labels["tone"] = "loud"
		}
		return v, nil
	}})
}

// What a filter says of a release beside its decision is shown and found.
func TestLabelsOfAPluginAreShownAndSearchedFor(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	folder, owner, reader, song := filepath.Join(dir, "plugin"), filepath.Join(dir, "p"), filepath.Join(dir, "r"), filepath.Join(dir, "song.txt")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(os.Mkdir(folder, 0o700), os.WriteFile(song, []byte("la la"), 0o600))
	if os.Link(self, filepath.Join(folder, "plugin")) != nil {
		program, readErr := os.ReadFile(self)
		err = errors.Join(err, readErr, os.WriteFile(filepath.Join(folder, "plugin"), program, 0o700))
	}
	const manifest = "format: 1\nid: labeller\nversion: 1.0.0\nhooks: [FilterManifest]\nmemory: 4GiB\nbinaries: {any: plugin}\nargs: [" + beLabeller + "]\n"
	if err = errors.Join(err, os.WriteFile(filepath.Join(folder, "plugin.yaml"), []byte(manifest), 0o600)); err != nil {
		t.Fatal(err)
	}
	ok(t, reader, "plugin-install", folder, "--enable")
	address := publish(t, owner, "music/live", song, "--title", "LOUD SONG")
	peer := start(t, owner, "daemon").addr()
	// An answer that comes after 200 ms is none, so another release may have to be asked about.
	for begin := time.Now(); ; {
		ok(t, reader, "channel-subscribe", address, "-o", filepath.Join(dir, "out"), "--peer", peer, "--once")
		if strings.Contains(ok(t, reader, "channel-show", address), `tone="loud"`) {
			break
		}
		if time.Since(begin) > patience {
			t.Fatalf("no label is shown: %s", ok(t, reader, "plugin-logs", "labeller"))
		}
		write(t, song, []byte(time.Since(begin).String()))
		publish(t, owner, address, song, "--title", "LOUD SONG")
	}
	if out := ok(t, reader, "search", "song", "--label", "tone=loud"); !strings.Contains(out, "LOUD SONG") {
		t.Errorf("by its label is found: %s", out)
	}
	if out, _, _ := amlRun(t, reader, "search", "song", "--label", "tone=calm"); out != "" {
		t.Errorf("by another is found: %s", out)
	}
	if _, errs, code := amlRun(t, reader, "search", "song", "--label", "=x"); code != 2 || !strings.Contains(errs, "want KEY or KEY=VALUE") {
		t.Errorf("a label without a name: exit code %d, %s", code, errs)
	}
	if out := ok(t, reader, "channel-show", address, "--json"); !strings.Contains(out, `"labels":{"tone":"loud"}`) {
		t.Errorf("in JSON: %s", out)
	}
}
