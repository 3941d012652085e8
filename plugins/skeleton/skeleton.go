// Package skeleton writes the beginning of a plugin: a program that does nothing
// yet, its plugin.yaml and a test. It is pure: files are handed back, and not
// written.
package skeleton

import (
	"bytes"
	_ "embed" // the templates
	"fmt"
	"go/format"
	"slices"
	"strings"
	"text/template"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/sdk/python"
)

// Spec is a plugin to be.
type Spec struct {
	ID      string
	Hooks   []plugins.Hook
	Version string // of the module aml that it is written for; empty: the newest
	Replace string // a folder with that module's source, for go.mod; empty: none

	Platform string // for which a program in Go is built first, such as linux/amd64
}

// Module is what a plugin in Go imports.
const Module = "github.com/anonymous-media-library/aml"

//go:embed main.go.tmpl
var mainText string

//go:embed main_test.go.tmpl
var testText string

//go:embed plugin.py.tmpl
var pythonText string

//go:embed test_plugin.py.tmpl
var pythonTestText string

//go:embed plugin.yaml.tmpl
var yamlText string

// Go returns the files of a plugin in Go, by name.
func Go(s Spec) (map[string][]byte, error) {
	out, err := s.write(map[string]string{"main.go": mainText, "main_test.go": testText, "plugin.yaml": yamlText}, map[string]any{
		"Platform": s.Platform, "Binary": "plugin", "Memory": "256MiB", "Note": " # one for each system; this one is built with: CGO_ENABLED=0 go build -o plugin .",
	})
	if err != nil {
		return nil, err
	}
	for name, text := range out {
		if strings.HasSuffix(name, ".go") {
			if out[name], err = format.Source(text); err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	mod := "module " + s.ID + "\n\ngo 1.26\n"
	if s.Version != "" {
		mod += "\nrequire " + Module + " " + s.Version + "\n"
	}
	if s.Replace != "" {
		mod += "\nreplace " + Module + " => " + s.Replace + "\n"
	}
	out["go.mod"] = []byte(mod)
	return out, nil
}

// Python returns the files of a plugin in Python, by name: the SDK among them, so
// that the folder is whole.
func Python(s Spec) (map[string][]byte, error) {
	out, err := s.write(map[string]string{"plugin.py": pythonText, "test_plugin.py": pythonTestText, "plugin.yaml": yamlText}, map[string]any{
		"Platform": plugins.AnyPlatform, "Binary": "plugin.py", "Memory": "256MiB", "Note": "",
	})
	if err != nil {
		return nil, err
	}
	for name, text := range python.Files() {
		out[name] = text
	}
	return out, nil
}

// write fills in templates.
func (s Spec) write(texts map[string]string, data map[string]any) (map[string][]byte, error) {
	if !plugins.ValidID(s.ID) {
		return nil, fmt.Errorf("id: %q is none; want 1 to 32 of a-z, 0-9 and single hyphens, beginning with a letter", s.ID)
	}
	var names []string
	for _, r := range plugins.Rules() {
		names = append(names, string(r.Hook))
	}
	if len(s.Hooks) == 0 {
		return nil, fmt.Errorf("hooks: there is none; name some with --hooks: %s", strings.Join(names, ", "))
	}
	var capabilities []string
	for i, h := range s.Hooks {
		rule, ok := plugins.RuleOf(h)
		if !ok || slices.Contains(s.Hooks[:i], h) {
			return nil, fmt.Errorf("hooks: %q is none, or twice; there are %s", h, strings.Join(names, ", "))
		}
		for _, c := range rule.Needs {
			if !slices.Contains(capabilities, string(c)) {
				capabilities = append(capabilities, string(c))
			}
		}
	}
	data["ID"], data["Hooks"], data["Capabilities"], data["Module"] = s.ID, s.Hooks, capabilities, Module
	data["Number"] = func(h plugins.Hook) string { r, _ := plugins.RuleOf(h); return r.Proto.String() }
	data["Has"] = func(h string) bool { return slices.Contains(s.Hooks, plugins.Hook(h)) }
	out := map[string][]byte{}
	for name, text := range texts {
		t, err := template.New(name).Parse(text)
		if err != nil {
			return nil, err
		}
		var b bytes.Buffer
		if err := t.Execute(&b, data); err != nil {
			return nil, err
		}
		out[name] = b.Bytes()
	}
	return out, nil
}
