package skeleton

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/plugins"
)

// TestEachHooksSkeletonIsWhole: what is imported is used, and plugin.yaml is one.
// That it builds is tested in cmd/aml.
func TestEachHooksSkeletonIsWhole(t *testing.T) {
	sets := [][]plugins.Hook{{}}
	for _, r := range plugins.Rules() {
		sets = append(sets, []plugins.Hook{r.Hook})
		sets[0] = append(sets[0], r.Hook)
	}
	for _, hooks := range sets {
		files, err := Go(Spec{ID: "my-plugin", Hooks: hooks, Version: "v1.2.3", Replace: "../aml"})
		if err != nil {
			t.Errorf("%v: %v", hooks, err)
			continue
		}
		m, err := plugins.ParseManifest(files["plugin.yaml"])
		if err != nil || len(m.Hooks) != len(hooks) {
			t.Errorf("%v: plugin.yaml has %v, %v\n%s", hooks, m.Hooks, err, files["plugin.yaml"])
		}
		if mod := string(files["go.mod"]); !strings.Contains(mod, "aml v1.2.3") || !strings.Contains(mod, "=> ../aml") {
			t.Errorf("go.mod is %s", mod)
		}
		for _, name := range []string{"main.go", "main_test.go"} {
			f, err := parser.ParseFile(token.NewFileSet(), name, files[name], 0)
			if err != nil {
				t.Errorf("%v: %v", hooks, err)
				continue
			}
			used := map[string]bool{}
			ast.Inspect(f, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					if id, ok := s.X.(*ast.Ident); ok {
						used[id.Name] = true
					}
				}
				return true
			})
			imported := map[string]bool{}
			for _, spec := range f.Imports {
				path := strings.Trim(spec.Path.Value, `"`)
				imported[path[strings.LastIndex(path, "/")+1:]] = true
			}
			for p := range imported {
				if !used[p] {
					t.Errorf("%v: %s imports %s and does not use it", hooks, name, p)
				}
			}
			for _, p := range []string{"io", "fs", "fmt", "log", "errors", "strings", "iter", "bytes", "sync"} {
				if used[p] && !imported[p] {
					t.Errorf("%v: %s uses %s and does not import it", hooks, name, p)
				}
			}
		}
	}
}

func TestAWrongSpecIsRefused(t *testing.T) {
	for _, s := range []Spec{{}, {ID: "x"}, {ID: "No", Hooks: []plugins.Hook{plugins.Sign}}, {ID: "x", Hooks: []plugins.Hook{"Explode"}}, {ID: "x", Hooks: []plugins.Hook{plugins.Sign, plugins.Sign}}} {
		if _, err := Go(s); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
}
