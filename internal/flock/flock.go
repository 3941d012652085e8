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
	"io/fs"
	"os"
	"strconv"
	"strings"
)

// ErrLocked: another process (or this one, through another Lock) holds it.
var ErrLocked = errors.New("in use by another process")

// ErrOurs is the ErrLocked of a lock that another Lock of this very process
// holds, as far as the process id in the file tells: two containers that share
// the file may have the same.
var ErrOurs error = oursError{}

type oursError struct{}

func (oursError) Error() string        { return "in use by this process already" }
func (oursError) Is(target error) bool { return target == ErrLocked }

// ErrForeign: what stands where the lock file should be is something else. Move
// it away.
var ErrForeign = errors.New("not a lock file")

// Lock is a held lock. It is not for concurrent use.
type Lock struct{ f *os.File }

// TryLock takes the lock of the file at path at once or not at all, and writes
// this process's id into it, for people and for the error of the next who
// tries. The file is made, with mode 0600, if it is missing; a link, or a file
// that is no lock file, is refused and not touched. A lock that is held gives
// an error that wraps ErrLocked and names path and the holder's process id
// where it is known.
func TryLock(path string) (*Lock, error) {
	before, err := os.Lstat(path)
	if err == nil && !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is %w", path, ErrForeign)
	}
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening lock file: %w", err)
	}
	l, err := TryLockFile(f)
	if err != nil {
		return nil, fmt.Errorf("%s is %w", path, err)
	}
	return l, nil
}

// TryLockFile is TryLock of a file that the caller has opened for reading and
// writing, having seen to it that it is where it should be. The file is
// TryLockFile's from then on. Errors do not name it.
func TryLockFile(f *os.File) (*Lock, error) {
	if err := lock(f); err != nil {
		if pid := holder(f); pid != 0 && errors.Is(err, ErrLocked) {
			if pid == os.Getpid() {
				err = ErrOurs
			}
			err = fmt.Errorf("%w, with process id %d", err, pid)
		}
		return nil, errors.Join(err, f.Close())
	}
	if !ours(f) {
		return nil, errors.Join(ErrForeign, f.Close())
	}
	// The id is for people alone. On a full disk it is missing, and the lock
	// holds all the same.
	_ = write(f, strconv.Itoa(os.Getpid())+"\n")
	return &Lock{f: f}, nil
}

// Holds reports whether the lock is that of the file that info describes: it is
// not where the file was deleted meanwhile.
func (l *Lock) Holds(info fs.FileInfo) bool {
	held, err := l.f.Stat()
	return err == nil && os.SameFile(held, info)
}

// Unlock gives the lock up. A second call does nothing.
func (l *Lock) Unlock() error {
	if l.f == nil {
		return nil
	}
	f := l.f
	l.f = nil
	_ = write(f, "") // for people alone, as above
	return errors.Join(unlock(f), f.Close())
}

func write(f *os.File, text string) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt([]byte(text), 0)
	return err
}

// maxText is more than any process id takes, in bytes.
const maxText = 32

// ours reports whether the file is empty or holds a process id, so that nothing
// else is ever overwritten.
func ours(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode().IsRegular() && (info.Size() == 0 || info.Size() <= maxText && holder(f) != 0)
}

// holder reads the process id from the file, 0 if there is none (yet).
func holder(f *os.File) int {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, maxText))
	if err != nil {
		return 0
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || pid < 0 {
		return 0
	}
	return pid
}
