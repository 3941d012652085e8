package shelf

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/semver"

	"github.com/anonymous-media-library/aml/plugins"
)

// Staged is a plugin that was read in and is not installed: what it asks for can
// be shown before that. Install it or Close it.
type Staged struct {
	Manifest plugins.Manifest
	Before   *plugins.Installed // what is installed under its id, nil for nothing

	shelf *Shelf
	dir   string // its files
	temp  string // what is removed at the end
	files map[string]plugins.Sum
	inner bool // it is bundled: there is nothing to copy
}

// Stage reads a plugin from a folder, or from a tar, tar.gz or zip of one. What is
// installed later are the bytes that it has read.
func (s *Shelf) Stage(ctx context.Context, path string) (_ *Staged, err error) {
	if err := os.MkdirAll(s.path(tempDir), 0o700); err != nil {
		return nil, fmt.Errorf("reading a plugin: %w", err)
	}
	temp, err := os.MkdirTemp(s.path(tempDir), "stage-*")
	if err != nil {
		return nil, fmt.Errorf("reading a plugin: %w", err)
	}
	st := &Staged{shelf: s, dir: filepath.Join(temp, "files"), temp: temp, files: map[string]plugins.Sum{}}
	defer func() {
		if err != nil {
			err = fmt.Errorf("reading plugin %s: %w", path, errors.Join(err, st.Close()))
		}
	}()
	from, err := filepath.EvalSymlinks(path) // the operator's own; within there are none
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(from)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		unpacked := filepath.Join(temp, "unpacked")
		if err := unpackFile(ctx, from, unpacked); err != nil {
			return nil, err
		}
		if from, err = top(unpacked); err != nil {
			return nil, err
		}
	}
	if err := st.take(ctx, from); err != nil {
		return nil, err
	}
	return st, st.before()
}

// before looks up what is installed under its id.
func (st *Staged) before() error {
	p, err := st.shelf.Get(st.Manifest.ID)
	if errors.Is(err, plugins.ErrUnknown) {
		return nil
	}
	if err == nil {
		st.Before = &p.Installed
	}
	return err
}

// top is the folder of an archive in which plugin.yaml stands: the only one in
// it, or itself.
func top(dir string) (string, error) {
	if _, err := os.Lstat(filepath.Join(dir, plugins.ManifestFile)); err == nil {
		return dir, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) == 1 && entries[0].IsDir() {
		return filepath.Join(dir, entries[0].Name()), nil
	}
	return "", fmt.Errorf("%w: there is none", plugins.ErrManifest)
}

// take copies the files of a plugin.
func (st *Staged) take(ctx context.Context, from string) error {
	// First what it says it is: a folder that is no plugin need not be copied.
	text, _, err := readSmall(filepath.Join(from, plugins.ManifestFile), plugins.MaxManifest)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%w: there is none", plugins.ErrManifest)
	case errors.Is(err, errLarge), errors.Is(err, errIrregular):
		return fmt.Errorf("%w: %w", plugins.ErrManifest, err)
	case err != nil:
		return err
	}
	if st.Manifest, err = plugins.ParseManifest(text); err != nil {
		return err
	}
	err = walk(ctx, from, func(name, path string, _ fs.FileInfo) error {
		if err := plugins.ValidFile(name); err != nil {
			return fmt.Errorf("its file %q: %w; rename it or take it away", name, err)
		}
		sum, err := copyFile(path, filepath.Join(st.dir, filepath.FromSlash(name)), 0o600)
		st.files[name] = sum
		return err
	})
	if err != nil {
		return err
	}
	if text, _, err = readSmall(filepath.Join(st.dir, plugins.ManifestFile), plugins.MaxManifest); err != nil {
		return err
	}
	if st.Manifest, err = plugins.ParseManifest(text); err != nil { // of what was copied
		return err
	}
	for platform, file := range st.Manifest.Binaries {
		if _, ok := st.files[file]; !ok {
			return fmt.Errorf("%w: binaries: %s: there is no %s", plugins.ErrManifest, platform, file)
		}
	}
	return nil
}

// Needs is what the plugin declares and was not granted before.
func (st *Staged) Needs() []plugins.Capability {
	if st.Before == nil {
		return st.Manifest.Capabilities
	}
	return st.Before.Missing(st.Manifest)
}

// Replaced is what an installed plugin took the place of.
type Replaced struct {
	Version   string `json:"version"`
	Source    string `json:"source"`
	Newer     bool   `json:"newer"`     // the version that was there is the newer one
	Elsewhere bool   `json:"elsewhere"` // it came from somebody else
}

