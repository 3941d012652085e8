// Package shelf is the folder of installed plugins: each in <id>/<version>/, and
// plugins.lock, which says what their files have to be and what the operator has
// decided.
//
// Nothing is run from these folders, and nothing in them is believed that
// plugins.lock does not say. What is run is a copy that Prepare makes of the very
// bytes that it has checked. It must never start anything, nor follow a link.
package shelf

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/anonymous-media-library/aml/internal/wholefile"
	"github.com/anonymous-media-library/aml/plugins"
)

// Names in the folder. No plugin's id begins with a dot.
const (
	lockName  = "plugins.lock"
	runDir    = ".run"   // checked copies, as long as they run
	tempDir   = ".tmp"   // what is not whole yet
	stateDir  = ".state" // what plugins keep
	logDir    = ".logs"
	cursorDir = ".cursors"
)

// Shelf is an opened folder. Its methods may be called from many goroutines at
// once. One process at a time may have it open.
type Shelf struct {
	dir string
	now func() time.Time

	exposed bool // see Exposed

	program string            // see Carry
	carried map[string][]byte // plugin.yaml of what is in it, by id

	mu sync.Mutex // one change at a time; held over reading and writing the lock, which is small
}

// Open opens the folder dir, which need not be there, and removes what an earlier
// process has left of its work. If now is nil, time.Now.
func Open(dir string, now func() time.Time) (*Shelf, error) {
	if now == nil {
		now = time.Now
	}
	s := &Shelf{dir: dir, now: now}
	for _, d := range []string{runDir, tempDir} {
		if err := removeAll(filepath.Join(dir, d)); err != nil {
			return nil, fmt.Errorf("clearing the plugins' folder: %w", err)
		}
	}
	s.exposed = tighten(s.path(lockName))
	return s, nil
}

// tighten lets nobody but its owner read a file with secrets, and reports whether
// others could.
func tighten(path string) bool {
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() || info.Mode().Perm()&0o077 == 0 || runtime.GOOS == "windows" {
		return false
	}
	return os.Chmod(path, 0o600) == nil
}

// Exposed reports whether others could read plugins.lock until it was opened, and so
// the secrets in it.
func (s *Shelf) Exposed() bool { return s.exposed }

// Plugin is one of the shelf.
type Plugin struct {
	plugins.Installed
	Manifest plugins.Manifest
	Err      error // why it cannot be used: its plugin.yaml is gone or was changed
}

// List returns what is installed, ascending by id.
func (s *Shelf) List() ([]Plugin, error) {
	s.mu.Lock()
	lock, err := s.read()
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	out := make([]Plugin, len(lock.Plugins))
	for i, p := range lock.Plugins {
		out[i] = Plugin{Installed: p}
		out[i].Manifest, out[i].Err = s.manifest(p)
	}
	return out, nil
}

// Get returns one. An unknown one gives plugins.ErrUnknown.
func (s *Shelf) Get(id string) (Plugin, error) {
	all, err := s.List()
	if err != nil {
		return Plugin{}, err
	}
	i := slices.IndexFunc(all, func(p Plugin) bool { return p.ID == id })
	if i < 0 {
		return Plugin{}, unknown(id)
	}
	return all[i], nil
}

func unknown(id string) error {
	return fmt.Errorf("%w: %q; see aml plugin-list", plugins.ErrUnknown, id)
}

// Change changes what the operator has decided, or nothing if change fails.
func (s *Shelf) Change(id string, change func(p *plugins.Installed, m plugins.Manifest) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	lock, err := s.read()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(lock.Plugins, func(p plugins.Installed) bool { return p.ID == id })
	if i < 0 {
		return unknown(id)
	}
	m, err := s.manifest(lock.Plugins[i])
	if err != nil {
		return err
	}
	if err := change(&lock.Plugins[i], m); err != nil {
		return err
	}
	return s.write(lock)
}

