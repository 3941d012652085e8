package exec

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

// script writes a shell script.
func script(t *testing.T, text string) string {
	t.Helper()
	if _, err := os.Stat("/bin/sh"); err != nil {
		t.Skip(err)
	}
	path := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return "/bin/sh " + path
}

func configured(config map[string]string, granted ...plugins.Capability) (*runner, error) {
	all := map[string]string{"deadline": "5m", "tries": "3"}
	for k, v := range config {
		all[k] = v
	}
	x := &runner{}
	return x, x.configure(context.Background(), sdk.Setup{Config: all, Has: func(c plugins.Capability) bool {
		for _, g := range granted {
			if g == c {
				return true
			}
		}
		return false
	}})
}

func TestACommandIsRunForEachEventAndAgainIfItFails(t *testing.T) {
	out := filepath.Join(t.TempDir(), "out")
	x, err := configured(map[string]string{"event": script(t, `echo "$AML_EVENT $AML_CURSOR $(cat)" >> `+out+`; [ "$AML_EVENT" = good ]`), "events": "good,bad", "tries": "2"}, plugins.Processes)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"good", "other", "bad", "good"} {
		if err := x.observe(context.Background(), &sdk.Event{Cursor: uint64(i), Event: name, Json: `{"$(x)":"; rm"}`}); err != nil {
			t.Error(err)
		}
	}
	got, err := os.ReadFile(out)
	if want := "good 0 {\"$(x)\":\"; rm\"}\nbad 2 {\"$(x)\":\"; rm\"}\nbad 2 {\"$(x)\":\"; rm\"}\ngood 3 {\"$(x)\":\"; rm\"}\n"; err != nil || string(got) != want {
		t.Errorf("%s%v, want\n%s", got, err, want)
	}
}

func TestACommandsExitCodeIsTheVerdictOnAFile(t *testing.T) {
	x, err := configured(map[string]string{"file": script(t, `echo "$AML_NAME"; exit "$(cat)"`)}, plugins.Processes, plugins.Plaintext)
	if err != nil {
		t.Fatal(err)
	}
	for code, want := range map[string]pluginv1.Decision{
		"0": pluginv1.Decision_DECISION_ALLOW, "1": pluginv1.Decision_DECISION_DENY, "2": pluginv1.Decision_DECISION_QUARANTINE, "3": 0,
	} {
		v, err := x.scan(context.Background(), &sdk.ScanStart{Entry: &sdk.Entry{Name: "a\x1b b"}}, strings.NewReader(code))
		if v.GetDecision() != want || (err != nil) != (want == 0) || plugins.CheckSaid(v.GetReason(), nil) != nil {
			t.Errorf("code %s: %v, %v", code, v, err)
		}
	}
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	for _, config := range []map[string]string{
		{}, {"event": "no-such-program-here"}, {"event": "true", "deadline": "0s"}, {"event": "true", "tries": "0"}, {"file": "true"},
	} {
		if _, err := configured(config, plugins.Processes); err == nil {
			t.Errorf("%v was taken", config)
		}
	}
	if _, err := configured(map[string]string{"event": "true"}); err == nil || !strings.Contains(err.Error(), "processes") {
		t.Errorf("without processes: %v", err)
	}
}
