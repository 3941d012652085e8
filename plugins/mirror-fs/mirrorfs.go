// Package mirrorfs is a bundled plugin that keeps sealed blobs in a folder: another
// disk, a network share, a stick. The layout is ab/cd/<hex>,
// as in aml's own store.
//
// A blob is there whole or not at all, however the process ends, and what is read
// is checked: a file that was damaged counts as missing, so that it is written
// again.
package mirrorfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed" // plugin.yaml
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/anonymous-media-library/aml/internal/disk"
	"github.com/anonymous-media-library/aml/plugins/sdk"
)

//go:embed plugin.yaml
var manifest []byte

// Manifest is its plugin.yaml.
func Manifest() []byte { return manifest }

// maxBlob is how large a blob may be.
const maxBlob = 2<<20 + 64

// New returns the plugin.
func New() sdk.Plugin {
	m := &mirror{}
	return sdk.Plugin{ID: "mirror-fs", Version: "1.0.0", Configure: m.configure, Mirror: m}
}

type mirror struct {
	folder string
	info   fs.FileInfo // of the folder, as it was when the plugin began
}

// unfinished is the folder of blobs on their way, and tempPrefix how they are called.
const unfinished, tempPrefix = ".unfinished", "put-"

func (m *mirror) configure(_ context.Context, s sdk.Setup) error {
	m.folder = s.Config["folder"]
	if !filepath.IsAbs(m.folder) {
		return fmt.Errorf("folder: %q is not absolute", m.folder)
	}
	info, err := os.Stat(m.folder)
	switch {
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; grant the capability files, with --path or for all", err)
	case err != nil: // a disk that is not mounted must not fill the one below it
		return err
	case !info.IsDir():
		return fmt.Errorf("folder: %s is none", m.folder)
	}
	if s.State != "" {
		if err := recognize(m.folder, s.State); err != nil {
			return err
		}
	}
	m.info = info
	disk.Sweep(filepath.Join(m.folder, unfinished), tempPrefix)
	return nil
}

// mounted makes sure that the folder is the one that it was: where a disk is not mounted
// any more its blobs must not fill the one below it.
func (m *mirror) mounted() error {
	info, err := os.Stat(m.folder)
	if err == nil && !os.SameFile(info, m.info) {
		err = errors.New("it is another folder than when the plugin began; is the disk mounted? mount it, and start the plugin again")
	}
	if err != nil { // not as if it were a blob that is not there
		return fmt.Errorf("folder %s: %v", m.folder, err)
	}
	return nil
}

// path is where a blob is.
func (m *mirror) path(id [32]byte) string {
	name := hex.EncodeToString(id[:])
	return filepath.Join(m.folder, name[:2], name[2:4], name)
}

// Put is of sdk.Mirror.
func (m *mirror) Put(ctx context.Context, id [32]byte, _ int64, data io.Reader) (err error) {
	if has, err := m.Has(ctx, id); err != nil || has {
		return err
	}
	defer func() {
		if disk.IsFull(err) {
			err = fmt.Errorf("the disk of folder %s is full; make room there: %w", m.folder, err)
		}
	}()
	path, temp := m.path(id), filepath.Join(m.folder, unfinished)
	for _, dir := range []string{filepath.Dir(path), temp} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	f, err := os.CreateTemp(temp, tempPrefix+"*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	h := sha256.New()
	n, err := io.Copy(io.MultiWriter(f, h), io.LimitReader(data, maxBlob+1))
	if err == nil && (n > maxBlob || [32]byte(h.Sum(nil)) != id) {
		err = errors.New("what comes is not that blob")
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// Has is of sdk.Mirror. It believes a file's size that Put has left; Get checks.
func (m *mirror) Has(_ context.Context, id [32]byte) (bool, error) {
	if err := m.mounted(); err != nil {
		return false, err
	}
	info, err := os.Lstat(m.path(id))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && info.Mode().IsRegular() && info.Size() > 0, err
}

// Get is of sdk.Mirror.
func (m *mirror) Get(ctx context.Context, id [32]byte) (io.ReadCloser, error) {
	switch has, err := m.Has(ctx, id); {
	case err != nil:
		return nil, err
	case !has: // a pipe or a link that bears the name is not opened
		return nil, fs.ErrNotExist
	}
	f, err := os.Open(m.path(id))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxBlob+1))
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(data) != id {
		return nil, errors.Join(fs.ErrNotExist, os.Remove(m.path(id))) // so that it is put again
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}

// Delete is of sdk.Mirror.
func (m *mirror) Delete(_ context.Context, id [32]byte) error {
	if err := m.mounted(); err != nil {
		return err
	}
	return os.Remove(m.path(id))
}
