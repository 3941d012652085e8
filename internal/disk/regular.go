package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// ErrNotRegular: what stands where a file of ours should be is something else.
var ErrNotRegular = errors.New("not a regular file")

// Regular gives an error that names path if something stands there, or where a link
// there leads, that is no regular file. It is asked before opening a file of a home:
// opening a named pipe would wait for ever. What is missing is no error.
func Regular(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is %w; move it away", path, ErrNotRegular)
	}
	return nil
}
