package subscriber

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"runtime"
	"slices"
	"syscall"

	"github.com/anonymous-media-library/aml/codec"
	"github.com/anonymous-media-library/aml/internal/disk"
)

// full is a local path with the folder's own, for people and events.
func (o *output) full(local string) string { return filepath.Join(o.path, local) }

// room refuses a file that the disk has no room for before its first byte: what
// an entry says of its size costs its signer nothing. How much is free where the
// system does not tell, the writing finds out.
func (o *output) room(size uint64) error {
	free, err := disk.Free(o.path)
	if err == nil && size > uint64(max(0, free-o.floor)) {
		return fmt.Errorf("%w: the file wants %d bytes, %d are free, of which %d are to stay so", syscall.ENOSPC, size, free, o.floor)
	}
	return nil
}

// inspect looks at what is at a name of a channel: its local path, and the
// regular file that is there, nil for nothing. If anything but a regular file
// is there, or anything but folders on the way to it, or if this system or file
// system has no such names, the error wraps ErrConflict and names both.
func (o *output) inspect(name string) (local string, info fs.FileInfo, err error) {
	local, err = filepath.Localize(name)
	if err != nil {
		return "", nil, fmt.Errorf("%q: %w: this system cannot have a file of that name", name, ErrConflict)
	}
	for i := range len(local) {
		if local[i] != filepath.Separator {
			continue
		}
		switch there, err := o.folder(local[:i]); {
		case err != nil && errors.Is(err, fs.ErrPermission):
			return local, nil, fmt.Errorf("looking at %s: %w", o.full(local[:i]), err)
		case errors.Is(unholdable(name, err), ErrConflict):
			return local, nil, unholdable(name, err)
		case err != nil:
			return local, nil, fmt.Errorf("%q: %w: where a folder has to be, %w", name, ErrConflict, err)
		case !there:
			return local, nil, nil
		}
	}
	info, err = o.root.Lstat(local)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return local, nil, nil
	case errors.Is(unholdable(name, err), ErrConflict):
		return local, nil, unholdable(name, err)
	case err != nil:
		return local, nil, fmt.Errorf("looking at %s: %w", o.full(local), err)
	case info.IsDir():
		return local, nil, fmt.Errorf("%q: %w: %s is a folder, where a file has to be", name, ErrConflict, o.full(local))
	case !info.Mode().IsRegular():
		return local, nil, fmt.Errorf("%q: %w: %s is no regular file (%s)", name, ErrConflict, o.full(local), info.Mode().Type())
	}
	return local, info, nil
}

// folder reports whether there is a folder at local, or else nothing; all else
// is an error that says what. A link to a folder that stays inside is the
// user's way to lay out things; Root refuses one that leads out.
func (o *output) folder(local string) (bool, error) {
	info, err := o.root.Lstat(local)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	link := err == nil && info.Mode()&fs.ModeSymlink != 0
	if link {
		info, err = o.root.Stat(local)
	}
	switch {
	case link && errors.Is(err, fs.ErrNotExist):
		return false, fmt.Errorf("%s is a symbolic link to nothing", o.full(local))
	case link && err != nil:
		return false, fmt.Errorf("%s is a symbolic link: %w", o.full(local), err)
	case err != nil:
		return false, err
	case !info.IsDir():
		return false, fmt.Errorf("%s is a file", o.full(local))
	}
	return true, nil
}

// version is a content that a file may have.
type version struct {
	size   uint64
	sha256 codec.Hash
}

// isOne reports whether the file at local, whose info is given, has one of the
// contents. It is read only if its size is right. A file that may not be read
// has none of them.
func (o *output) isOne(ctx context.Context, local string, info fs.FileInfo, contents ...version) (bool, error) {
	if !slices.ContainsFunc(contents, func(v version) bool { return v.size == uint64(info.Size()) }) {
		return false, nil
	}
	f, err := o.root.Open(local)
	if errors.Is(err, fs.ErrPermission) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close() // only read from
	h := sha256.New()
	n, err := io.CopyBuffer(h, &cancelReader{ctx, io.LimitReader(f, info.Size()+1)}, make([]byte, 256<<10))
	if err != nil {
		return false, fmt.Errorf("reading %s: %w", o.full(local), err)
	}
	return slices.Contains(contents, version{uint64(n), codec.Hash(h.Sum(nil))}), nil
}

// cancelReader ends with its context.
type cancelReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *cancelReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, context.Cause(c.ctx)
	}
	return c.r.Read(p)
}

// place gives a finished file its name, over one that may be there.
func (o *output) place(temp, local string) error {
	dir := filepath.Dir(local)
	if err := o.root.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := o.root.Rename(temp, local); err != nil {
		return err
	}
	o.touch(dir)
	return nil
}

// remove deletes a file, and the folders above it that are then empty.
func (o *output) remove(local string) error {
	if err := o.root.Remove(local); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir := filepath.Dir(local)
	for ; dir != "."; dir = filepath.Dir(dir) {
		if info, err := o.root.Lstat(dir); err != nil || !info.IsDir() {
			break // a link is the user's
		}
		if o.root.Remove(dir) != nil {
			break
		}
	}
	o.touch(dir)
	return nil
}

// touch notes that names in a folder, and perhaps of those above it, have
// changed.
func (o *output) touch(dir string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for ; ; dir = filepath.Dir(dir) {
		o.dirty[dir] = struct{}{}
		if dir == "." {
			return
		}
	}
}

// sync makes all names that changed survive a power loss, where the system can.
func (o *output) sync() error {
	o.mu.Lock()
	dirs := o.dirty
	o.dirty = map[string]struct{}{}
	o.mu.Unlock()
	if runtime.GOOS == "windows" {
		return nil
	}
	for dir := range dirs {
		d, err := o.root.Open(dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue // was removed since; what is above it is in the set, too
		}
		if err != nil {
			return err
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("syncing %s: %w", o.full(dir), err)
		}
	}
	return nil
}