// Remove takes a plugin away, with all versions of it; what it has kept stays
// unless state says so.
func (s *Shelf) Remove(id string, state bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	removed, err := s.removeLeft(id)
	if err == nil && !removed {
		err = s.removeListed(id)
	}
	if err != nil {
		return err
	}
	if state {
		return errors.Join(removeAll(s.path(stateDir, id)), removeAll(s.LogFile(id)), removeAll(s.LogFile(id)+".1"), removeAll(s.CursorFile(id)))
	}
	return nil
}

func (s *Shelf) removeListed(id string) error {
	lock, err := s.read()
	if err != nil {
		return err
	}
	n := len(lock.Plugins)
	lock.Plugins = slices.DeleteFunc(lock.Plugins, func(p plugins.Installed) bool { return p.ID == id })
	if len(lock.Plugins) == n {
		return unknown(id)
	}
	// Once the lock does not name it nothing of it is ever run.
	if err := s.write(lock); err != nil {
		return err
	}
	return removeAll(s.path(id))
}

// Folder is where a plugin's files are.
func (s *Shelf) Folder(p plugins.Installed) string { return filepath.Join(s.dir, p.ID, p.Version) }

// State makes the folder in which a plugin keeps things.
func (s *Shelf) State(id string) (string, error) {
	dir := s.StateFolder(id)
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return "", fmt.Errorf("making the plugin's folder: %w", err)
	}
	return dir, nil
}

// StateFolder is where that is, made or not.
func (s *Shelf) StateFolder(id string) string { return s.path(stateDir, id) }

// Temp makes a folder for what is on its way, which the next Open empties.
func (s *Shelf) Temp() (string, error) {
	if err := os.MkdirAll(s.path(tempDir), 0o700); err != nil {
		return "", fmt.Errorf("making a folder for files on their way: %w", err)
	}
	return s.path(tempDir), nil
}

// LogFile is where the words of a plugin go. Its folder is made.
func (s *Shelf) LogFile(id string) string {
	_ = os.MkdirAll(s.path(logDir), 0o700) // opening the file says what is wrong
	return s.path(logDir, id+".log")
}

// CursorFile is where it stands how far a plugin has observed.
func (s *Shelf) CursorFile(id string) string {
	_ = os.MkdirAll(s.path(cursorDir), 0o700)
	return s.path(cursorDir, id)
}

func (s *Shelf) path(elem ...string) string {
	return filepath.Join(append([]string{s.dir}, elem...)...)
}

// manifest reads plugin.yaml, if it is what was installed.
func (s *Shelf) manifest(p plugins.Installed) (plugins.Manifest, error) {
	if p.Bundled {
		return s.carriedManifest(p.ID)
	}
	text, sum, err := readSmall(filepath.Join(s.Folder(p), plugins.ManifestFile), plugins.MaxManifest)
	if err != nil {
		return plugins.Manifest{}, changed(p.ID, err)
	}
	if sum != p.Files[plugins.ManifestFile] {
		return plugins.Manifest{}, fmt.Errorf("%s: %w: its %s is another%s", p.ID, plugins.ErrChanged, plugins.ManifestFile, mend(p.ID))
	}
	m, err := plugins.ParseManifest(text)
	if err == nil && (m.ID != p.ID || m.Version != p.Version) {
		err = fmt.Errorf("%w: it is that of %s %s", plugins.ErrManifest, m.ID, m.Version)
	}
	if err != nil {
		return plugins.Manifest{}, fmt.Errorf("%s: %w", p.ID, err)
	}
	return m, nil
}

// read reads the lock. Without one there are no plugins, unless there are folders of
// some: then what they had a say in must not go on as if there were none.
func (s *Shelf) read() (plugins.Lock, error) {
	text, _, err := readSmall(s.path(lockName), plugins.MaxLock)
	if errors.Is(err, fs.ErrNotExist) {
		left, err := s.left()
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("%w: %s is missing, and there are folders of %s; put a copy of it back, or give aml plugin-remove for each and install it again",
				plugins.ErrLock, s.path(lockName), strings.Join(left, ", "))
		}
		return plugins.Lock{Format: 1}, err
	}
	var lock plugins.Lock
	if err == nil {
		lock, err = plugins.ParseLock(text)
	}
	if err != nil {
		return plugins.Lock{}, fmt.Errorf("reading %s: %w; put a copy of it back, or move it away, give aml plugin-remove for each plugin and install it again", s.path(lockName), err)
	}
	return lock, nil
}

