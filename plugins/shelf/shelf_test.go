package shelf

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/anonymous-media-library/aml/internal/unpack"
	"github.com/anonymous-media-library/aml/internal/wholefile"
	"github.com/anonymous-media-library/aml/plugins"
)

const manifest = `format: 1
id: no-cats
version: 1.0.0
hooks: [FilterManifest]
capabilities: [network]
binaries:
  linux/amd64: bin/linux
  plan9/386: bin/plan9
`

var files = map[string]string{"plugin.yaml": manifest, "bin/linux": "ELF", "bin/plan9": "other", "data/words": "cat"}

// folder writes a plugin.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T) *Shelf {
	t.Helper()
	s, err := Open(filepath.Join(t.TempDir(), "plugins"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func install(t *testing.T, s *Shelf, path string) plugins.Installed {
	t.Helper()
	st, err := s.Stage(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	p, err := st.Install(path, nil)
	if err := errors.Join(err, st.Close()); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAPluginIsInstalledListedChangedAndRemoved(t *testing.T) {
	s, ctx := open(t), context.Background()
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Fatalf("before: %v %v", list, err)
	}
	install(t, s, folder(t, files))
	if err := s.Verify(ctx, "no-cats"); err != nil {
		t.Error(err)
	}
	err := s.Change("no-cats", func(p *plugins.Installed, _ plugins.Manifest) error {
		p.Granted, p.Enabled, p.Config = []plugins.Capability{plugins.Network}, true, map[string]string{"a": "b"}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	// A new version that asks for no more keeps what was decided.
	newer := map[string]string{"plugin.yaml": strings.Replace(manifest, "1.0.0", "1.1.0", 1), "bin/linux": "ELF2", "bin/plan9": "x"}
	if p := install(t, s, folder(t, newer)); !p.Enabled || !p.Has(plugins.Network) || p.Config["a"] != "b" || p.Version != "1.1.0" {
		t.Errorf("after the update: %+v", p)
	}
	if _, err := os.Stat(filepath.Join(s.dir, "no-cats", "1.0.0")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the old version is still there: %v", err)
	}
	// One that asks for more waits for the operator.
	more := map[string]string{"plugin.yaml": strings.NewReplacer("1.0.0", "2.0.0", "[network]", "[network, files]").Replace(manifest), "bin/linux": "ELF3", "bin/plan9": "x"}
	if p := install(t, s, folder(t, more)); p.Enabled || p.Has(plugins.Files) {
		t.Errorf("an update has what nobody granted: %+v", p)
	}
	if err := s.Remove("no-cats", true); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Get("no-cats"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after its removal: %v", err)
	}
	for _, name := range []string{"no-cats"} {
		if _, err := os.Stat(filepath.Join(s.dir, name)); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left: %v", name, err)
		}
	}
	left, _ := os.ReadDir(s.path(tempDir))
	if len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestWithoutALockWhatIsThereIsNotTakenForNothing(t *testing.T) {
	s, ctx := open(t), context.Background()
	install(t, s, folder(t, files))
	lock := s.path(lockName)
	for _, what := range []string{"missing", "empty"} {
		err := os.Remove(lock)
		if what == "empty" {
			err = os.WriteFile(lock, nil, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		for name, err := range map[string]error{
			"List":    func() error { _, err := s.List(); return err }(),
			"Verify":  s.Verify(ctx, "no-cats"),
			"Install": func() error { _, err := s.Stage(ctx, folder(t, files)); return err }(),
			"another": s.Remove("no-dogs", false),
		} {
			if !errors.Is(err, plugins.ErrLock) || !strings.Contains(err.Error(), "plugin-remove") {
				t.Errorf("%s, %s: %v, want one that says what to do", what, name, err)
			}
		}
	}
	if err := s.Remove("no-cats", false); !errors.Is(err, plugins.ErrLock) {
		t.Errorf("Remove with a broken lock: %v", err)
	}
	if err := errors.Join(os.Remove(lock), s.Remove("no-cats", false)); err != nil {
		t.Fatal(err)
	}
	if list, err := s.List(); err != nil || len(list) != 0 {
		t.Errorf("after the removal: %v %v", list, err)
	}
	install(t, s, folder(t, files))
}

func TestALockThatOthersCanReadIsClosedToThem(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("modes are another matter there")
	}
	s := open(t)
	install(t, s, folder(t, files))
	if s, err := Open(s.dir, nil); err != nil || s.Exposed() {
		t.Fatalf("one of mode 0600 is said to be exposed, %v", err)
	}
	if err := os.Chmod(s.path(lockName), 0o644); err != nil {
		t.Fatal(err)
	}
	again, err := Open(s.dir, nil)
	if err != nil || !again.Exposed() {
		t.Fatalf("one of mode 0644 is not said to be exposed, %v", err)
	}
	if info, err := os.Stat(s.path(lockName)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("its mode is %v, %v", info.Mode(), err)
	}
}

func TestWhatComesFromElsewhereHasNothingThatWasDecided(t *testing.T) {
	s, ctx := open(t), context.Background()
	decided := func(p *plugins.Installed) error {
		p.Granted, p.Enabled, p.Config = []plugins.Capability{plugins.Network}, true, map[string]string{"token": "secret"}
		return nil
	}
	put := func(version, source string, decide func(*plugins.Installed) error) (plugins.Installed, *Replaced) {
		t.Helper()
		st, err := s.Stage(ctx, folder(t, map[string]string{"plugin.yaml": strings.Replace(manifest, "1.0.0", version, 1), "bin/linux": "ELF", "bin/plan9": "x"}))
		if err != nil {
			t.Fatal(err)
		}
		p, err := st.Install(source, decide)
		if err := errors.Join(err, st.Close()); err != nil {
			t.Fatal(err)
		}
		return p, st.Replaces(source)
	}
	for _, test := range []struct {
		from, version, to string
		elsewhere, newer  bool
	}{
		{"/srv/a.tar", "1.1.0", "/srv/b.tar", false, false},
		{"/srv/a.tar", "0.9.0", "/srv/b.tar", false, true},
		{"aml://a1/p.tar", "1.1.0", "aml://a1/p-1.1.tar", false, false},
		{"aml://a1/p.tar", "1.1.0", "aml://b2/p.tar", true, false},
		{"/srv/a.tar", "1.1.0", "aml://a1/p.tar", true, false},
		{"aml://a1/p.tar", "0.9.0", "/srv/a.tar", true, true},
		{"bundled:no-cats", "1.1.0", "/srv/a.tar", true, false},
	} {
		put("1.0.0", test.from, decided)
		p, was := put(test.version, test.to, nil)
		if was == nil || *was != (Replaced{"1.0.0", test.from, test.newer, test.elsewhere}) {
			t.Errorf("%s by %s: it is said to replace %+v", test.from, test.to, was)
		}
		if p.Enabled == test.elsewhere || p.Has(plugins.Network) == test.elsewhere || (p.Config["token"] != "") == test.elsewhere {
			t.Errorf("%s by %s has %+v", test.from, test.to, p)
		}
		if _, was := put(test.version, test.to, nil); was != nil {
			t.Errorf("the same again replaces %+v", was)
		}
	}
}

func TestWhatRunsIsWhatWasInstalled(t *testing.T) {
	s, ctx := open(t), context.Background()
	p := install(t, s, folder(t, files))
	plugin, err := s.Get("no-cats")
	if err != nil {
		t.Fatal(err)
	}
	run, err := s.Prepare(ctx, plugin, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(run.Binary); string(text) != "ELF" || err != nil {
		t.Errorf("the copy has %q, %v", text, err)
	}
	if _, err := os.Stat(filepath.Join(run.Dir, "bin", "plan9")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("another platform's binary was copied: %v", err)
	}
	if info, err := os.Stat(run.Binary); err != nil || info.Mode().Perm() != 0o500 {
		t.Errorf("the copy's mode is %v, %v", info.Mode(), err)
	}
	if _, err := s.Prepare(ctx, plugin, "windows/arm64"); !errors.Is(err, plugins.ErrPlatform) {
		t.Errorf("for a platform that it has not: %v", err)
	}
	for name, change := range map[string]func(path string) error{
		"changed":  func(path string) error { return os.WriteFile(path, []byte("EVIL"), 0o600) },
		"gone":     os.Remove,
		"a link":   func(path string) error { return errors.Join(os.Remove(path), os.Symlink("/bin/sh", path)) },
		"a folder": func(path string) error { return errors.Join(os.Remove(path), os.Mkdir(path, 0o700)) },
	} {
		for _, file := range []string{"bin/linux", "plugin.yaml", "data/words"} {
			path := filepath.Join(s.Folder(p), filepath.FromSlash(file))
			if err := change(path); err != nil {
				t.Fatal(err)
			}
			if plugin, err = s.Get("no-cats"); err != nil {
				t.Fatal(err)
			}
			if _, err := s.Prepare(ctx, plugin, "linux/amd64"); !errors.Is(err, plugins.ErrChanged) {
				t.Errorf("%s %s: %v", file, name, err)
			}
			if err := s.Verify(ctx, "no-cats"); !errors.Is(err, plugins.ErrChanged) {
				t.Errorf("verifying %s %s: %v", file, name, err)
			}
			_ = os.RemoveAll(path)
			_ = os.WriteFile(path, []byte(files[file]), 0o600)
		}
	}
	// What was added is found, and never copied.
	if err := os.WriteFile(filepath.Join(s.Folder(p), "extra"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(ctx, "no-cats"); !errors.Is(err, plugins.ErrChanged) || !strings.Contains(err.Error(), "extra") {
		t.Errorf("with a file more: %v", err)
	}
	if err := run.Release(); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(s.path(runDir)); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
}

func TestAnArchiveIsAFolderAndNothingElse(t *testing.T) {
	tarOf := func(change func(*tar.Header), names ...string) []byte {
		var buf bytes.Buffer
		w := tar.NewWriter(&buf)
		for _, name := range names {
			text := files[strings.TrimPrefix(name, "no-cats/")]
			h := &tar.Header{Name: name, Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}
			if change != nil {
				change(h)
			}
			_ = w.WriteHeader(h)
			if h.Size > 0 {
				_, _ = w.Write([]byte(text))
			}
		}
		w.Close()
		return buf.Bytes()
	}
	gz := func(data []byte) []byte {
		var buf bytes.Buffer
		w := gzip.NewWriter(&buf)
		_, _ = w.Write(data)
		w.Close()
		return buf.Bytes()
	}
	zipOf := func(names ...string) []byte {
		var buf bytes.Buffer
		w := zip.NewWriter(&buf)
		for _, name := range names {
			f, _ := w.Create(name)
			_, _ = f.Write([]byte(files[name]))
		}
		w.Close()
		return buf.Bytes()
	}
	all := []string{"plugin.yaml", "bin/linux", "bin/plan9", "data/words"}
	inFolder := []string{"no-cats/plugin.yaml", "no-cats/bin/linux", "no-cats/bin/plan9"}
	for name, test := range map[string]struct {
		data []byte
		err  error
	}{
		"tar":                  {tarOf(nil, all...), nil},
		"tar.gz":               {gz(tarOf(nil, all...)), nil},
		"tar with a folder":    {tarOf(nil, inFolder...), nil},
		"zip":                  {zipOf(all...), nil},
		"no archive":           {[]byte("#!/bin/sh\necho hello\n"), unpack.ErrArchive},
		"empty":                {nil, unpack.ErrArchive},
		"cut short":            {gz(tarOf(nil, all...))[:60], unpack.ErrArchive},
		"name that leads out":  {tarOf(nil, append(all, "../evil")...), unpack.ErrArchive},
		"absolute name":        {tarOf(nil, append(all, "/etc/evil")...), unpack.ErrArchive},
		"zip that leads out":   {zipOf(append(all, "a/../../evil")...), unpack.ErrArchive},
		"link":                 {tarOf(func(h *tar.Header) { h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, "/etc/passwd", 0 }, all...), unpack.ErrArchive},
		"device":               {tarOf(func(h *tar.Header) { h.Typeflag, h.Size = tar.TypeChar, 0 }, all...), unpack.ErrArchive},
		"name twice":           {tarOf(nil, append(all, "bin/linux")...), unpack.ErrArchive},
		"no plugin.yaml":       {tarOf(nil, "bin/linux", "bin/plan9"), plugins.ErrManifest},
		"a binary is not here": {tarOf(nil, "plugin.yaml", "bin/linux"), plugins.ErrManifest},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			path := filepath.Join(t.TempDir(), "plugin")
			if err := os.WriteFile(path, test.data, 0o600); err != nil {
				t.Fatal(err)
			}
			st, err := s.Stage(context.Background(), path)
			if !errors.Is(err, test.err) || (err == nil) != (test.err == nil) {
				t.Fatalf("want %v, got %v", test.err, err)
			}
			if err == nil && (st.Manifest.ID != "no-cats" || len(st.Needs()) != 1 || st.Close() != nil) {
				t.Errorf("got %+v", st.Manifest)
			}
			if left, _ := os.ReadDir(s.path(tempDir)); len(left) > 0 {
				t.Errorf("%v is left", left)
			}
		})
	}
}

func TestABrokenLockIsAnErrorAndStaysAsItIs(t *testing.T) {
	s := open(t)
	dir := folder(t, files)
	if err := os.MkdirAll(filepath.Dir(s.path(lockName)), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"no JSON": "x", "unknown field": `{"format":1,"plugins":[],"x":1}`, "future": `{"format":2,"plugins":[]}`,
		"id that leads out": `{"format":1,"plugins":[{"id":"../x","version":"1.0.0","source":"","installed":"2026-01-01T00:00:00Z","files":{},"enabled":true}]}`} {
		if err := wholefile.Replace(s.path(lockName), []byte(text)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.List(); !errors.Is(err, plugins.ErrLock) || !strings.Contains(err.Error(), lockName) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := s.Stage(context.Background(), dir); !errors.Is(err, plugins.ErrLock) {
			t.Errorf("%s: installing: %v", name, err)
		}
		if got, _ := os.ReadFile(s.path(lockName)); string(got) != text {
			t.Errorf("%s: it was changed", name)
		}
	}
}

// The operator may name a plugin by a link; what is in it has none.
func TestALinkToAPluginIsFollowed(t *testing.T) {
	s, link := open(t), filepath.Join(t.TempDir(), "latest")
	if err := os.Symlink(folder(t, files), link); err != nil {
		t.Skip(err)
	}
	install(t, s, link)
}
