package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
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
		err = replaceFile(b.path, append(text, '\n'))
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
	f, err := os.Open(b.path)
	if errors.Is(err, fs.ErrNotExist) {
		b.read = true
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBindings+1))
	if err == nil && len(text) > maxBindings {
		err = fmt.Errorf("over %d bytes", maxBindings)
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

// replaceFile writes a file that its owner alone can read, whole or not at all.
func replaceFile(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".aml-bindings-*")
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}
