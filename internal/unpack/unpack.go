// Package unpack takes archives apart that somebody else has made: tar, tar.gz and zip.
//
// It is for what is installed: plugins and applications. It must never write outside
// of the folder that it is given, follow or make a link, or go beyond the limits that
// its caller sets, and it knows nothing of what the files are for.
package unpack

import (
	"archive/tar"
	"archive/zip"
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// ErrArchive: a file is no archive, or one that is not unpacked: with links, devices or
// names that lead out of it, or with more than is allowed.
var ErrArchive = errors.New("not a tar, tar.gz or zip of files and folders")

// Limits bound what comes out of an archive.
type Limits struct {
	Files int
	Bytes int64 // of all files
}

const (
	// maxName bounds a name in an archive, in bytes, and maxDepth the folders in it.
	maxName  = 512
	maxDepth = 32
)

// Into writes the files of the archive f below dir, which need not exist. Files are
// readable and writable for their owner alone, and can be run if they could be in the
// archive; of other modes, owners and times nothing is kept. After an error some of the files may be there. f stays the caller's.
func Into(ctx context.Context, dir string, f *os.File, limits Limits) error {
	r := bufio.NewReader(f)
	head, _ := r.Peek(4) // a shorter one is no archive, as is said below
	u := &unpacking{ctx: ctx, dir: dir, limits: limits}
	switch {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		info, err := f.Stat()
		if err != nil {
			return err
		}
		z, err := zip.NewReader(f, info.Size())
		if err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		return u.zip(z)
	case bytes.HasPrefix(head, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(r)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		return u.tar(tar.NewReader(z))
	}
	return u.tar(tar.NewReader(r))
}

type unpacking struct {
	ctx     context.Context
	dir     string
	limits  Limits
	entries int // of a tar: files, folders and what else there is
	files   int
	bytes   int64
}

func (u *unpacking) tar(t *tar.Reader) error {
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		if u.ctx.Err() != nil {
			return context.Cause(u.ctx)
		}
		if u.entries++; u.entries > 2*u.limits.Files {
			return fmt.Errorf("%w: more than %d entries", ErrArchive, 2*u.limits.Files)
		}
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
		case tar.TypeReg:
			if err := u.file(h.Name, h.FileInfo().Mode(), t); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%w: %q is neither a file nor a folder", ErrArchive, h.Name)
		}
	}
	if u.files == 0 {
		return fmt.Errorf("%w: it has no files", ErrArchive)
	}
	return nil
}

func (u *unpacking) zip(z *zip.Reader) error {
	if len(z.File) > 2*u.limits.Files {
		return fmt.Errorf("%w: %d entries", ErrArchive, len(z.File))
	}
	for _, f := range z.File {
		if f.Mode().IsDir() {
			continue
		}
		if !f.Mode().IsRegular() {
			return fmt.Errorf("%w: %q is neither a file nor a folder", ErrArchive, f.Name)
		}
		r, err := f.Open()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
		err = u.file(f.Name, f.Mode(), r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	if u.files == 0 {
		return fmt.Errorf("%w: it has no files", ErrArchive)
	}
	return nil
}

func (u *unpacking) file(name string, mode fs.FileMode, r io.Reader) error {
	if err := u.ctx.Err(); err != nil {
		return context.Cause(u.ctx)
	}
	clean := path.Clean(strings.TrimPrefix(name, "./"))
	if clean == "." || path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(clean, "\\:\x00") || len(clean) > maxName || strings.Count(clean, "/") >= maxDepth || !filepath.IsLocal(filepath.FromSlash(clean)) {
		return fmt.Errorf("%w: name %q", ErrArchive, name)
	}
	if u.files++; u.files > u.limits.Files {
		return fmt.Errorf("%w: more than %d files", ErrArchive, u.limits.Files)
	}
	counted := &counting{r: r, most: u.limits.Bytes, left: u.limits.Bytes - u.bytes}
	err := write(filepath.Join(u.dir, filepath.FromSlash(clean)), 0o600|mode&0o100, counted)
	u.bytes = u.limits.Bytes - counted.left
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrArchive, name, err)
	}
	return nil
}

func write(to string, mode fs.FileMode, from io.Reader) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// counting ends a stream that would be too long.
type counting struct {
	r          io.Reader
	most, left int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("more than %d bytes", c.most)
	}
	return n, err
}
