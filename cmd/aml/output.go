package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/anonymous-media-library/aml/internal/disk"
)

// document is v as JSON: for people, or with --json on one line.
func (a *app) document(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if !a.json {
		enc.SetIndent("", "  ")
	}
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encoding output: %w", err)
	}
	return buf.Bytes(), nil
}

// output is where a document goes: standard output, or a file that appears
// whole or not at all and that its owner alone may read, for it may hold keys.
type output struct {
	app  *app
	path string   // empty: standard output
	temp *os.File // nil: standard output, or it is over
}

// outputPrefix begins the names of documents that are not whole yet.
const outputPrefix = ".aml-output-"

// output opens the file path for a document, "" or "-" being standard output.
func (a *app) output(path string) (*output, error) {
	if path == "" || path == "-" {
		return &output{app: a}, nil
	}
	disk.Sweep(filepath.Dir(path), outputPrefix)
	o := &output{app: a, path: path}
	return o, o.begin()
}

// begin makes the file that is going to be the document.
func (o *output) begin() error {
	temp, err := os.CreateTemp(filepath.Dir(o.path), outputPrefix+"*")
	if err != nil {
		return fmt.Errorf("writing output %s: %w", o.path, errors.Unwrap(err))
	}
	o.temp = temp
	return nil
}

// commit writes the document.
func (o *output) commit(text []byte) error {
	if o.temp == nil {
		return o.app.write(text)
	}
	// The work may have taken long enough for another command to sweep it.
	if _, err := os.Lstat(o.temp.Name()); errors.Is(err, fs.ErrNotExist) {
		o.abort()
		if err := o.begin(); err != nil {
			return err
		}
	}
	_, err := o.temp.Write(text)
	if err == nil {
		err = o.temp.Sync()
	}
	if err = errors.Join(err, o.temp.Close()); err == nil {
		err = os.Rename(o.temp.Name(), o.path)
	}
	if err != nil {
		return fmt.Errorf("writing output %s: %w", o.path, errors.Join(err, os.Remove(o.temp.Name())))
	}
	o.temp = nil
	return nil
}

// abort leaves nothing behind, unless commit has been successful.
func (o *output) abort() {
	if o.temp != nil {
		_ = o.temp.Close()
		_ = os.Remove(o.temp.Name())
	}
}
