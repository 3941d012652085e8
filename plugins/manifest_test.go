package plugins

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

const good = `format: 1
id: no-cats
version: 1.2.3
title: Leaves out cats
hooks: [FilterManifest, ScanContent]
capabilities: [plaintext]
priority: 10
binaries:
  linux/amd64: bin/no-cats
  any: no-cats.py
memory: 64MiB
config:
  - key: words
    doc: what to leave out
    default: cat
  - key: token
    required: true
    secret: true
`

func TestAManifestIsReadAsItStands(t *testing.T) {
	m, err := ParseManifest([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if m.ID != "no-cats" || m.Priority != 10 || !m.Has(ScanContent) || len(m.Config) != 2 {
		t.Errorf("got %+v", m)
	}
	if file, key, err := m.Binary("linux/amd64"); file != "bin/no-cats" || key != "linux/amd64" || err != nil {
		t.Errorf("binary for linux/amd64: %s %s %v", file, key, err)
	}
	if file, key, err := m.Binary("plan9/386"); file != "no-cats.py" || key != AnyPlatform || err != nil {
		t.Errorf("binary for plan9/386: %s %s %v", file, key, err)
	}
	if _, err := m.Settings(nil); !errors.Is(err, ErrConfig) {
		t.Errorf("without the required setting: %v", err)
	}
	set, err := m.Settings(map[string]string{"token": "x"})
	if err != nil || set["words"] != "cat" || set["token"] != "x" {
		t.Errorf("settings %v, %v", set, err)
	}
	if _, err := m.Settings(map[string]string{"token": "x", "else": "y"}); !errors.Is(err, ErrConfig) {
		t.Errorf("with an unknown setting: %v", err)
	}
}

func TestABrokenManifestIsRefusedByTheNameOfItsField(t *testing.T) {
	swap := func(old, new string) string {
		out := strings.Replace(good, old, new, 1)
		if out == good {
			panic(old)
		}
		return out
	}
	for name, test := range map[string]struct{ text, says string }{
		"empty":                     {"", "it is empty"},
		"nothing but a remark":      {"# soon\n", "it is empty"},
		"no YAML":                   {"\x00{", ""},
		"unknown key":               {good + "evil: 1\n", `there is no key "evil"`},
		"a word for a number":       {swap("format: 1", "format: one"), "line 1: want a whole number, and not one"},
		"a word for a list":         {swap("[plaintext]", "plaintext"), "want a list, such as [a, b], and not plaintext"},
		"a list for a word":         {swap("id: no-cats", "id: [a]"), "line 2: want a text, and not a list"},
		"a list for all":            {"- a\n", "line 1: want keys with values, and not a list"},
		"key twice":                 {good + "id: other\n", "id"},
		"two documents":             {good + "---\nformat: 1\n", "more than one document"},
		"anchor":                    {swap("title: Leaves", "title: &a Leaves"), "anchor"},
		"alias":                     {swap("title: Leaves out cats", "title: &a x\nauthor: *a"), "anchor"},
		"future format":             {swap("format: 1", "format: 2"), "format"},
		"id that leads out":         {swap("id: no-cats", "id: ../x"), "id"},
		"id in capitals":            {swap("id: no-cats", "id: Cats"), "id"},
		"no version":                {swap("1.2.3", "one"), "version"},
		"version that leads out":    {swap("1.2.3", "1.0.0-../../x"), "version"},
		"unknown hook":              {swap("[FilterManifest,", "[Explode,"), "hooks"},
		"hook twice":                {swap("[FilterManifest,", "[ScanContent,"), "hooks"},
		"no hook":                   {swap("[FilterManifest, ScanContent]", "[]"), "hooks"},
		"hook without its right":    {swap("[plaintext]", "[]"), "plaintext"},
		"unknown capability":        {swap("[plaintext]", "[plaintext, root]"), "capabilities"},
		"binary that leads out":     {swap("bin/no-cats", "../../bin/sh"), "path"},
		"absolute binary":           {swap("bin/no-cats", "/bin/sh"), "path"},
		"binary with backslash":     {swap("bin/no-cats", `bin\\sh`), "path"},
		"unknown platform":          {swap("linux/amd64", "linux"), "platform"},
		"memory of nothing":         {swap("64MiB", "1KiB"), "memory"},
		"control characters":        {swap("Leaves out cats", `"\e[31mred"`), "title"},
		"right-to-left override":    {swap("Leaves out cats", `"\u202e"`), "title"},
		"setting twice":             {swap("key: token", "key: words"), "words"},
		"setting with a bad key":    {swap("key: token", "key: 'a b'"), "a b"},
		"priority over all":         {swap("priority: 10", "priority: 100000"), "priority"},
		"formats without Render":    {good + "formats: [rss]\n", "formats"},
		"too long":                  {good + "#" + strings.Repeat("x", MaxManifest), "bytes"},
		"a tag of its own":          {swap("title: Leaves", "title: !x Leaves"), "tag"},
		"a tag of YAML's":           {swap("title: Leaves", "title: !!binary TGVhdmVz"), "tag"},
		"merging":                   {good + "<<: {author: x}\n", ""},
		"required, and has default": {swap("required: true", "required: true\n    default: x"), "token"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ParseManifest([]byte(test.text))
			if err != nil && (strings.Contains(err.Error(), "plugins.") || strings.Contains(err.Error(), "!!") || strings.Contains(err.Error(), "yaml:")) {
				t.Errorf("it speaks of this program: %v", err)
			}
			if !errors.Is(err, ErrManifest) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("want ErrManifest that says %q, got %v", test.says, err)
			}
		})
	}
}

