package httpmirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/anonymous-media-library/aml/blobnet"
	"github.com/anonymous-media-library/aml/internal/disk"
)

// A folder is made durable in groups: of so many files or bytes.
const (
	groupFiles = 64
	groupBytes = 64 << 20
)

// tempPrefix begins the names of files that are not whole yet.
const tempPrefix = ".aml-push-"

// dirTarget is a folder. A file gets its name when all of it is on the disk, so
// that a server of the folder never shows a part.
type dirTarget struct {
	dir    string // of the blobs
	verify bool

	mu     sync.Mutex // guards what follows; never held across I/O
	group  []written
	bytes  int
	failed error // of a group: nothing more is written, and nobody is told that all went well
}

// written is a file that has not got its name.
type written struct {
	f    *os.File
	name string
}

func newDirTarget(dir string, verify bool) (*dirTarget, error) {
	t := &dirTarget{dir: filepath.Join(dir, "blobs"), verify: verify}
	if err := os.MkdirAll(t.dir, 0o755); err != nil {
		return nil, fmt.Errorf("making the folder: %w", err)
	}
	disk.Sweep(t.dir, tempPrefix) // what a Push left that was killed
	return t, nil
}

func (t *dirTarget) put(_ context.Context, id blobnet.ID, blob []byte) (bool, error) {
	name := filepath.Join(t.dir, id.String())
	t.mu.Lock()
	failed := t.failed
	t.mu.Unlock()
	if failed != nil {
		return false, failed
	}
	if t.there(name, id, blob) {
		return false, nil
	}
	f, err := os.CreateTemp(t.dir, tempPrefix+"*")
	if err != nil {
		return false, fmt.Errorf("writing a file: %w", err)
	}
	if _, err = f.Write(blob); err == nil {
		err = f.Chmod(0o644) // the web server is somebody else
	}
	if err != nil {
		f.Close()
		os.Remove(f.Name())
		return false, fmt.Errorf("writing a file: %w", err)
	}
	disk.StartWriteback(f, 0, len(blob))
	t.mu.Lock()
	t.group = append(t.group, written{f, name})
	t.bytes += len(blob)
	var full []written
	if len(t.group) >= groupFiles || t.bytes >= groupBytes {
		full, t.group, t.bytes = t.group, nil, 0
	}
	t.mu.Unlock()
	return true, t.commit(full)
}

// there reports whether the file is there and, as far as was asked, right.
func (t *dirTarget) there(name string, id blobnet.ID, blob []byte) bool {
	i, err := os.Lstat(name)
	if err != nil || !i.Mode().IsRegular() || i.Size() != int64(len(blob)) {
		return false
	}
	if !t.verify {
		return true
	}
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, blobnet.MaxBlobSize+1))
	return err == nil && blobnet.Sum(b) == id
}

// commit waits until files are on the disk and gives them their names. After an
// error none of them may have got one; those that did are whole.
func (t *dirTarget) commit(group []written) error {
	if len(group) == 0 {
		return nil
	}
	var failed error
	for _, w := range group {
		err := w.f.Sync()
		if e := w.f.Close(); err == nil {
			err = e
		}
		if err == nil {
			err = os.Rename(w.f.Name(), w.name)
		}
		if err != nil {
			os.Remove(w.f.Name())
			failed = errors.Join(failed, err)
		}
	}
	if err := syncDir(t.dir); err != nil {
		failed = errors.Join(failed, err)
	}
	if failed != nil {
		failed = fmt.Errorf("writing files: %w", failed)
		t.mu.Lock()
		t.failed = failed
		t.mu.Unlock()
	}
	return failed
}

func (t *dirTarget) settle() error {
	t.mu.Lock()
	last := t.group
	t.group = nil
	t.mu.Unlock()
	err := t.commit(last)
	t.mu.Lock()
	defer t.mu.Unlock()
	if err == nil {
		err = t.failed
	}
	return err
}

// syncDir makes the names in a folder durable, where the system can.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	err = d.Sync()
	var p *fs.PathError
	if errors.As(err, &p) && (strings.Contains(p.Err.Error(), "invalid") || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrPermission)) {
		return nil // some systems cannot
	}
	return err
}
