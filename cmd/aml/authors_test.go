package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// skeletonOf writes the beginning of a plugin that has all hooks, as a module that finds aml
// in this folder and the rest in the module cache.
func skeletonOf(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "mine")
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	ok(t, t.TempDir(), "plugin-new", "mine", "-o", dir, "--aml", root, "--hooks", "FilterManifest,PlanFetch,ScanContent,BeforePublish,Source,Mirror,Render,Sign,Observe")
	// What aml itself requires is what is in the module cache.
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, required, found := strings.Cut(read(filepath.Join(root, "go.mod")), "\nrequire (")
	if !found {
		t.Fatal("go.mod requires nothing")
	}
	for name, text := range map[string]string{
		"go.mod": read(filepath.Join(dir, "go.mod")) + "\nrequire (" + required, "go.sum": read(filepath.Join(root, "go.sum")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// inSkeleton runs go there, without a network.
func inSkeleton(t *testing.T, dir string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip(err)
	}
	cmd := exec.Command("go", args...)
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	if args[0] == "build" { // as the documentation says; vet finds more of it built
		cmd.Env = append(cmd.Env, "CGO_ENABLED=0")
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("go %v: %v\n%s", args, err, out)
	}
}

// What plugin-new writes is a program, its test included. That it passes
// plugin-test is tested at full size, since a program has to be linked for that.
func TestTheBeginningOfAPluginIsAProgram(t *testing.T) {
	t.Parallel()
	inSkeleton(t, skeletonOf(t), "vet", ".")
}
