// Package wholefile keeps small files of state: a list, a number, keys that a program
// has made for itself.
//
// It is for rooms that read all of a file and write all of it anew. It must never leave
// half of one, nor let others than its owner read it, and it knows nothing of what is in
// it. What a person names with -o is internal/outfile's, what must not be replaced
// internal/secretfile's.
package wholefile

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/anonymous-media-library/aml/internal/disk"
)

// tempPrefix is how the names of unfinished files begin.
const tempPrefix = ".aml-whole-"

// Replace writes a file of mode 0600, in the place of what is there. It is there as it
// was or as it is to be, however the process ends and after a power loss too; when
// Replace returns nil it is as it is to be. On an error it is as it was. Its folder has
// to be there. What killed processes left unfinished in the folder an hour ago and
// earlier is deleted. Of several at once the last one wins.
func Replace(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	disk.Sweep(dir, tempPrefix)
	f, err := os.CreateTemp(dir, tempPrefix+"*") // of mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return disk.SyncDir(dir)
}

// Read returns all of a file of at most max bytes; a missing one gives fs.ErrNotExist,
// what is no file disk.ErrNotRegular.
func Read(path string, max int64) ([]byte, error) {
	if err := disk.Regular(path); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() // only read from
	data, err := io.ReadAll(io.LimitReader(f, max+1))
	if err == nil && int64(len(data)) > max {
		return nil, fmt.Errorf("%s has over %d bytes", path, max)
	}
	return data, err
}
