package shelf

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
	"path"
	"path/filepath"
	"strings"

	"github.com/anonymous-media-library/aml/plugins"
)

// ErrArchive: a file is not an archive that a plugin can come in.
var ErrArchive = errors.New("not a tar, tar.gz or zip of a plugin's folder")

// unpack writes the files of an archive below dir. Links, devices, names that
// lead out and archives of more than a plugin may have are refused.
func unpack(ctx context.Context, file, dir string) error {
	f, err := openFile(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r := bufio.NewReader(f)
	head, _ := r.Peek(4) // a shorter one is no archive, as is said below
	u := &unpacking{ctx: ctx, dir: dir}
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
	ctx   context.Context
	dir   string
	files int
	bytes int64
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
		switch h.Typeflag {
		case tar.TypeDir, tar.TypeXGlobalHeader:
		case tar.TypeReg:
			if err := u.file(h.Name, t); err != nil {
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
	if len(z.File) > 2*plugins.MaxFiles {
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
		err = u.file(f.Name, r)
		if err := errors.Join(err, r.Close()); err != nil {
			return err
		}
	}
	return nil
}

func (u *unpacking) file(name string, r io.Reader) error {
	if err := u.ctx.Err(); err != nil {
		return context.Cause(u.ctx)
	}
	clean := path.Clean(strings.TrimPrefix(name, "./"))
	if clean == "." || path.IsAbs(clean) || clean == ".." || strings.HasPrefix(clean, "../") || strings.ContainsAny(clean, "\\:\x00") || len(clean) > 512 || !filepath.IsLocal(filepath.FromSlash(clean)) {
		return fmt.Errorf("%w: name %q", ErrArchive, name)
	}
	if u.files++; u.files > plugins.MaxFiles {
		return fmt.Errorf("%w: more than %d files", ErrArchive, plugins.MaxFiles)
	}
	counted := &counting{r: r, left: maxBytes - u.bytes}
	_, err := writeFile(filepath.Join(u.dir, filepath.FromSlash(clean)), counted, 0o600)
	u.bytes = maxBytes - counted.left
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrArchive, name, err)
	}
	return nil
}

// counting ends a stream that would be too long.
type counting struct {
	r    io.Reader
	left int64
}

func (c *counting) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.left -= int64(n); c.left < 0 {
		return 0, fmt.Errorf("more than %d bytes", int64(maxBytes))
	}
	return n, err
}
