package shelf

import (
	"crypto/sha256"
	"fmt"
	"reflect"

	"github.com/anonymous-media-library/aml/plugins"
)

// Carry tells which plugins are a part of this program: program is what is
// started, texts their plugin.yaml by id. Those of them that are installed become
// what the program has now, by the rules of an update. Call it right after Open.
//
// They have no copy that is checked before each start: what checks would be the
// very file that is checked. So they are what aml is, and follow it.
func (s *Shelf) Carry(program string, texts map[string][]byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.program, s.carried = program, texts
	lock, err := s.read()
	if err != nil {
		return nil // whoever needs the lock is told, and the rest of the node runs
	}
	changed := false
	for i, p := range lock.Plugins {
		m, err := s.carriedManifest(p.ID)
		if !p.Bundled || err != nil {
			continue // List says what is wrong with it
		}
		now := follow(p, m)
		now.Version, now.Files = m.Version, s.carriedFiles(p.ID)
		if !reflect.DeepEqual(now, p) {
			lock.Plugins[i], changed = now, true
		}
		if p.Version != now.Version {
			_ = removeAll(s.Folder(p))
		}
		_ = s.mark(now) // where it cannot be, that is found when the lock is written
	}
	if !changed {
		return nil
	}
	return s.write(lock)
}

func (s *Shelf) carriedManifest(id string) (plugins.Manifest, error) {
	text, ok := s.carried[id]
	if !ok {
		return plugins.Manifest{}, fmt.Errorf("%s: %w; plugin-list --bundled shows those that it has", id, plugins.ErrNotBundled)
	}
	m, err := plugins.ParseManifest(text)
	if err == nil && m.ID != id {
		err = fmt.Errorf("%w: it is that of %s", plugins.ErrManifest, m.ID)
	}
	return m, err
}

func (s *Shelf) carriedFiles(id string) map[string]plugins.Sum {
	return map[string]plugins.Sum{plugins.ManifestFile: sha256.Sum256(s.carried[id])}
}

// StageBundled is Stage of a plugin that is a part of this program.
func (s *Shelf) StageBundled(id string) (*Staged, error) {
	m, err := s.carriedManifest(id)
	if err != nil {
		return nil, err
	}
	st := &Staged{Manifest: m, shelf: s, files: s.carriedFiles(id), inner: true}
	return st, st.before()
}
