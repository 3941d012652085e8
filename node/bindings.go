package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"

	"github.com/anonymous-media-library/aml/internal/wholefile"
)

// Files of bindings in the folder of plugins.
const (
	sourcesFile   = ".sources.json"
	documentsFile = ".documents.json"
)

// maxBindings is how much a file of bindings may hold, in bytes.
const maxBindings = 16 << 20

// bindings are what plugins were told to do beside what they are asked: a list
// in a file, which is whole or as it was before however the process ends.
type bindings[T any] struct {
	path string

	mu   sync.Mutex // guards what follows, and the file
	read bool
	list []T
}

// all returns the list.
func (b *bindings[T]) all() ([]T, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.load(); err != nil {
		return nil, err
	}
	return append([]T{}, b.list...), nil
}

// change lets fn change the list, and keeps what it returns unless it fails.
func (b *bindings[T]) change(fn func([]T) ([]T, error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.load(); err != nil {
		return err
	}
	list, err := fn(append([]T{}, b.list...))
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(list, "", "  ")
	if err == nil {
		err = os.MkdirAll(filepath.Dir(b.path), 0o700)
	}
	if err == nil {
		err = wholefile.Replace(b.path, append(text, '\n'))
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", b.path, err)
	}
	b.list = list
	return nil
}

// load reads the file once. mu is held.
func (b *bindings[T]) load() error {
	if b.read {
		return nil
	}
	text, err := wholefile.Read(b.path, maxBindings)
	if errors.Is(err, fs.ErrNotExist) {
		b.read = true
		return nil
	}
	var list []T
	if err == nil {
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		err = d.Decode(&list)
	}
	if err != nil {
		return fmt.Errorf("reading %s: %w; mend it, or remove it and give the commands again", b.path, err)
	}
	b.list, b.read = list, true
	return nil
}
