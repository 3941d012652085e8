package appdir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/unpack"
)

// limits bound what one version holds.
var limits = unpack.Limits{Files: 1 << 17, Bytes: 64 << 30}

// stage makes a version out of its archive: beside, all of it on disk, and then in one
// step in its place.
func (d *Dir) stage(ctx context.Context, v Version) error {
	staged := filepath.Join(d.at(stagingName), v.Version)
	if err := os.MkdirAll(d.at(stagingName), 0o755); err != nil {
		return err
	}
	if err := fill(ctx, staged, v); err != nil {
		return err
	}
	if err := open(ctx, staged); err != nil {
		return err
	}
	// One that is there is what an earlier try has left: the name is a version's, but
	// nobody knows whether the bytes are.
	if err := os.RemoveAll(d.version(v.Version)); err != nil {
		return err
	}
	if err := os.MkdirAll(d.at(versionsName), 0o755); err != nil {
		return err
	}
	if err := os.Rename(staged, d.version(v.Version)); err != nil {
		return err
	}
	return errors.Join(disk.SyncDir(d.at(versionsName)), disk.SyncDir(d.path))
}

func fill(ctx context.Context, dir string, v Version) error {
	f, err := os.Open(v.Archive)
	if err != nil {
		return err
	}
	defer f.Close()
	err = unpack.Into(ctx, dir, f, limits)
	if !errors.Is(err, unpack.ErrArchive) {
		return err
	}
	if entries, readErr := os.ReadDir(dir); readErr == nil && len(entries) > 0 || looksPacked(v.Name) {
		return err // an archive, and not a sound one
	}
	// One file, as it is.
	name := path.Base(v.Name)
	if !filepath.IsLocal(name) {
		return fmt.Errorf("name %q", v.Name)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	mode := fs.FileMode(0o600)
	if v.Run {
		mode = 0o700
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	to, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(to, f)
	return errors.Join(err, to.Close())
}

// looksPacked reports whether a name is that of an archive.
func looksPacked(name string) bool {
	switch path.Ext(name) {
	case ".tar", ".tgz", ".gz", ".zip":
		return true
	}
	return false
}

// open lets everybody read a tree, as what is installed is, and puts all of it on disk.
func open(ctx context.Context, dir string) error {
	return filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o044
		if mode&0o100 != 0 {
			mode |= 0o011
		}
		if err := os.Chmod(path, mode); err != nil {
			return err
		}
		if e.IsDir() {
			return disk.SyncDir(path)
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		return errors.Join(f.Sync(), f.Close())
	})
}
