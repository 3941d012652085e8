package shelf

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/internal/unpack"
	"github.com/anonymous-media-library/aml/plugins"
)

// maxBytes bounds all files of one plugin.
const maxBytes = 1 << 30

var (
	errIrregular = errors.New("no regular file")
	errLarge     = errors.New("over")
)

// walk calls fn for each regular file below dir, with its slash path. Anything
// but files and folders is an error, and so is too much of them.
func walk(ctx context.Context, dir string, fn func(name, path string, info fs.FileInfo) error) error {
	var files, folders int
	var bytes int64
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			if folders++; folders > plugins.MaxFiles {
				return fmt.Errorf("%w: more than %d folders", plugins.ErrFolder, plugins.MaxFiles)
			}
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%w: %q is neither a file nor a folder", plugins.ErrFolder, filepath.ToSlash(rel))
		}
		if files++; files > plugins.MaxFiles {
			return fmt.Errorf("%w: more than %d files", plugins.ErrFolder, plugins.MaxFiles)
		}
		if bytes += info.Size(); bytes > maxBytes {
			return fmt.Errorf("%w: more than %d bytes", plugins.ErrFolder, int64(maxBytes))
		}
		return fn(filepath.ToSlash(rel), path, info)
	})
}

// openFile opens a regular file, and no link, pipe or device in its place.
func openFile(path string) (*os.File, error) {
	before, err := os.Lstat(path)
	if err != nil {
		return nil, err
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%w: %s", errIrregular, path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && !os.SameFile(before, after) {
		err = fmt.Errorf("%s was replaced while it was opened", path)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func sumFile(path string) (sum plugins.Sum, err error) {
	f, err := openFile(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, io.LimitReader(f, maxBytes)); err != nil {
		return sum, err
	}
	return plugins.Sum(h.Sum(nil)), nil
}

// changed says that a plugin's files are not what was installed, as err tells; unless
// that tells of the machine, which can then not know it.
func changed(id string, err error) error {
	if disk.Exhausted(err) || errors.Is(err, context.Canceled) {
		return fmt.Errorf("reading plugin %s: %w", id, err)
	}
	return fmt.Errorf("%s: %w: %w%s", id, plugins.ErrChanged, err, mend(id))
}

// unpackFile writes the files of an archive below dir.
func unpackFile(ctx context.Context, file, dir string) error {
	f, err := openFile(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return unpack.Into(ctx, dir, f, unpack.Limits{Files: plugins.MaxFiles, Bytes: maxBytes})
}

// copyFile copies a file and returns the sum of the bytes that are now at to.
func copyFile(from, to string, mode fs.FileMode) (sum plugins.Sum, err error) {
	src, err := openFile(from)
	if err != nil {
		return sum, err
	}
	defer src.Close()
	return writeFile(to, io.LimitReader(src, maxBytes), mode)
}

func writeFile(to string, src io.Reader, mode fs.FileMode) (sum plugins.Sum, err error) {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return sum, err
	}
	dst, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return sum, err
	}
	h := sha256.New()
	_, err = io.Copy(io.MultiWriter(dst, h), src)
	if err == nil {
		err = dst.Chmod(mode)
	}
	return plugins.Sum(h.Sum(nil)), errors.Join(err, dst.Close())
}

// readSmall reads a regular file of at most max bytes.
func readSmall(path string, max int64) ([]byte, plugins.Sum, error) {
	f, err := openFile(path)
	if err != nil {
		return nil, plugins.Sum{}, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(text)) > max {
		err = fmt.Errorf("%w %d bytes: %s", errLarge, max, path)
	}
	return text, plugins.Sum(sha256.Sum256(text)), err
}

// removeAll is os.RemoveAll that also removes read-only folders.
func removeAll(path string) error {
	err := os.RemoveAll(path)
	if err == nil || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	_ = filepath.WalkDir(path, func(p string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			_ = os.Chmod(p, 0o700)
		}
		return nil
	})
	return os.RemoveAll(path)
}
