package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/outfile"
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
	path string
	file *outfile.File // nil: standard output
}

// outputPrefix begins the names of documents that are not whole yet.
const outputPrefix = ".aml-output-"

// output opens the file path for a document, "" or "-" being standard output.
func (a *app) output(ctx context.Context, path string) (*output, error) {
	if path == "" || standardOutput(path) {
		return &output{app: a}, nil
	}
	disk.Sweep(filepath.Dir(path), outputPrefix)
	file, err := outfile.Create(ctx, path, outputPrefix+"*")
	if errors.Is(err, outfile.ErrFolder) {
		return nil, usageError("-o %v", err)
	}
	if err != nil {
		return nil, fmt.Errorf("writing output %s: %w", path, err)
	}
	return &output{app: a, path: path, file: file}, nil
}

// newOutput is output, but a file that is there is left as it is unless replace
// is true, or it is one of the inputs, all of which goes into what is written.
func (a *app) newOutput(ctx context.Context, path string, replace bool, inputs ...string) (*output, error) {
	if err := notThere(path, replace, inputs...); err != nil {
		return nil, err
	}
	return a.output(ctx, path)
}

// notThere is an error if a file at path would be written over that nobody gave up.
func notThere(path string, replace bool, inputs ...string) error {
	if there, err := os.Stat(path); err == nil && there.Mode().IsRegular() && !replace && !standardOutput(path) {
		input := slices.ContainsFunc(inputs, func(name string) bool {
			info, err := os.Stat(name)
			return err == nil && os.SameFile(info, there)
		})
		if !input {
			return fmt.Errorf("writing output %s: %w; name another file, or say --replace", path, fs.ErrExist)
		}
	}
	return nil
}

const replaceHelp = "write over a file that is there"

// standardOutput reports whether path names this process's standard output: a
// node in another process has its own.
func standardOutput(path string) bool {
	switch path {
	case "-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1":
		return true
	}
	return false
}

// commit writes the document.
func (o *output) commit(text []byte) error {
	if o.file == nil {
		return o.app.write(text)
	}
	err := o.file.Renew() // the work may have taken long
	if err == nil {
		_, err = o.file.Write(text)
	}
	if err == nil {
		err = o.file.Commit()
	}
	if err != nil {
		return fmt.Errorf("writing output %s: %w", o.path, err)
	}
	return nil
}

// abort leaves nothing behind, unless commit has been successful.
func (o *output) abort() {
	if o.file != nil {
		o.file.Abort()
	}
}
