// Package outfile is where a command's -o leads: a file that appears whole or
// not at all, or a device or pipe that is written to as it is.
//
// It is for whoever writes a document or an archive under a name that a person
// gave. It must never replace what is no regular file: not a device, a pipe or
// a folder, nor a link, whose file is written in its stead.
package outfile

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// ErrFolder: a folder is where a file is to be written.
var ErrFolder = errors.New("is a folder; name the file to write")

// maxLinks is how many links are followed, as by Linux.
const maxLinks = 40

// File is being written. It is one goroutine's, but for Close.
type File struct {
	*os.File        // the unfinished file, or what is no regular file
	path     string // that it gets; empty for what is no regular file
	pattern  string
	over     bool
}

// Create opens what is to be written at path. pattern is that of the unfinished
// file, as for os.CreateTemp, whose owner alone can read it. A pipe that nobody
// reads is waited for until ctx ends.
func Create(ctx context.Context, path, pattern string) (*File, error) {
	target, special, err := resolve(path)
	if err != nil {
		return nil, err
	}
	if special {
		f, err := Open(ctx, target, os.O_WRONLY)
		return &File{File: f}, err
	}
	f := &File{path: target, pattern: pattern}
	if err := f.begin(); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) begin() error {
	temp, err := os.CreateTemp(filepath.Dir(f.path), f.pattern)
	if err != nil {
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err // the unfinished file's name helps nobody
		}
		return fmt.Errorf("writing to folder %s: %w", filepath.Dir(f.path), err)
	}
	f.File = temp
	return nil
}

// Renew begins anew if the unfinished file was deleted since, as by somebody who
// tidies up while it was not written to. What was written is lost then.
func (f *File) Renew() error {
	if f.path == "" || f.over {
		return nil
	}
	if _, err := os.Lstat(f.Name()); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	_ = f.File.Close()
	if err := f.begin(); err != nil {
		f.over = true
		return err
	}
	return nil
}

// resolve follows the links at path to the file that is to be written, there or
// not, and says whether it is none to be replaced.
func resolve(path string) (target string, special bool, err error) {
	info, err := os.Stat(path)
	switch {
	case err == nil && info.IsDir():
		return "", false, fmt.Errorf("%s %w", path, ErrFolder)
	case err == nil && !info.Mode().IsRegular():
		return path, true, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return "", false, err
	}
	target = filepath.Clean(path)
	for range maxLinks {
		info, err := os.Lstat(target)
		if err != nil || info.Mode()&fs.ModeSymlink == 0 {
			return target, false, nil // what is wrong with it the writer finds out
		}
		to, err := os.Readlink(target)
		if err != nil {
			return "", false, err
		}
		if !filepath.IsAbs(to) {
			// The folder's own links come first: .. leads up from where they lead.
			dir, err := filepath.EvalSymlinks(filepath.Dir(target))
			if err != nil {
				return "", false, err
			}
			to = filepath.Join(dir, to)
		}
		target = to
	}
	return "", false, fmt.Errorf("%s: more than %d links", path, maxLinks)
}

// Commit makes what was written durable and gives it its name.
func (f *File) Commit() error {
	if f.over {
		return os.ErrClosed
	}
	f.over = true
	if f.path == "" {
		return f.File.Close()
	}
	err := f.Sync()
	if err = errors.Join(err, f.File.Close()); err == nil {
		err = os.Rename(f.Name(), f.path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// Abort leaves nothing behind of what can be taken back. After Commit it does
// nothing.
func (f *File) Abort() {
	if f.over {
		return
	}
	f.over = true
	_ = f.File.Close()
	if f.path != "" {
		_ = os.Remove(f.Name())
	}
}

// Open opens what may be a pipe that nobody else has open, and gives up when
// ctx ends. What then is opened after all is closed.
func Open(ctx context.Context, path string, flag int) (*os.File, error) {
	type opened struct {
		f   *os.File
		err error
	}
	done := make(chan opened, 1)
	go func() {
		f, err := os.OpenFile(path, flag, 0)
		done <- opened{f, err}
	}()
	select {
	case o := <-done:
		return o.f, o.err
	case <-ctx.Done():
	}
	// Both ends, so that the waiting open returns.
	if f, err := os.OpenFile(path, os.O_RDWR, 0); err == nil {
		defer f.Close()
	}
	o := <-done
	if o.err == nil {
		o.f.Close()
	}
	return nil, context.Cause(ctx)
}
