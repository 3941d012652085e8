package scan

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

func configured(t *testing.T, config map[string]string, granted bool) (sdk.Plugin, error) {
	t.Helper()
	all := map[string]string{"types": "deny", "refuse": "1"}
	for k, v := range config {
		all[k] = v
	}
	p, state := New(), t.TempDir()
	if err := os.Mkdir(filepath.Join(state, "tmp"), 0o700); err != nil { // as the host does
		t.Fatal(err)
	}
	return p, p.Configure(context.Background(), sdk.Setup{Config: all, State: state, Has: func(plugins.Capability) bool { return granted }})
}

func TestAFileThatIsPlainlySomethingElseIsRefused(t *testing.T) {
	const png, mp4 = "\x89PNG\r\n\x1a\nrest", "\x00\x00\x00\x18ftypisom"
	for _, c := range []struct {
		name, media, content string
		refused              bool
	}{
		{"a.png", "image/png", png, false},
		{"a.jpg", "image/jpeg", png, true},
		{"a.jpg", "", png, true}, // by its name
		{"a.jpg", "application/octet-stream", png, true},
		{"a", "", png, false},
		{"a.mp3", "audio/mpeg", "MZ\x90\x00", true},
		{"a.mp3", "audio/mpeg", "\x7fELF\x02", true},
		{"a.mp3", "audio/mpeg", "<!DOCTYPE html><html>404", true},
		{"a.mp3", "audio/mpeg", "\ufeff\n <HTML>", true},
		{"a.mp3", "audio/mpeg", "ID3\x04", false},
		{"a.mp3", "audio/mpeg", "", false},
		{"a.m4a", "audio/mp4", mp4, false},
		{"a.txt", "text/plain", "MZ is a text", false},
		{"a.txt", "text/plain; charset=utf-8", "\x7fELF\x02", true},
		{"a.html", "text/html", "<html>", false},
		{"a.svg", "image/svg+xml", "<html>", false},
		{"a.exe", "application/x-msdownload", "MZ", false},
		{"a.epub", "application/epub+zip", "PK\x03\x04", false},
		{"a.pdf", "application/pdf", "PK\x03\x04", false}, // both are documents
		{"a.pdf", "application/pdf", "MZ", true},
		{"a.sh", "text/x-shellscript", "#!/bin/sh", false},
		{"a.jpg", "image/jpeg", "#!/bin/sh", true},
		{"a.m3u8", "audio/x-mpegurl", "#!/bin/sh", false},
		{"a.png", "not a type", png, false},
	} {
		p, err := configured(t, nil, false)
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.ScanContent(context.Background(), &sdk.ScanStart{Entry: &sdk.Entry{Name: c.name, MediaType: c.media}}, strings.NewReader(c.content))
		if err != nil || (v.Decision == pluginv1.Decision_DECISION_DENY) != c.refused {
			t.Errorf("%s %q %.20q: %v, %v", c.name, c.media, c.content, v, err)
		}
	}
}

func TestACommandIsAskedAndItsFailureIsNoAnswer(t *testing.T) {
	if _, err := exec.LookPath("grep"); err != nil {
		t.Skip(err)
	}
	scan := func(command, refuse, content string) (pluginv1.Decision, error) {
		p, err := configured(t, map[string]string{"command": command, "refuse": refuse}, true)
		if err != nil {
			t.Fatal(err)
		}
		v, err := p.ScanContent(context.Background(), &sdk.ScanStart{Entry: &sdk.Entry{Name: "a"}}, io.LimitReader(strings.NewReader(content), 1<<30))
		return v.GetDecision(), err
	}
	long := strings.Repeat("x", 3*headSize)
	for _, c := range []struct {
		command, refuse, content string
		want                     pluginv1.Decision
		fails                    bool
	}{
		{"grep -qv virus", "1", "harmless\n", pluginv1.Decision_DECISION_ALLOW, false},
		{"grep -qv virus", "1", "a virus\n", pluginv1.Decision_DECISION_DENY, false},
		{"grep -qv virus {}", "1", "a virus\n", pluginv1.Decision_DECISION_DENY, false},
		{"grep -q " + long[:100], "1", long, pluginv1.Decision_DECISION_ALLOW, false},
		{"grep -qv virus", "7, 8", "a virus\n", 0, true},
	} {
		got, err := scan(c.command, c.refuse, c.content)
		if got != c.want || (err != nil) != c.fails {
			t.Errorf("%s: %v, %v", c.command, got, err)
		}
	}
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	for _, config := range []map[string]string{
		{"types": "maybe"}, {"refuse": "0"}, {"refuse": "x"}, {"command": "no-such-program-here"},
	} {
		if _, err := configured(t, config, true); err == nil {
			t.Errorf("%v was taken", config)
		}
	}
	if _, err := configured(t, map[string]string{"command": "true"}, false); err == nil || !strings.Contains(err.Error(), "processes") {
		t.Errorf("a command without the capability: %v", err)
	}
}

func FuzzAnyFileIsLookedAt(f *testing.F) {
	f.Add("a.png", "image/png", []byte("MZ"))
	f.Add("", ";", []byte{})
	f.Fuzz(func(_ *testing.T, name, media string, head []byte) { mismatch(name, media, head) })
}
