package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/anonymous-media-library/aml/node/api"
	"github.com/anonymous-media-library/aml/plugins"
)

func TestPluginsAreMeasuredInTheFormatOfPrometheus(t *testing.T) {
	got := string(pluginMetrics([]api.PluginInfo{
		{ID: "disabled"},
		{ID: "broken", Enabled: true, Error: "changed"},
		{ID: "good", Enabled: true, Hooks: []plugins.Hook{plugins.Observe, plugins.Sign}, Run: &api.PluginStatus{Starts: 2, Failures: 1, State: "ready", Observed: 7, Hooks: map[plugins.Hook]api.PluginStats{
			plugins.Sign: {Calls: 12, Errors: 3, Timeouts: 1, Time: 1500 * time.Millisecond},
		}}},
	}))
	for _, want := range []string{
		`aml_plugin_calls_total{plugin="good",hook="Sign"} 12`, `aml_plugin_failures_total{plugin="good",hook="Sign"} 3`, `aml_plugin_timeouts_total{plugin="good",hook="Sign"} 1`,
		`aml_plugin_seconds_total{plugin="good",hook="Sign"} 1.5`, `aml_plugin_starts_total{plugin="good"} 2`, `aml_plugin_failures_last_hour{plugin="good"} 1`,
		`aml_plugin_off{plugin="good"} 0`, `aml_plugin_off{plugin="broken"} 1`, `aml_plugin_observed_cursor{plugin="good"} 7`, "# TYPE aml_plugin_calls_total counter",
	} {
		if !strings.Contains(got, want+"\n") {
			t.Errorf("%s is missing in\n%s", want, got)
		}
	}
	if strings.Contains(got, "disabled") || strings.Contains(got, `observed_cursor{plugin="broken"`) {
		t.Errorf("too much is in\n%s", got)
	}
}

func TestStatusNamesWhatFails(t *testing.T) {
	var b bytes.Buffer
	status(&b, api.Status{Failing: []api.FailingInfo{{Kind: "source", Name: "radio", Error: "no answer", Fails: 3}, {Kind: "document", Name: "/a.xml", Error: "late"}}})
	for _, want := range []string{"radio failed 3 times in a row: no answer", "/a.xml failed: late"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

// What a plugin says comes as events, those of before first, and an interrupt ends it.
func TestAPluginsLogIsFollowed(t *testing.T) {
	t.Parallel()
	home := t.TempDir()
	ok(t, home, "plugin-install", "bundled:webhook", "--memory", "4GiB")
	path := filepath.Join(home, "plugins", ".logs", "webhook.log")
	log := func(text string) {
		t.Helper()
		err := os.MkdirAll(filepath.Dir(path), 0o700)
		f, openErr := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
		if err = errors.Join(err, openErr); err == nil {
			_, err = f.WriteString(text)
			err = errors.Join(err, f.Close())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	log("2026-01-01T00:00:00.000Z before\n")
	if _, _, code := amlRun(t, home, "plugin-logs", "webhook", "-f"); code != 3 {
		t.Errorf("without a daemon: exit code %d", code)
	}
	start(t, home, "daemon").addr()
	p := start(t, home, "plugin-logs", "webhook", "-f")
	var line api.LogEvent
	if p.wait("log").decode(t, &line); !strings.HasSuffix(line.Line, "before") {
		t.Errorf("it begins with %q", line.Line)
	}
	log("2026-01-01T00:00:01.000Z after\n")
	if p.wait("log").decode(t, &line); !strings.HasSuffix(line.Line, "after") {
		t.Errorf("then comes %q", line.Line)
	}
	if code := p.interrupt(); code != 130 {
		t.Errorf("interrupted, it ends with %d", code)
	}
}
