package shelf

import (
	"cmp"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/anonymous-media-library/aml/plugins"
)

// Run is a checked copy of a plugin.
type Run struct {
	Dir    string // read-only; empty for a bundled one, whose binary is aml
	Binary string // in it
	Sum    plugins.Sum
	temp   string
}

// Prepare copies the files that a platform (such as linux/amd64) needs into a
// read-only folder named by what is in it, and fails with plugins.ErrChanged if
// what it has copied is not what the lock says. So what was checked and what is
// run are the same bytes. Release the Run when the plugin has ended.
func (s *Shelf) Prepare(ctx context.Context, p Plugin, platform string) (_ *Run, err error) {
	if p.Err != nil {
		return nil, p.Err
	}
	if p.Bundled {
		return &Run{Binary: s.program}, nil
	}
	file, _, err := p.Manifest.Binary(platform)
	if err != nil {
		return nil, err
	}
	others := map[string]bool{} // binaries of other platforms
	for _, b := range p.Manifest.Binaries {
		others[b] = b != file
	}
	if err := os.MkdirAll(s.path(runDir), 0o700); err != nil {
		return nil, fmt.Errorf("copying plugin %s: %w", p.ID, err)
	}
	temp, err := os.MkdirTemp(s.path(runDir), "run-*")
	if err != nil {
		return nil, fmt.Errorf("copying plugin %s: %w", p.ID, err)
	}
	r := &Run{temp: temp}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Release())
		}
	}()
	names := make([]string, 0, len(p.Files))
	all := sha256.New()
	for name := range p.Files {
		if !others[name] {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, cmp.Compare)
	for _, name := range names {
		fmt.Fprintf(all, "%s %s\n", p.Files[name], name)
	}
	r.Sum = plugins.Sum(all.Sum(nil))
	r.Dir = filepath.Join(temp, r.Sum.String())
	for _, name := range names {
		if err := ctx.Err(); err != nil {
			return nil, context.Cause(ctx)
		}
		mode := os.FileMode(0o400)
		if name == file {
			mode = 0o500
		}
		src, err := openFile(filepath.Join(s.Folder(p.Installed), filepath.FromSlash(name)))
		if err != nil {
			return nil, changed(p.ID, err)
		}
		sum, err := writeFile(filepath.Join(r.Dir, filepath.FromSlash(name)), io.LimitReader(src, maxBytes), mode)
		src.Close()
		if err != nil { // of the copy: the plugin is as it was
			return nil, fmt.Errorf("copying plugin %s: %w", p.ID, err)
		}
		if sum != p.Files[name] {
			return nil, fmt.Errorf("%s: %w: %s has SHA-256 %s, the lock says %s%s", p.ID, plugins.ErrChanged, name, sum, p.Files[name], mend(p.ID))
		}
	}
	r.Binary = filepath.Join(r.Dir, filepath.FromSlash(file))
	return r, readOnly(r.Dir)
}

// readOnly lets nobody add to the folder.
func readOnly(dir string) error {
	var dirs []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	for _, d := range slices.Backward(dirs) {
		err = errors.Join(err, os.Chmod(d, 0o500))
	}
	return err
}

// Folders are those that the plugin has to be able to read.
func (r *Run) Folders() []string {
	if r.Dir == "" {
		return nil
	}
	return []string{r.Dir}
}

// Release removes the copy.
func (r *Run) Release() error {
	if r.temp == "" {
		return nil
	}
	return removeAll(r.temp)
}