// Replaces is what Install takes the place of, nil for nothing or for the same again.
func (st *Staged) Replaces(source string) *Replaced {
	b := st.Before
	if b == nil || b.Version == st.Manifest.Version && b.Source == source && maps.Equal(b.Files, st.files) {
		return nil
	}
	return &Replaced{
		Version: b.Version, Source: b.Source, Newer: semver.Compare("v"+b.Version, "v"+st.Manifest.Version) > 0,
		Elsewhere: origin(b.Source) != origin(source),
	}
}

// Bundled is what the source of a bundled plugin begins with.
const Bundled = "bundled:"

// origin is who answers for what comes from a source: a channel, aml itself, or the
// operator, who has it as a file.
func origin(source string) string {
	for _, mark := range []string{"aml://", "@"} {
		if rest, ok := strings.CutPrefix(source, mark); ok {
			whose, _, _ := strings.Cut(rest, "/")
			return mark + whose
		}
	}
	if strings.HasPrefix(source, Bundled) {
		return Bundled
	}
	return "file"
}

// Install puts the plugin on the shelf. What was decided about an earlier version
// stays: grants, configuration, priority, and whether it is enabled, unless it
// needs more than it was granted. Of one that comes from somebody else nothing stays:
// it has only the id of what was trusted. decide changes that; it may be nil.
func (st *Staged) Install(source string, decide func(*plugins.Installed) error) (plugins.Installed, error) {
	p := plugins.Installed{ID: st.Manifest.ID}
	if st.Before != nil && origin(st.Before.Source) == origin(source) {
		p = follow(*st.Before, st.Manifest)
		p.Off = nil
	}
	p.Version, p.Source, p.Files, p.Installed = st.Manifest.Version, source, st.files, st.shelf.now().UTC().Truncate(1e9)
	p.Bundled, p.Asked = st.inner, slices.Clone(st.Manifest.Capabilities)
	if decide != nil {
		if err := decide(&p); err != nil {
			return p, err
		}
	}
	s := st.shelf
	s.mu.Lock()
	defer s.mu.Unlock()
	lock, err := s.read()
	if err != nil {
		return p, err
	}
	if len(lock.Plugins) == 0 { // there is none, perhaps: a folder without one is refused
		if err := s.write(lock); err != nil {
			return p, err
		}
	}
	lock.Plugins = append(slices.DeleteFunc(lock.Plugins, func(o plugins.Installed) bool { return o.ID == p.ID }), p)
	if _, err := plugins.EncodeLock(lock); err != nil { // before anything is touched
		return p, fmt.Errorf("installing %s: %w", p.ID, err)
	}
	back := func() error { return nil }
	if !st.inner {
		if back, err = st.place(s.Folder(p)); err != nil {
			return p, fmt.Errorf("installing %s: %w", p.ID, err)
		}
	}
	if err := s.write(lock); err != nil {
		return p, errors.Join(err, back())
	}
	if st.Before != nil && (st.Before.Version != p.Version || st.inner) {
		_ = removeAll(s.Folder(*st.Before)) // nothing names it any more
	}
	if st.inner {
		return p, s.mark(p) // which may have had the name of what was before
	}
	return p, nil
}

// place puts the files where they are kept, and gives a way back to what was there.
// The lock names them before they are there or after: if the process ends in between
// the plugin is refused, and installing it again mends that.
func (st *Staged) place(folder string) (back func() error, err error) {
	if err := os.MkdirAll(filepath.Dir(folder), 0o700); err != nil {
		return nil, err
	}
	before, away := filepath.Join(st.temp, "before"), false
	back = func() error {
		err := removeAll(folder)
		if away && err == nil {
			err = os.Rename(before, folder)
		}
		return err
	}
	switch err := os.Rename(folder, before); {
	case err == nil:
		away = true
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if err := os.Rename(st.dir, folder); err != nil {
		return nil, errors.Join(err, back())
	}
	return back, nil
}

// follow is what stays decided when a plugin becomes what m says: one that needs
// more than the operator has decided about waits for that.
func follow(p plugins.Installed, m plugins.Manifest) plugins.Installed {
	if slices.ContainsFunc(p.Missing(m), func(c plugins.Capability) bool { return !slices.Contains(p.Asked, c) }) {
		p.Enabled = false
	}
	p.Asked = slices.Clone(m.Capabilities)
	p.Granted = slices.DeleteFunc(slices.Clone(p.Granted), func(c plugins.Capability) bool { return !slices.Contains(m.Capabilities, c) })
	return p
}

// Close removes what Stage has read and Install has not taken.
func (st *Staged) Close() error {
	if st.temp == "" {
		return nil
	}
	return removeAll(st.temp)
}
