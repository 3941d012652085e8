package blocklist

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

func configured(t *testing.T, config map[string]string) sdk.Plugin {
	t.Helper()
	p := New()
	if err := p.Configure(context.Background(), sdk.Setup{Config: config, Has: func(plugins.Capability) bool { return true }}); err != nil {
		t.Fatal(err)
	}
	return p
}

func ask(t *testing.T, p sdk.Plugin, r *sdk.Release) *sdk.Verdict {
	t.Helper()
	v, err := p.FilterManifest(context.Background(), r)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func key(n byte) []byte { return bytes.Repeat([]byte{n}, 32) }

func release() *sdk.Release {
	return &sdk.Release{
		Channel: "abcdef", Log: key(1), Hash: key(2), Metadata: map[string]string{"genre": "jazz"},
		Entries: []*sdk.Entry{
			{Name: "music/Song.FLAC", MediaType: "audio/flac", Sha256: key(3)},
			{Name: "setup.exe", MediaType: "application/x-msdownload; x=y", Sha256: key(4), Attrs: map[string]string{"mood": "sad"}},
		},
	}
}

func TestEachKindOfRuleBlocksWhatItSaysAndNothingElse(t *testing.T) {
	hexed := func(n byte) string { return strings.ToUpper(hex.EncodeToString(key(n))) }
	for rule, want := range map[string]string{
		"publisher " + hexed(1): "deny", "publisher " + hexed(2): "",
		"channel aml://ABCDEF/x#key": "deny", "channel abcdeg": "",
		"hash " + hexed(2): "deny", "hash " + hexed(3): "music/Song.FLAC", "hash " + hexed(9): "",
		"label genre": "deny", "label genre=jazz": "deny", "label genre=folk": "", "label mood=sad": "setup.exe",
		"name *.exe": "setup.exe", "name song.*": "music/Song.FLAC", "name music/*": "music/Song.FLAC", "name s?ng.flac": "music/Song.FLAC", "name *.ex": "", "name /song*": "",
		"type audio/*": "music/Song.FLAC", "type application/x-msdownload": "setup.exe", "type video/*": "",
	} {
		v := ask(t, configured(t, map[string]string{"rules": "# a comment\n\n" + rule + "\r\n"}), release())
		got := strings.Join(v.Mask, ",")
		if v.Decision == pluginv1.Decision_DECISION_DENY {
			got = "deny"
			if !strings.Contains(v.Reason, "rules, line 3") {
				t.Errorf("%s: the reason is %q", rule, v.Reason)
			}
		}
		if got != want {
			t.Errorf("%s: %q, want %q", rule, got, want)
		}
	}
}

func TestAWrongConfigurationIsRefused(t *testing.T) {
	for _, config := range []map[string]string{
		{}, {"rules": " \n"}, {"rules": "colour red"}, {"rules": "hash 12"}, {"rules": "name"}, {"lists": "relative"},
		{"lists": filepath.Join(t.TempDir(), "missing")}, {"rules": "channel ../../x"},
	} {
		p := New()
		if err := p.Configure(context.Background(), sdk.Setup{Config: config}); err == nil {
			t.Errorf("%v was taken", config)
		}
	}
}

func TestListsOfAFolderFollowItAndHostileLinesArePassedOver(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("a.txt", "nonsense\x00\x1b[2J\nname *.exe\n"+strings.Repeat("x", 2*maxLine)+"\nname *.flac\n")
	write(".hidden", "name *.flac\n")
	synctest.Test(t, func(t *testing.T) {
		p := configured(t, map[string]string{"lists": " " + dir + " ,"})
		if v := ask(t, p, release()); strings.Join(v.Mask, ",") != "setup.exe" {
			t.Errorf("masks %q", v.Mask)
		}
		write("b.txt", "name *.flac\n")
		again := func() *sdk.Verdict {
			time.Sleep(lookEvery) // of the fake clock
			ask(t, p, release())
			synctest.Wait()
			return ask(t, p, release())
		}
		if v := again(); len(v.Mask) != 2 {
			t.Errorf("after a list was added: masks %q", v.Mask)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
		if v := again(); len(v.Mask) != 2 {
			t.Errorf("after the lists were lost: masks %q", v.Mask)
		}
	})
}

func TestListsAreBounded(t *testing.T) {
	r := newRules()
	var b strings.Builder
	for i := range maxGlobs + 1 {
		fmt.Fprintf(&b, "name %d*\n", i)
	}
	if err := r.parse("many", strings.NewReader(b.String())); err == nil || len(r.names) != maxGlobs {
		t.Errorf("%d patterns, %v", len(r.names), err)
	}
}

func FuzzAnyListIsRead(f *testing.F) {
	f.Add("name *a*b*c\ntype x/*\nlabel a=b\nhash "+strings.Repeat("ab", 32), "aabbcc")
	f.Add("channel aml://\npublisher \nname \xff", "*")
	f.Fuzz(func(t *testing.T, text, name string) {
		r := newRules()
		_ = r.parse("list", strings.NewReader(text))
		r.blocks(&sdk.Entry{Name: name, MediaType: name, Attrs: map[string]string{name: name}})
		if sum := sha256.Sum256([]byte(name)); match("*", name) != true || match(name, name+"x") && !strings.ContainsAny(name, "*") {
			t.Errorf("%q, %x", name, sum)
		}
	})
}
