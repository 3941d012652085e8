// Package skeleton writes the beginning of a plugin: a program that does nothing
// yet, its plugin.yaml and a test. It is pure: files are handed back, and not
// written.
package skeleton

import (
	"bytes"
	_ "embed" // the templates
	"errors"
	"fmt"
	"go/format"
	"slices"
	"strings"
	"text/template"

	"github.com/anonymous-media-library/aml/plugins"
)

// Spec is a plugin to be.
type Spec struct {
	ID      string
	Hooks   []plugins.Hook
	Version string // of the module aml that it is written for; empty: the newest
	Replace string // a folder with that module's source, for go.mod; empty: none
}

// module is what a plugin in Go imports.
const module = "github.com/anonymous-media-library/aml"

//go:embed main.go.tmpl
var mainText string

//go:embed main_test.go.tmpl
var testText string

//go:embed plugin.yaml.tmpl
var yamlText string

// Go returns the files of a plugin in Go, by name.
func Go(s Spec) (map[string][]byte, error) {
	if !plugins.ValidID(s.ID) {
		return nil, fmt.Errorf("id: %q is none; want 1 to 32 of a-z, 0-9 and single hyphens, beginning with a letter", s.ID)
	}
	if len(s.Hooks) == 0 {
		return nil, errors.New("hooks: there is none")
	}
	var capabilities []string
	for i, h := range s.Hooks {
		rule, ok := plugins.RuleOf(h)
		if !ok || slices.Contains(s.Hooks[:i], h) {
			var names []string
			for _, r := range plugins.Rules() {
				names = append(names, string(r.Hook))
			}
			return nil, fmt.Errorf("hooks: %q is none, or twice; there are %s", h, strings.Join(names, ", "))
		}
		for _, c := range rule.Needs {
			if !slices.Contains(capabilities, string(c)) {
				capabilities = append(capabilities, string(c))
			}
		}
	}
	data := map[string]any{
		"ID": s.ID, "Hooks": s.Hooks, "Capabilities": capabilities, "Module": module,
		"Has": func(h string) bool { return slices.Contains(s.Hooks, plugins.Hook(h)) },
	}
	out := map[string][]byte{}
	for name, text := range map[string]string{"main.go": mainText, "main_test.go": testText, "plugin.yaml": yamlText} {
		t, err := template.New(name).Parse(text)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, data); err != nil {
			return nil, err
		}
		out[name] = b.Bytes()
		if strings.HasSuffix(name, ".go") {
			if out[name], err = format.Source(b.Bytes()); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	mod := "module " + s.ID + "\n\ngo 1.26\n"
	if s.Version != "" {
		mod += "\nrequire " + module + " " + s.Version + "\n"
	}
	if s.Replace != "" {
		mod += "\nreplace " + module + " => " + s.Replace + "\n"
	}
	out["go.mod"] = []byte(mod)
	return out, nil
}
