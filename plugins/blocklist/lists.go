package blocklist

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// How much lists may be.
const (
	maxLists = 1000
	maxBytes = 64 << 20
)

// walk calls fn for each list: files, and those in folders whose names do not
// begin with a dot.
func walk(paths []string, fn func(path string) error) error {
	files, bytes := 0, int64(0)
	one := func(path string, info fs.FileInfo) error {
		if !info.Mode().IsRegular() {
			return nil
		}
		files++
		if bytes += info.Size(); files > maxLists || bytes > maxBytes {
			return fmt.Errorf("%s: more than %d lists, or than %d bytes of them", path, maxLists, maxBytes)
		}
		return fn(path)
	}
	for _, root := range paths {
		info, err := os.Stat(root)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			if err := one(root, info); err != nil {
				return err
			}
			continue
		}
		err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return err
			}
			if path != root && strings.HasPrefix(d.Name(), ".") {
				if d.IsDir() {
					return fs.SkipDir
				}
				return nil
			}
			if d.IsDir() {
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			return one(path, info)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// stampOf is another text when a list was changed.
func stampOf(paths []string) (string, error) {
	var b strings.Builder
	err := walk(paths, func(path string) error {
		info, err := os.Stat(path)
		if err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", path, info.Size(), info.ModTime().UnixNano())
		}
		return err
	})
	return b.String(), err
}
