package skeleton

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
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
		files, err := Go(Spec{ID: "my-plugin", Platform: "linux/amd64", Hooks: hooks, Version: "v1.2.3", Replace: "../aml"})
		if err != nil {
			t.Errorf("%v: %v", hooks, err)
			continue
		}
		m, err := plugins.ParseManifest(files["plugin.yaml"])
		if _, _, foreign := m.Binary("plan9/386"); foreign == nil {
			t.Errorf("a program that is built for one system is said to run everywhere: %v", m.Binaries)
		}
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

// TestEachHooksSkeletonInPythonIsAProgram; that it does what it has to is tested in
// plugins/kit.
func TestEachHooksSkeletonInPythonIsAProgram(t *testing.T) {
	sets, dir, names := [][]plugins.Hook{{}}, t.TempDir(), []string(nil)
	for _, r := range plugins.Rules() {
		sets = append(sets, []plugins.Hook{r.Hook})
		sets[0] = append(sets[0], r.Hook)
	}
	for i, hooks := range sets {
		files, err := Python(Spec{ID: "my-plugin", Hooks: hooks})
		if err != nil {
			t.Errorf("%v: %v", hooks, err)
			continue
		}
		m, err := plugins.ParseManifest(files["plugin.yaml"])
		if err != nil || len(m.Hooks) != len(hooks) || files[m.Binaries[plugins.AnyPlatform]] == nil {
			t.Errorf("%v: plugin.yaml has %v, %v\n%s", hooks, m.Hooks, err, files["plugin.yaml"])
		}
		for name, text := range files {
			name = filepath.Join(dir, fmt.Sprintf("%d-%s", i, name))
			if err := os.WriteFile(name, text, 0o600); err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(name, "-plugin.py") || strings.HasSuffix(name, ".py") && i == 0 { // the SDK is the same in each
				names = append(names, name)
			}
		}
	}
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skip(err)
	}
	if out, err := exec.Command(python, append([]string{"-m", "py_compile"}, names...)...).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAWrongSpecIsRefused(t *testing.T) {
	for _, s := range []Spec{{}, {ID: "x"}, {ID: "No", Hooks: []plugins.Hook{plugins.Sign}}, {ID: "x", Hooks: []plugins.Hook{"Explode"}}, {ID: "x", Hooks: []plugins.Hook{plugins.Sign, plugins.Sign}}} {
		if _, err := Go(s); err == nil {
			t.Errorf("%+v was taken", s)
		}
	}
}