func FuzzParseManifest(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("format: 1\nid: a\nversion: 0.0.0\nhooks: [Render]\nformats: [rss]\nbinaries: {any: a}\n"))
	f.Add([]byte("a: &a [*a]\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := ParseManifest(text)
		if err != nil {
			return
		}
		again, err := yaml.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseManifest(again)
		if err != nil && len(again) <= MaxManifest {
			t.Fatalf("%s: %v", again, err)
		}
		once, _ := yaml.Marshal(back)
		if err == nil && string(once) != string(again) {
			t.Fatalf("%s became %s", again, once)
		}
	})
}

func FuzzParseLock(f *testing.F) {
	sum := strings.Repeat("ab", 32)
	f.Add([]byte(`{"format":1,"plugins":[{"id":"a","version":"1.0.0","source":"x","installed":"2026-01-02T03:04:05Z","files":{"plugin.yaml":"` + sum + `"},"enabled":true,"granted":["files"],"paths":["/srv"]}]}`))
	f.Add([]byte(`{"format":1,"plugins":[]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		l, err := ParseLock(text)
		if err != nil {
			if !errors.Is(err, ErrLock) {
				t.Fatal(err)
			}
			return
		}
		again, err := EncodeLock(l)
		if err != nil {
			t.Fatal(err)
		}
		back, err := ParseLock(again)
		if err != nil || len(back.Plugins) != len(l.Plugins) {
			t.Fatalf("%s: %v", again, err)
		}
	})
}

func TestTheNumbersOnTheWireAreThoseOfTheTable(t *testing.T) {
	if got, want := len(Rules()), len(pluginv1.Hook_name)-1; got != want {
		t.Errorf("%d hooks have rules, %d have numbers", got, want)
	}
	for i, r := range Rules() {
		if int(r.Proto) != i+1 {
			t.Errorf("%s has number %d in place %d", r.Hook, r.Proto, i+1)
		}
	}
	for i, c := range Capabilities() {
		want := "CAPABILITY_" + strings.ToUpper(string(c))
		if got := c.Proto().String(); got != want || int(c.Proto()) != i+1 {
			t.Errorf("%s is %s", c, got)
		}
		if strings.Contains(c.Means(), "not know") {
			t.Errorf("%s has no meaning", c)
		}
	}
}

func TestDenyWinsMasksUniteLabelsMerge(t *testing.T) {
	var v Verdict
	v.Add("first", Verdict{Labels: map[string]string{"kind": "music", "year": "1977"}, Mask: map[string]string{"a": ""}})
	v.Add("silent", Verdict{Decision: Quarantine, Reason: "no answer", Failed: true})
	v.Add("second", Verdict{Decision: Deny, Reason: "no cats", Mask: map[string]string{"a": "", "b": ""}})
	v.Add("third", Verdict{Decision: Deny, Reason: "no dogs", Labels: map[string]string{"kind": "noise", "lang": "de"}})
	v.Add("fourth", Verdict{})
	want := Verdict{
		Decision: Deny, Plugin: "second", Reason: "no cats",
		Mask:   map[string]string{"a": "first", "b": "second"},
		Labels: map[string]string{"kind": "music", "year": "1977", "lang": "de"},
	}
	if !reflect.DeepEqual(v, want) {
		t.Errorf("got %+v\nwant %+v", v, want)
	}
}

func TestWhatAPluginSaysIsBounded(t *testing.T) {
	many := map[string]string{}
	for i := range MaxLabels + 1 {
		many[strings.Repeat("k", i%60+1)+string(rune('a'+i%26))] = ""
	}
	for name, err := range map[string]error{
		"long reason":   CheckSaid(strings.Repeat("x", MaxReason+1), nil),
		"escape":        CheckSaid("\x1b[2J", nil),
		"long label":    CheckSaid("", map[string]string{"a": strings.Repeat("x", 1000)}),
		"empty key":     CheckSaid("", map[string]string{"": "x"}),
		"escape in one": CheckSaid("", map[string]string{"a": "\x1b"}),
	} {
		if !errors.Is(err, ErrFailed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := CheckSaid("fine", map[string]string{"a": "b"}); err != nil {
		t.Error(err)
	}
}
