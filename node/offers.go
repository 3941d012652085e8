package node

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/bundled"
	"github.com/anonymous-media-library/aml/plugins/shelf"
)

// PluginHint is a plugin as a shell offers it.
type PluginHint struct {
	ID, Title string
	Enabled   bool
	Hooks     []plugins.Hook
	Settings  []Hint // keys, and what they are for
	Formats   []string
}

// PluginHints names the plugins in a folder. Nothing is opened or changed: what cannot
// be read is left out.
func PluginHints(dir string) (out []PluginHint) {
	installed, _ := shelf.Glance(dir, bundled.Manifests())
	for _, p := range installed {
		h := hintOf(p.Manifest)
		h.ID, h.Enabled = p.ID, p.Enabled
		out = append(out, h)
	}
	return out
}

// BundledHints names the plugins that are a part of aml.
func BundledHints() (out []PluginHint) {
	carried := bundled.Manifests()
	for _, id := range slices.Sorted(maps.Keys(carried)) {
		if m, err := plugins.ParseManifest(carried[id]); err == nil {
			out = append(out, hintOf(m))
		}
	}
	return out
}

func hintOf(m plugins.Manifest) PluginHint {
	h := PluginHint{ID: m.ID, Title: m.Title, Hooks: m.Hooks, Formats: m.Formats}
	for _, s := range m.Config {
		h.Settings = append(h.Settings, Hint{s.Key, s.Doc})
	}
	return h
}

// SourceHints names what plugins bring, by the file in the folder of plugins.
func SourceHints(dir string) (out []Hint) {
	list, _ := (&bindings[SourceInfo]{path: filepath.Join(dir, sourcesFile)}).all()
	for _, s := range list {
		out = append(out, Hint{s.Name, s.Plugin + ", " + s.Target})
	}
	return out
}

// DocumentHints names the files that plugins write.
func DocumentHints(dir string) (out []Hint) {
	list, _ := (&bindings[DocumentInfo]{path: filepath.Join(dir, documentsFile)}).all()
	for _, d := range list {
		out = append(out, Hint{d.Output, d.Plugin + ", " + d.Target})
	}
	return out
}
