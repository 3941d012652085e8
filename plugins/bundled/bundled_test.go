package bundled

import (
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/plugins"
	pluginv1 "github.com/anonymous-media-library/aml/plugins/proto/aml/plugin/v1"
)

// TestEachBundledPluginIsWhatItsManifestSays: the host ends one that is not.
func TestEachBundledPluginIsWhatItsManifestSays(t *testing.T) {
	for id, p := range All() {
		m, err := plugins.ParseManifest(p.Manifest)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		made := p.New()
		if m.ID != id || made.ID != id || m.Version != made.Version {
			t.Errorf("%s: plugin.yaml is that of %s %s, the program %s %s", id, m.ID, m.Version, made.ID, made.Version)
		}
		var want []pluginv1.Hook
		for _, r := range plugins.Rules() {
			if m.Has(r.Hook) {
				want = append(want, r.Proto)
			}
		}
		if !slices.Equal(made.Hooks(), want) {
			t.Errorf("%s: the program has hooks %v, plugin.yaml says %v", id, made.Hooks(), want)
		}
		if !slices.Equal(m.Args, []string{Verb, id}) || m.Binaries[plugins.AnyPlatform] != "aml" {
			t.Errorf("%s: args %q of %v, want those by which aml is told to be it", id, m.Args, m.Binaries)
		}
		if m.Title == "" || m.Description == "" {
			t.Errorf("%s: nobody is told what it is for", id)
		}
	}
}
