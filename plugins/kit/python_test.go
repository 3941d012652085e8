//go:build unix

package kit

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/plugins"
	"github.com/anonymous-media-library/aml/plugins/confine"
	"github.com/anonymous-media-library/aml/plugins/sdk/python"
	"github.com/anonymous-media-library/aml/plugins/skeleton"
)

// interpreter is the Python that a plugin is run by: the first on the PATH that it
// has, with all that the SDK needs.
func interpreter(t *testing.T) string {
	t.Helper()
	for _, dir := range []string{"/usr/local/bin", "/usr/bin", "/bin"} {
		path := filepath.Join(dir, "python3")
		if _, err := os.Stat(path); err != nil {
			continue
		}
		cmd := exec.Command(path, "-c", "import grpc, google.protobuf, cryptography")
		cmd.Env = []string{"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=" + t.TempDir()}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Skipf("%s has not what plugins in Python need, so they are not tested (apt-get install python3-grpcio python3-cryptography): %v\n%s", path, err, out)
		}
		return path
	}
	t.Skip("there is no python3, so plugins in Python are not tested")
	return ""
}

// TestPluginsInPythonConform: the example, and what plugin-new writes with all hooks.
func TestPluginsInPythonConform(t *testing.T) {
	t.Parallel()
	py := interpreter(t)
	self, err := confine.Self()
	if err != nil {
		t.Fatal(err)
	}
	spec := skeleton.Spec{ID: "mine"}
	for _, r := range plugins.Rules() {
		spec.Hooks = append(spec.Hooks, r.Hook)
	}
	files, err := skeleton.Python(spec)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(py, "-B", "-m", "unittest")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("its own test: %v\n%s", err, out)
	}
	example, err := filepath.Abs("../examples/no-shouting")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{dir, example} {
		res, err := Run(context.Background(), Config{Path: dir, Launcher: []string{self, confine.Verb}, From: "example", Slow: 100}) // the machine may be busy
		if err != nil {
			t.Fatal(err)
		}
		var wrong []string
		for _, c := range res.Checks {
			if !c.OK {
				wrong = append(wrong, fmt.Sprintf("%s, %s: %s", c.Hook, c.Name, c.Reason))
			}
		}
		if len(res.Checks) == 0 || res.Failed > 0 {
			t.Errorf("%s: of %d checks failed %d:\n%s\n%s", res.ID, len(res.Checks), res.Failed, strings.Join(wrong, "\n"), strings.Join(res.Log, "\n"))
		}
	}
}

// TestTheExampleHasTheSDKOfToday: .ci/protogen.go copies it.
func TestTheExampleHasTheSDKOfToday(t *testing.T) {
	for name, text := range python.Files() {
		got, err := os.ReadFile(filepath.Join("../examples/no-shouting", name))
		if err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s is another than that of plugins/sdk/python: go run -modfile=.ci/tools.mod .ci/protogen.go (%v)", name, err)
		}
	}
}
