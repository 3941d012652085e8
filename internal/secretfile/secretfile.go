// Package secretfile keeps a small secret in a file that only its owner may use:
// a key, which others could sign or listen with. It is for channel/keyfile and
// node/transport.
//
// It must never print what is in a file, change a file that is there, or leave
// half of one.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/anonymous-media-library/aml/internal/disk"
)

var (
	// ErrExposed: others than the owner may use the file. It wraps
	// fs.ErrPermission.
	ErrExposed = fmt.Errorf("others than its owner may use it: %w", fs.ErrPermission)

	// ErrUnusable: it is not a regular file, or larger than any secret.
	ErrUnusable = errors.New("not a regular file, or too large to be a key")
)

// Read returns the file at path, of at most max bytes. Errors do not name the
// path, except those of the system; a missing file gives fs.ErrNotExist.
func Read(path string, max int64) ([]byte, error) {
	info, err := os.Stat(path) // before opening, which would wait at a named pipe
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > max {
		return nil, ErrUnusable
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 && runtime.GOOS != "windows" {
		return nil, fmt.Errorf("%w (mode %04o); run: chmod 600 %s", ErrExposed, mode, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		err = ErrUnusable
	}
	return data, err
}

// Write writes data to a new file of mode 0600 and returns once it would survive
// a power loss. The file is there whole or not at all, however the process
// ends. A file that is there already is left alone: the error then wraps
// fs.ErrExist. On any other error no file stays.
func Write(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".aml-secret-*") // of mode 0600
	var perr *fs.PathError
	if errors.As(err, &perr) { // the name of the unfinished file says nothing to anybody
		return fmt.Errorf("folder %s: %w", dir, perr.Err)
	}
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = place(f.Name(), path)
	}
	if rerr := os.Remove(f.Name()); !errors.Is(rerr, fs.ErrNotExist) {
		err = errors.Join(err, rerr)
	}
	if err != nil {
		return err
	}
	return disk.SyncDir(dir)
}

// place gives the finished file temp its name. A link fails where a file is, and
// a rename would replace it; but not every file system has links.
func place(temp, path string) error {
	err := os.Link(temp, path)
	if err == nil {
		return nil
	}
	if _, there := os.Lstat(path); there == nil || errors.Is(err, fs.ErrExist) {
		return fs.ErrExist
	}
	return os.Rename(temp, path)
}
