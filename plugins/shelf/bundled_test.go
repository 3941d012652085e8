package shelf

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/anonymous-media-library/aml/plugins"
)

// inner is a bundled plugin's plugin.yaml.
func inner(version, capabilities string) map[string][]byte {
	text := fmt.Sprintf("format: 1\nid: inner\nversion: %s\nhooks: [FilterManifest]\ncapabilities: [%s]\nbinaries: {any: aml}\nargs: [plugin-serve, inner]\n", version, capabilities)
	return map[string][]byte{"inner": []byte(text)}
}

// carrying is a shelf of a program that carries texts.
func carrying(t *testing.T, dir string, texts map[string][]byte) *Shelf {
	t.Helper()
	s, err := Open(dir, nil)
	if err == nil {
		err = s.Carry("/the/program", texts)
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func installInner(t *testing.T, s *Shelf, granted ...plugins.Capability) {
	t.Helper()
	st, err := s.StageBundled("inner")
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	if _, err := st.Install("bundled:inner", func(p *plugins.Installed) error {
		p.Granted, p.Enabled = granted, true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestABundledPluginIsTheProgramAndFollowsIt(t *testing.T) {
	dir := t.TempDir()
	s := carrying(t, dir, inner("1.0.0", "files, network"))
	if _, err := s.StageBundled("other"); !errors.Is(err, plugins.ErrNotBundled) {
		t.Errorf("another: %v", err)
	}
	installInner(t, s, plugins.Files) // network was not granted, knowingly
	p, err := s.Get("inner")
	if err != nil || p.Err != nil || !p.Bundled || p.Version != "1.0.0" {
		t.Fatalf("got %+v, %v", p, err)
	}
	run, err := s.Prepare(context.Background(), p, "linux/amd64")
	if err != nil || run.Binary != "/the/program" || len(run.Folders()) != 0 || run.Release() != nil {
		t.Errorf("it runs as %+v, %v", run, err)
	}
	if err := s.Verify(context.Background(), "inner"); err != nil {
		t.Error(err)
	}
	for _, step := range []struct {
		version, capabilities string
		enabled               bool
	}{
		{"1.1.0", "files, network", true},             // as before
		{"1.0.9", "files", true},                      // an older aml
		{"2.0.0", "files, processes", false},          // it asks for more
		{"2.1.0", "files, processes, network", false}, // and stays off
	} {
		s = carrying(t, dir, inner(step.version, step.capabilities))
		p, err := s.Get("inner")
		if err != nil || p.Err != nil || p.Version != step.version || p.Enabled != step.enabled || !slices.Equal(p.Granted, []plugins.Capability{plugins.Files}) {
			t.Errorf("%+v: got %+v, %v", step, p, err)
		}
	}
	s = carrying(t, dir, nil) // of an aml that has it no more
	p, err = s.Get("inner")
	if err != nil || !errors.Is(p.Err, plugins.ErrNotBundled) {
		t.Errorf("got %+v, %v", p, err)
	}
	if _, err := s.Prepare(context.Background(), p, "linux/amd64"); !errors.Is(err, plugins.ErrNotBundled) {
		t.Errorf("it would run: %v", err)
	}
	if err := s.Verify(context.Background(), "inner"); !errors.Is(err, plugins.ErrNotBundled) {
		t.Errorf("it verifies: %v", err)
	}
	if err := s.Remove("inner", true); err != nil {
		t.Error(err)
	}
}

func TestABundledPluginAndAFolderTakeEachOthersPlace(t *testing.T) {
	dir, from := t.TempDir(), t.TempDir()
	s := carrying(t, dir, inner("1.0.0", "files"))
	for name, text := range map[string]string{"plugin.yaml": string(inner("1.0.0", "files")["inner"]), "aml": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	folder := func() {
		st, err := s.Stage(context.Background(), from)
		if err != nil {
			t.Fatal(err)
		}
		defer st.Close()
		if _, err := st.Install(from, nil); err != nil {
			t.Fatal(err)
		}
	}
	folder()
	installInner(t, s, plugins.Files)
	if _, err := os.Stat(filepath.Join(dir, "inner", "1.0.0", "aml")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder's files stay: %v", err)
	}
	folder()
	p, err := s.Get("inner")
	if err != nil || p.Bundled || p.Err != nil || len(p.Files) != 2 {
		t.Errorf("got %+v, %v", p, err)
	}
	if err := s.Verify(context.Background(), "inner"); err != nil {
		t.Error(err)
	}
}

// A bundled plugin has nothing on disk that could be run, but it has its say.
func TestWithoutALockABundledPluginIsNotTakenForNothing(t *testing.T) {
	s := carrying(t, t.TempDir(), inner("1.0.0", "files"))
	installInner(t, s, plugins.Files)
	for range 2 { // as it was installed, and as the next version has it
		if err := os.Remove(s.path(lockName)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(); !errors.Is(err, plugins.ErrLock) {
			t.Errorf("list: %v", err)
		}
		if err := s.Remove("inner", false); err != nil {
			t.Fatal(err)
		}
		installInner(t, s, plugins.Files)
		s = carrying(t, s.dir, inner("1.1.0", "files"))
	}
	if entries, err := os.ReadDir(s.path("inner")); err != nil || len(entries) != 1 {
		t.Errorf("folders of it: %v, %v", entries, err)
	}
}