// left are the ids of plugins that have a folder.
func (s *Shelf) left() (ids []string, err error) {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if !plugins.ValidID(e.Name()) || !e.IsDir() {
			continue
		}
		versions, bad := os.ReadDir(s.path(e.Name()))
		err = errors.Join(err, bad)
		for _, v := range versions {
			if _, no := os.Lstat(s.path(e.Name(), v.Name(), plugins.ManifestFile)); no == nil {
				ids = append(ids, e.Name())
				break
			}
		}
	}
	return ids, err
}

// removeLeft takes away what is left of a plugin whose lock is missing, and reports
// whether that is so.
func (s *Shelf) removeLeft(id string) (bool, error) {
	if _, err := os.Lstat(s.path(lockName)); !errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	left, err := s.left()
	if err != nil || !slices.Contains(left, id) {
		return false, err
	}
	return true, removeAll(s.path(id))
}

// write replaces the lock, whole or not at all. It may hold secrets of plugins'
// configurations.
func (s *Shelf) write(lock plugins.Lock) error {
	text, err := plugins.EncodeLock(lock)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(s.path(lockName)), 0o700)
	}
	for _, p := range lock.Plugins {
		if err == nil && p.Bundled {
			err = s.mark(p)
		}
	}
	if err == nil {
		err = wholefile.Replace(s.path(lockName), text)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", s.path(lockName), err)
	}
	return nil
}

// mark leaves a bundled plugin, of which nothing has to be on disk, a folder like the
// others, so that it is not taken for nothing where the lock is missing.
func (s *Shelf) mark(p plugins.Installed) error {
	if err := os.MkdirAll(s.Folder(p), 0o700); err != nil {
		return err
	}
	file := filepath.Join(s.Folder(p), plugins.ManifestFile)
	if _, err := os.Lstat(file); err == nil {
		return nil
	}
	return wholefile.Replace(file, s.carried[p.ID])
}

// mend is what to do about a plugin that was changed.
func mend(id string) string { return "; install it again, or take it away: aml plugin-remove " + id }

// Verify compares all files of a plugin with the lock. What is wrong wraps
// plugins.ErrChanged, one error for each file.
func (s *Shelf) Verify(ctx context.Context, id string) error {
	p, err := s.Get(id)
	if err != nil {
		return err
	}
	if p.Bundled {
		return p.Err // there is nothing of it on disk
	}
	have := map[string]plugins.Sum{}
	err = walk(ctx, s.Folder(p.Installed), func(name, path string, _ fs.FileInfo) error {
		sum, err := sumFile(path)
		have[name] = sum
		return err
	})
	if err != nil {
		return changed(id, err)
	}
	var errs []error
	for name, sum := range p.Files {
		switch got, there := have[name]; {
		case !there:
			errs = append(errs, fmt.Errorf("%s: %w: %s is missing", id, plugins.ErrChanged, name))
		case got != sum:
			errs = append(errs, fmt.Errorf("%s: %w: %s has SHA-256 %s, the lock says %s", id, plugins.ErrChanged, name, got, sum))
		}
		delete(have, name)
	}
	for name := range have {
		errs = append(errs, fmt.Errorf("%s: %w: %s was added", id, plugins.ErrChanged, name))
	}
	slices.SortFunc(errs, func(a, b error) int { return cmp.Compare(a.Error(), b.Error()) })
	if n := len(errs); n > 0 { // said once
		errs[n-1] = fmt.Errorf("%w%s", errs[n-1], mend(id))
	}
	return errors.Join(errs...)
}

// Glance returns what is installed in the folder dir, for whoever only offers names: it
// changes nothing, and does not mind who has the folder open. carried is as in Carry.
func Glance(dir string, carried map[string][]byte) ([]Plugin, error) {
	return (&Shelf{dir: dir, carried: carried}).List()
}
