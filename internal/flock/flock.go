// Package flock keeps a second process away from what only one may use.
//
// It is for rooms that own a folder on disk. The operating system holds the
// lock and drops it when the process ends, however it ends: a file left behind
// by a crash locks nothing. This package must never guess from a process id
// whether its owner is alive, and never deletes the file: a process that waits
// on a deleted file would hold a lock that nobody else sees.
package flock

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// ErrLocked: another process (or this one, through another Lock) holds it.
var ErrLocked = errors.New("in use by another process")

// Lock is a held lock. It is not for concurrent use.
type Lock struct{ f *os.File }

// TryLock takes the lock of the file at path at once or not at all, and writes
// this process's id into it, for people and for the error of the next who
// tries. The file is made, with mode 0600, if it is missing. A lock that is
// held gives an error that wraps ErrLocked and names path and the holder's
// process id where it is known.
func TryLock(path string) (*Lock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	if err := lock(f); err != nil {
		pid := holder(f)
		f.Close() // nothing was written
		if !errors.Is(err, ErrLocked) {
			return nil, fmt.Errorf("locking %s: %w", path, err)
		}
		if pid == 0 {
			return nil, fmt.Errorf("%s is %w", path, ErrLocked)
		}
		return nil, fmt.Errorf("%s is %w, with process id %d", path, ErrLocked, pid)
	}
	if err := write(f, strconv.Itoa(os.Getpid())+"\n"); err != nil {
		return nil, errors.Join(fmt.Errorf("writing lock file: %w", err), f.Close())
	}
	return &Lock{f: f}, nil
}

// Unlock gives the lock up. A second call does nothing.
func (l *Lock) Unlock() error {
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	werr := write(f, "")
	return errors.Join(werr, unlock(f), f.Close())
}

func write(f *os.File, text string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// holder reads the process id from the file, 0 if there is none (yet).
func holder(f *os.File) int {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 32))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
