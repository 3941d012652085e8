package subscriber

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"unicode/utf8"
)

// unholdable makes ErrConflict of an error which says that the file system
// cannot hold a name: it is too long there, or has characters that may not be.
// Any other error is returned as it is.
func unholdable(name string, err error) error {
	if slices.ContainsFunc(badName[:], func(bad syscall.Errno) bool { return errors.Is(err, bad) }) {
		return fmt.Errorf("%q: %w: the file system cannot hold a file of that name: %w", name, ErrConflict, err)
	}
	return err
}

// keptLengths are how many bytes the name of a kept file may have, one tried
// after the other: those of most file systems, of encrypting ones, of any.
var keptLengths = [...]int{255, 140, 60}

// keptName is the ith name for the file at local where that is kept. The end of
// a long one is left out.
func keptName(local string, i, longest int) string {
	dir, base := filepath.Split(local)
	suffix := ".kept"
	if i > 1 {
		suffix += "-" + strconv.Itoa(i)
	}
	end := min(len(base), longest-len(suffix))
	for end > 0 && end < len(base) && !utf8.RuneStart(base[end]) {
		end--
	}
	return filepath.Join(dir, base[:end]+suffix)
}

// keep gives a file that is not ours, and whose info is given, another name
// beside its own, and returns that. The file stays in place as well if the file
// system has hard links, so that there is no moment without it.
func (o *output) keep(local string, info fs.FileInfo) (kept string, err error) {
	for _, longest := range keptLengths {
		if kept, err = o.keepAs(local, info, longest); !errors.Is(unholdable(local, err), ErrConflict) {
			return kept, err
		}
	}
	return "", err
}

func (o *output) keepAs(local string, info fs.FileInfo, longest int) (string, error) {
	for i := 1; i < 1000; i++ {
		other := keptName(local, i, longest)
		err := o.root.Link(local, other)
		if err == nil {
			o.touch(filepath.Dir(local))
			return other, nil
		}
		if there, err := o.root.Lstat(other); err == nil {
			if os.SameFile(there, info) {
				return other, nil // a run that was killed has kept it
			}
			continue
		}
		if err := o.root.Rename(local, other); err != nil {
			return "", err
		}
		o.touch(filepath.Dir(local))
		return other, nil
	}
	return "", fmt.Errorf("%s: too many kept files beside it", o.full(local))
}
