package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/spf13/cobra"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/bundled"
)

var (
	configExample = regexp.MustCompile(`aml plugin-config ([a-z0-9-]+) ([^\n#` + "`" + `]*)`)
	settingInIt   = regexp.MustCompile(`(?:^|[ '])([A-Za-z][A-Za-z0-9_.-]*)=`)
)

// Whoever copies an example from the documents or from help sets what the plugin knows.
func TestExamplesSetWhatBundledPluginsKnow(t *testing.T) {
	texts := map[string]string{}
	docs, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(docs) == 0 {
		t.Fatal(docs, err)
	}
	for _, path := range append(docs, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		texts[path] = string(text)
	}
	var visit func(*cobra.Command)
	visit = func(cmd *cobra.Command) {
		texts[cmd.Name()+" --help"] = cmd.Example
		for _, below := range cmd.Commands() {
			visit(below)
		}
	}
	visit(newApp(nil, nil, nil).command())
	carried, looked := bundled.Manifests(), 0
	for where, text := range texts {
		for _, example := range configExample.FindAllStringSubmatch(text, -1) {
			yaml, ok := carried[example[1]]
			if !ok {
				continue // an author's
			}
			m, err := plugins.ParseManifest(yaml)
			if err != nil {
				t.Fatal(err)
			}
			for _, set := range settingInIt.FindAllStringSubmatch(example[2], -1) {
				looked++
				if !slices.ContainsFunc(m.Config, func(s plugins.Setting) bool { return s.Key == set[1] }) {
					t.Errorf("%s: %s: it has no setting %q", where, example[0], set[1])
				}
			}
		}
	}
	if looked < 10 {
		t.Errorf("%d settings were found", looked)
	}
}
