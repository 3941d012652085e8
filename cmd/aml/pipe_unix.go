//go:build unix

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
)

// The node, which may run in another process, reads and writes archives and
// files by name. For standard input and output that is a named pipe.

// outputPath returns the absolute path that a node is to write to, and what to
// call with the error of its doing so.
func (a *app) outputPath(output string) (path string, finish func(error) error, err error) {
	if !standardOutput(output) {
		path, err = absolute(ofProcess(output))
		return path, func(err error) error { return err }, err
	}
	path, remove, err := namedPipe()
	if err != nil {
		return "", nil, err
	}
	// Opened for reading before there is a writer, and held open by a writer of
	// our own until the node is done: a pipe without one is at its end.
	r, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", nil, errors.Join(err, remove())
	}
	hold, err := os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", nil, errors.Join(err, r.Close(), remove())
	}
	copied := make(chan error, 1)
	go func() {
		_, err := io.Copy(a.out, r)
		// Whoever reads us may be gone: then the node's next write fails.
		copied <- errors.Join(err, r.Close())
	}()
	return path, func(err error) error {
		hold.Close()
		copyErr := <-copied
		if copyErr != nil {
			copyErr = fmt.Errorf("writing standard output: %w", copyErr)
		}
		return errors.Join(copyErr, err, remove())
	}, nil
}

// inputPath is outputPath for what the node is to read.
func (a *app) inputPath(input string) (path string, finish func(error) error, err error) {
	if input != "-" && input != "/dev/stdin" {
		path, err = absolute(ofProcess(input))
		return path, func(err error) error { return err }, err
	}
	path, remove, err := namedPipe()
	if err != nil {
		return "", nil, err
	}
	copied := make(chan error, 1)
	go func() {
		w, err := os.OpenFile(path, os.O_WRONLY, 0) // waits for the node to open it
		if err == nil {
			_, err = io.Copy(w, a.in)
			err = errors.Join(err, w.Close())
		}
		copied <- err
	}()
	return path, func(err error) error {
		if err != nil {
			// The node reads no more, or never began to: let the writer go.
			if r, openErr := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0); openErr == nil {
				r.Close()
			}
			return errors.Join(err, remove())
		}
		copyErr := <-copied
		if errors.Is(copyErr, syscall.EPIPE) {
			copyErr = nil // what follows the end of an archive is not read
		}
		if copyErr != nil {
			copyErr = fmt.Errorf("reading standard input: %w", copyErr)
		}
		return errors.Join(copyErr, remove())
	}, nil
}

// ofProcess names what a shell passes as an open file, >(command), so that a
// node in another process finds it.
func ofProcess(path string) string {
	for _, folder := range []string{"/dev/fd/", "/proc/self/fd/"} {
		if n, ok := strings.CutPrefix(path, folder); ok && runtime.GOOS == "linux" {
			return fmt.Sprintf("/proc/%d/fd/%s", os.Getpid(), n)
		}
	}
	return path
}

// namedPipe makes a pipe that only this user can open.
func namedPipe() (path string, remove func() error, err error) {
	dir, err := os.MkdirTemp("", "aml-pipe-")
	if err != nil {
		return "", nil, err
	}
	path = filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		return "", nil, errors.Join(fmt.Errorf("making a pipe: %w", err), os.RemoveAll(dir))
	}
	return path, func() error { return os.RemoveAll(dir) }, nil
}
