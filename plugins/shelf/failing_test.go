package shelf

import (
	"context"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/plugins"
)

// intact fails unless the plugin of these files is installed and whole, and nothing
// is left of what was tried.
func intact(t *testing.T, s *Shelf) {
	t.Helper()
	if err := s.Verify(t.Context(), "no-cats"); err != nil {
		t.Errorf("the installed plugin: %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(s.dir, "no-cats", "1.0.0", "bin", "linux")); string(text) != files["bin/linux"] {
		t.Errorf("the installed plugin has %q, %v", text, err)
	}
	if left, _ := os.ReadDir(s.path(tempDir)); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestAPluginWithANameThatNoFileMayHaveIsRefusedAndHarmsNothing(t *testing.T) {
	s := open(t)
	install(t, s, folder(t, files))
	for _, name := range []string{"a\x1bb", "a:b", strings.Repeat("d/", 130) + "f"} {
		evil := maps.Clone(files)
		evil["bin/linux"], evil[name] = "EVIL", ""
		dir := t.TempDir()
		for name, text := range evil {
			path := filepath.Join(dir, filepath.FromSlash(name))
			err := os.MkdirAll(filepath.Dir(path), 0o700)
			if err == nil {
				err = os.WriteFile(path, []byte(text), 0o600)
			}
			if err != nil {
				t.Skip(err) // not every system has such names
			}
		}
		st, err := s.Stage(context.Background(), dir)
		if err == nil {
			_, err = st.Install(dir, nil)
			err = errors.Join(err, st.Close())
		}
		if err == nil || strings.Contains(err.Error(), "\x1b") || errors.Is(err, plugins.ErrLock) {
			t.Errorf("a file %.20q: %v", name, err)
		}
		intact(t, s)
	}
}

func TestADecisionThatTheLockCannotHoldLeavesTheInstalledPlugin(t *testing.T) {
	s := open(t)
	install(t, s, folder(t, files))
	refused(t, s, func() {}, func(p *plugins.Installed) error { p.Memory = -1; return nil })
	intact(t, s)
}

// refused installs another plugin of the same version in vain.
func refused(t *testing.T, s *Shelf, staged func(), decide func(*plugins.Installed) error) {
	t.Helper()
	other := maps.Clone(files)
	other["bin/linux"] = "EVIL"
	st, err := s.Stage(t.Context(), folder(t, other))
	if err != nil {
		t.Fatal(err)
	}
	staged()
	if _, err = st.Install("here", decide); err == nil {
		t.Error("it was installed")
	}
	if err := st.Close(); err != nil {
		t.Error(err)
	}
}
